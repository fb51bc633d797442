"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fwcheck.service.tables import Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "image",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored", Moment(timezone=True), nullable=False),
        sa.Column("removed", Moment(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_image")),
    )
    op.create_table(
        "product",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("name", name=op.f("uq_product_name")),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.Column("expires", Moment(timezone=True), nullable=True),
        sa.Column("revoked", Moment(timezone=True), nullable=True),
        sa.Column("used", Moment(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
    )
    op.create_table(
        "grant",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("product", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_grant_token_id_token"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grant")),
        sa.UniqueConstraint("token_id", "product", name=op.f("uq_grant_token_id")),
    )
    with op.batch_alter_table("grant") as batch:
        batch.create_index(batch.f("ix_grant_token_id"), ["token_id"], unique=False)

    op.create_table(
        "scan",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("product_id", sa.String(length=32), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("image_name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("target", sa.String(length=20), nullable=True),
        sa.Column("token_id", sa.String(length=32), nullable=True),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("not_before", Moment(timezone=True), nullable=False),
        sa.Column("started", Moment(timezone=True), nullable=True),
        sa.Column("finished", Moment(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claim", sa.String(length=32), nullable=True),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("lease", Moment(timezone=True), nullable=True),
        sa.Column("stage", sa.String(length=200), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("report", sa.String(length=200), nullable=True),
        sa.Column("highest", sa.String(length=20), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("judged", sa.String(length=20), nullable=True),
        sa.Column("rules", sa.String(length=64), nullable=True),
        sa.Column("knowledge", sa.String(length=32), nullable=True),
        sa.Column("findings", sa.Integer(), nullable=True),
        sa.Column("components", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["image_sha256"], ["image.sha256"], name=op.f("fk_scan_image_sha256_image")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_scan_product_id_product")),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_scan_token_id_token")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan")),
    )
    with op.batch_alter_table("scan") as batch:
        batch.create_index(batch.f("ix_scan_image_sha256"), ["image_sha256"], unique=False)
        batch.create_index("ix_scan_product_id_id", ["product_id", "id"], unique=False)
        batch.create_index("ix_scan_queue", ["state", "priority", "id"], unique=False)


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("scan") as batch:
        batch.drop_index("ix_scan_queue")
        batch.drop_index("ix_scan_product_id_id")
        batch.drop_index(batch.f("ix_scan_image_sha256"))

    op.drop_table("scan")
    with op.batch_alter_table("grant") as batch:
        batch.drop_index(batch.f("ix_grant_token_id"))

    op.drop_table("grant")
    op.drop_table("token")
    op.drop_table("product")
    op.drop_table("image")
