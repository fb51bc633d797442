"""The audit log: every request, who sent it, how it was answered. What changes something is on the disk before its answer."""

from __future__ import annotations

import queue
import threading
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from fwcheck.service import nouns
from fwcheck.service.database import Database
from fwcheck.service.log import log
from fwcheck.service.tables import Access, new_id, now

_BATCH = 500
_EVERY = 0.5  # seconds that reading accesses may wait to be written
_WAITING = 20_000  # more are written by who caused them


class Audit:
    """Writes accesses; those that only read are gathered for a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._gather, name="audit", daemon=True)

    def start(self) -> None:
        """Begins to gather."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits."""
        self._waiting.put(None)
        self._thread.join()

    def note(self, *, lasting: bool, **facts: Any) -> None:
        """Notes an access. ``lasting``: it changed something, so it is written now."""
        row = {"id": new_id(), "at": now(), **facts}
        if lasting or self._waiting.qsize() > _WAITING:
            self._write([row])
        else:
            self._waiting.put(row)

    def _gather(self) -> None:
        while True:
            rows = [self._waiting.get()]
            threading.Event().wait(_EVERY if rows[0] is not None else 0)
            while len(rows) < _BATCH and not self._waiting.empty():
                rows.append(self._waiting.get())
            self._write([row for row in rows if row is not None])
            if None in rows:
                return

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        try:
            with self._database.write() as session:
                session.execute(insert(Access), rows)
        except SQLAlchemyError as error:
            log("audit log not written", accesses=len(rows), error=type(error).__name__)
            for row in rows:
                log("access", **{key: str(value) for key, value in row.items()})


def accesses(session: Session, before: str | None, limit: int) -> nouns.Accesses:
    """The log, the newest first."""
    query = select(Access).order_by(Access.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Access.id < before)
    rows = list(session.scalars(query))
    items = [
        nouns.Access(
            at=row.at, token=row.token_id, name=row.name, client=row.client, method=row.method, path=row.path, status=row.status,
            request=row.request, what=row.what,
        )
        for row in rows[:limit]
    ]  # fmt: skip
    return nouns.Accesses(items=items, next=rows[limit - 1].id if len(rows) > limit else None)
