"""What products keep, what scans are given along, what is asked of them, and what an access changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fwcheck.service.tables import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "content",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_content")),
    )
    op.create_table(
        "attachment",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("product_id", sa.String(length=32), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.Column("ended", Moment(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_attachment_product_id_product")),
        sa.ForeignKeyConstraint(["sha256"], ["content.sha256"], name=op.f("fk_attachment_sha256_content")),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_attachment_token_id_token")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
    )
    op.create_index(op.f("ix_attachment_product_id"), "attachment", ["product_id"])
    op.create_table(
        "scan_file",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("scan_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scan.id"], name=op.f("fk_scan_file_scan_id_scan")),
        sa.ForeignKeyConstraint(["sha256"], ["content.sha256"], name=op.f("fk_scan_file_sha256_content")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_file")),
    )
    op.create_index(op.f("ix_scan_file_scan_id"), "scan_file", ["scan_id"])
    with op.batch_alter_table("scan") as batch:
        batch.add_column(sa.Column("given", sa.String(length=64), nullable=False, server_default=""))
        batch.add_column(sa.Column("released", Moment(timezone=True), nullable=True))
    with op.batch_alter_table("product") as batch:
        batch.add_column(sa.Column("baseline", sa.String(length=32), nullable=True))
    with op.batch_alter_table("access") as batch:
        batch.add_column(sa.Column("what", sa.String(length=500), nullable=False, server_default=""))


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("access") as batch:
        batch.drop_column("what")
    with op.batch_alter_table("product") as batch:
        batch.drop_column("baseline")
    with op.batch_alter_table("scan") as batch:
        batch.drop_column("released")
        batch.drop_column("given")
    op.drop_table("scan_file")
    op.drop_table("attachment")
    op.drop_table("content")
