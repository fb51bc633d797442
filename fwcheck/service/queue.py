"""Who works at which scan. A claim is a lease that its holder renews; whoever lost it is not heard. The database is the truth.

A scan is never lost and never reported twice with different results: results are taken from the holder of the claim alone.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from fwcheck.service.database import Database
from fwcheck.service.tables import Image, Scan, now

_BACK_OFF = 5.0  # seconds before the second try, twice as much before each further one
_CANDIDATES = 8


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A scan that is to be done now, and the right to say how it ended."""

    id: str
    claim: str
    tries: int  # with this one
    name: str
    size: int
    sha256: str
    target: str | None
    problem: str  # of the try before


class Lost(Exception):
    """The claim is somebody else's by now."""


class Queue:
    """Claims, leases and endings."""

    def __init__(self, database: Database, lease: float) -> None:
        self._database = database
        self._lease = lease

    def claim(self, worker: str, scan: str | None = None) -> Claimed | None:
        """The next scan that waits, or this one; None when there is none."""
        moment = now()
        wanted = select(Scan.id).where(Scan.state == "queued", Scan.not_before <= moment)
        wanted = wanted.where(Scan.id == scan) if scan else wanted.order_by(Scan.priority, Scan.id).limit(_CANDIDATES)
        with self._database.read() as session:
            candidates = list(session.scalars(wanted))
        for id in candidates:
            mark = secrets.token_hex(16)
            values = {
                "state": "running", "claim": mark, "worker": worker, "lease": moment + timedelta(seconds=self._lease),
                "started": moment, "tries": Scan.tries + 1, "stage": "", "done": 0, "total": 0,
            }  # fmt: skip
            with self._database.write() as session:
                if _changed(session, update(Scan).where(Scan.id == id, Scan.state == "queued").values(values)):
                    row, image = session.execute(
                        select(Scan, Image).join(Image, Image.sha256 == Scan.image_sha256).where(Scan.id == id)
                    ).one()
                    return Claimed(
                        id=id, claim=mark, tries=row.tries, name=row.image_name, size=image.size, sha256=image.sha256,
                        target=row.target, problem=row.problem,
                    )  # fmt: skip
        return None

    def renew(self, held: Claimed, stage: str, done: int, total: int) -> None:
        """A sign of life, with how far the work is; raises Lost."""
        lease = now() + timedelta(seconds=self._lease)
        self._set(held, lease=lease, stage=stage[:200], done=done, total=total)

    def again(self, held: Claimed, why: str) -> None:
        """The try failed for a reason that may pass: another one, later."""
        later = now() + timedelta(seconds=_BACK_OFF * 2 ** (held.tries - 1))
        self._set(held, state="queued", claim=None, lease=None, dispatched=None, not_before=later, problem=why)

    def give_back(self, held: Claimed, seconds: float = 0) -> None:
        """Nothing was wrong with the image: the try does not count. Nobody takes it for so many seconds."""
        later = now() + timedelta(seconds=seconds)
        self._set(held, state="queued", claim=None, lease=None, dispatched=None, tries=held.tries - 1, not_before=later)

    def finish(self, session: Session, held: Claimed, **values: Any) -> None:
        """The result, in the caller's transaction; raises Lost."""
        self._set_in(session, held, claim=None, lease=None, finished=now(), **values)

    def reclaim(self, *, all_of_them: bool = False) -> int:
        """Scans whose worker gave no sign of life go back to the queue; the try counts. Gives how many.

        ``all_of_them``: also those whose lease has not ended, where it is known that no worker is left.
        """
        lost = update(Scan).where(Scan.state == "running")
        if not all_of_them:
            lost = lost.where(Scan.lease < now())
        with self._database.write() as session:
            return _changed(
                session,
                lost.values(
                    state="queued", claim=None, lease=None, dispatched=None, problem="its worker was lost", not_before=now()
                ),
            )

    def _set(self, held: Claimed, **values: Any) -> None:
        with self._database.write() as session:
            self._set_in(session, held, **values)

    def _set_in(self, session: Session, held: Claimed, **values: Any) -> None:
        if not _changed(session, update(Scan).where(Scan.id == held.id, Scan.claim == held.claim).values(values)):
            raise Lost(held.id)


def _changed(session: Session, statement: Any) -> int:
    result: CursorResult[Any] = session.execute(statement.execution_options(synchronize_session=False))  # type: ignore[assignment]
    return result.rowcount
