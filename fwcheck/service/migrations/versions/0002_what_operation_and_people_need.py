"""What operation and people need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fwcheck.service.tables import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "access",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", Moment(timezone=True), nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("request", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access")),
    )
    with op.batch_alter_table("access") as batch:
        batch.create_index(batch.f("ix_access_at"), ["at"], unique=False)

    op.create_table(
        "found_component",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("report", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_found_component")),
    )
    with op.batch_alter_table("found_component") as batch:
        batch.create_index(batch.f("ix_found_component_name"), ["name"], unique=False)
        batch.create_index(batch.f("ix_found_component_report"), ["report"], unique=False)

    op.create_table(
        "found_key",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("report", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_found_key")),
    )
    with op.batch_alter_table("found_key") as batch:
        batch.create_index(batch.f("ix_found_key_fingerprint"), ["fingerprint"], unique=False)
        batch.create_index(batch.f("ix_found_key_report"), ["report"], unique=False)

    op.create_table(
        "found_vulnerability",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("report", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("component", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_found_vulnerability")),
    )
    with op.batch_alter_table("found_vulnerability") as batch:
        batch.create_index(batch.f("ix_found_vulnerability_name"), ["name"], unique=False)
        batch.create_index(batch.f("ix_found_vulnerability_report"), ["report"], unique=False)

    op.create_table(
        "webhook",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("url", sa.String(length=1000), nullable=False),
        sa.Column("product", sa.String(length=100), nullable=True),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_table(
        "upload",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_upload_token_id_token")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
    )
    with op.batch_alter_table("upload") as batch:
        batch.create_index(batch.f("ix_upload_token_id"), ["token_id"], unique=False)

    op.create_table(
        "visit",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.Column("expires", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_visit_token_id_token")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_visit")),
    )
    with op.batch_alter_table("visit") as batch:
        batch.create_index(batch.f("ix_visit_token_id"), ["token_id"], unique=False)

    op.create_table(
        "waiver",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("product_id", sa.String(length=32), nullable=False),
        sa.Column("rule", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("expires", sa.String(length=10), nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.Column("ended", Moment(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_waiver_product_id_product")),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_waiver_token_id_token")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiver")),
    )
    with op.batch_alter_table("waiver") as batch:
        batch.create_index(batch.f("ix_waiver_product_id"), ["product_id"], unique=False)

    op.create_table(
        "answered",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scan_id", sa.String(length=32), nullable=False),
        sa.Column("created", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scan.id"], name=op.f("fk_answered_scan_id_scan")),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_answered_token_id_token")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answered")),
        sa.UniqueConstraint("token_id", "key", name=op.f("uq_answered_token_id")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("webhook_id", sa.String(length=32), nullable=False),
        sa.Column("scan_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("due", Moment(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scan.id"], name=op.f("fk_delivery_scan_id_scan")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name=op.f("fk_delivery_webhook_id_webhook"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    with op.batch_alter_table("delivery") as batch:
        batch.create_index("ix_delivery_due", ["state", "due"], unique=False)
        batch.create_index(batch.f("ix_delivery_webhook_id"), ["webhook_id"], unique=False)


def downgrade() -> None:
    """Back to the one before."""
    with op.batch_alter_table("delivery") as batch:
        batch.drop_index(batch.f("ix_delivery_webhook_id"))
        batch.drop_index("ix_delivery_due")

    op.drop_table("delivery")
    op.drop_table("answered")
    with op.batch_alter_table("waiver") as batch:
        batch.drop_index(batch.f("ix_waiver_product_id"))

    op.drop_table("waiver")
    with op.batch_alter_table("visit") as batch:
        batch.drop_index(batch.f("ix_visit_token_id"))

    op.drop_table("visit")
    with op.batch_alter_table("upload") as batch:
        batch.drop_index(batch.f("ix_upload_token_id"))

    op.drop_table("upload")
    op.drop_table("webhook")
    with op.batch_alter_table("found_vulnerability") as batch:
        batch.drop_index(batch.f("ix_found_vulnerability_report"))
        batch.drop_index(batch.f("ix_found_vulnerability_name"))

    op.drop_table("found_vulnerability")
    with op.batch_alter_table("found_key") as batch:
        batch.drop_index(batch.f("ix_found_key_report"))
        batch.drop_index(batch.f("ix_found_key_fingerprint"))

    op.drop_table("found_key")
    with op.batch_alter_table("found_component") as batch:
        batch.drop_index(batch.f("ix_found_component_report"))
        batch.drop_index(batch.f("ix_found_component_name"))

    op.drop_table("found_component")
    with op.batch_alter_table("access") as batch:
        batch.drop_index(batch.f("ix_access_at"))

    op.drop_table("access")
