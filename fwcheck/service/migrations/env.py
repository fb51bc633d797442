"""Runs migrations on the connection that the caller opened (``Database.migrate``)."""

from __future__ import annotations

from alembic import context

from fwcheck.service.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes columns by copying tables
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
