"""When a message was sent for a scan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fwcheck.service.tables import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """To this version."""
    with op.batch_alter_table("scan") as batch:
        batch.add_column(sa.Column("dispatched", Moment(timezone=True), nullable=True))


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("scan") as batch:
        batch.drop_column("dispatched")
