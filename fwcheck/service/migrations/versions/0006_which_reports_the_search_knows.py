"""Which reports the search knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """To this version."""
    with op.batch_alter_table("scan") as batch:
        batch.add_column(sa.Column("indexed", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("scan") as batch:
        batch.drop_column("indexed")
