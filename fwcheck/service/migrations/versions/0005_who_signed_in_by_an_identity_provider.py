"""Who signed in by an identity provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """To this version."""
    with op.batch_alter_table("token") as batch:
        batch.add_column(sa.Column("subject", sa.String(length=64), nullable=True))
        batch.create_unique_constraint(batch.f("uq_token_subject"), ["subject"])


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("token") as batch:
        batch.drop_constraint(batch.f("uq_token_subject"), type_="unique")
        batch.drop_column("subject")
