"""The database: sessions that read, sessions that write, and its migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

_BUSY = 30  # seconds that a writer waits for another one
_LOCK = 0x66776368  # "fwch": advisory lock under which PostgreSQL is migrated


class Database:
    """Sessions over one engine. SQLite: WAL, and a session that writes says so when it begins, so that none fails half-way."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lite = url.startswith("sqlite")
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 40}
        if self.lite:
            options = {"connect_args": {"timeout": _BUSY}}
        self.engine: Engine = create_engine(url, **options)
        if self.lite:
            event.listen(self.engine, "connect", _prepare)
            event.listen(self.engine, "begin", _begin)
        self._writing = self.engine.execution_options(writing=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that changes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are kept when the block ends, all or none."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def migrate(self) -> None:
        """Brings the tables to the newest version."""
        from alembic import command  # noqa: PLC0415  # only who starts a service migrates
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with self._writing.begin() as connection:
            if not self.lite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def alive(self) -> bool:
        """Whether it answers."""
        with self.engine.connect() as connection:
            return connection.execute(text("SELECT 1")).scalar() == 1

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def away(error: DBAPIError) -> bool:
    """Whether the trouble is the database or the way to it, which passes, and not what was asked of it."""
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return True
    said = error.orig.args[0] if error.orig is not None and error.orig.args else None
    state = str(said.get("C", "")) if isinstance(said, dict) else ""  # pg8000 gives the fields of the server's message
    return state[:2] in {"08", "53", "57"}  # SQLSTATE: connection, resources, operator intervention (PostgreSQL, appendix A)


def _prepare(connection: Any, _record: object) -> None:
    """WAL lets readers and one writer work at once; FULL keeps what was committed when the power goes."""
    connection.isolation_level = None  # transactions are begun by _begin
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
