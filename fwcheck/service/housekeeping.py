"""What nobody needs any longer goes: images and reports after their time, unfinished uploads, old accesses.

A scan that waits or runs keeps its image. The newest finished version of each product keeps its report whatever its age.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from fwcheck.service.context import Context
from fwcheck.service.indexing import catch_up
from fwcheck.service.log import log
from fwcheck.service.searching import TABLES
from fwcheck.service.storage import image_key
from fwcheck.service.tables import (
    Access,
    Answered,
    Delivery,
    Image,
    Product,
    Scan,
    Upload,
    Visit,
    now,
)

_EVERY = 600.0  # seconds between two rounds
_KEYS = timedelta(days=7)  # that idempotency keys are remembered
_DAILY = 144  # rounds
_BATCH = 200
_ORPHANS = 86_400.0  # seconds


class Housekeeper:
    """Keeps order in the background."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begins with a round."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stop.set()
        self._thread.join(30)

    def _loop(self) -> None:
        rounds = 0
        while True:
            try:
                gone = tidy(self._context, orphans=rounds % _DAILY == 0)
                rounds += 1
                if count := catch_up(self._context, self._stop.is_set):
                    log("indexed", reports=count)
                if any(gone.values()):
                    log("housekeeping", **gone)
            except (SQLAlchemyError, OSError) as error:
                log("housekeeping failed", error=type(error).__name__)
            if self._stop.wait(_EVERY):
                return


def tidy(context: Context, moment: datetime | None = None, *, orphans: bool = True) -> dict[str, int]:
    """One round; gives how many of each went."""
    settings, at = context.settings, moment or now()
    gone = {"images": 0, "reports": 0}
    if settings.keep_images_days:
        gone["images"] = _images(context, at - timedelta(days=settings.keep_images_days))
    if settings.keep_reports_days:
        gone["reports"] = _reports(context, at - timedelta(days=settings.keep_reports_days))
    with context.database.write() as session:
        session.execute(delete(Answered).where(Answered.created < at - _KEYS))
        session.execute(delete(Visit).where(Visit.expires < at))
        session.execute(delete(Delivery).where(Delivery.state != "waiting", Delivery.due < at - _KEYS))
        if settings.keep_accesses_days:
            session.execute(delete(Access).where(Access.at < at - timedelta(days=settings.keep_accesses_days)))
        late = Upload.created < at - timedelta(hours=settings.keep_uploads_hours)
        unfinished = list(session.scalars(select(Upload.id).where(late)))
        session.execute(delete(Upload).where(Upload.id.in_(unfinished)))
    for id in unfinished:
        context.store.drop(id)
    gone["uploads"] = context.store.sweep(time.time() - 3600 * settings.keep_uploads_hours)
    if orphans:
        gone["orphans"] = _orphans(context)
    return gone


def _orphans(context: Context) -> int:
    """Images that were stored, and then the service died before their scan was entered."""
    count = 0
    for sha256 in context.store.images(time.time() - _ORPHANS):
        with context.database.write() as session:
            row = session.get(Image, sha256)
            if row is None or row.removed is not None:
                context.store.remove(image_key(sha256))
                count += 1
    return count


def _images(context: Context, before: datetime) -> int:
    """Images whose last scan was asked for before that time. The row goes first: an upload in this moment stores it again."""
    needed = exists().where(Scan.image_sha256 == Image.sha256, (Scan.created >= before) | Scan.state.in_(("queued", "running")))
    with context.database.read() as session:
        old = list(
            session.scalars(select(Image.sha256).where(Image.removed.is_(None), Image.stored < before, ~needed).limit(_BATCH))
        )
    count = 0
    for sha256 in old:
        with context.database.write() as session:
            mark = update(Image).where(Image.sha256 == sha256, Image.removed.is_(None), ~needed).values(removed=now())
            if session.execute(mark.execution_options(synchronize_session=False)).rowcount:  # type: ignore[attr-defined]
                context.store.remove(image_key(sha256))
                count += 1
    return count


def _reports(context: Context, before: datetime) -> int:
    """Reports that no scan since then refers to, unless they are a product's newest or a baseline."""
    newest = select(func.max(Scan.id)).where(Scan.state == "done").group_by(Scan.product_id)
    out = select(func.max(Scan.id)).where(Scan.state == "done", Scan.released.is_not(None)).group_by(Scan.product_id)
    chosen = select(Product.baseline).where(Product.baseline.is_not(None))
    needed = Scan.id.in_(newest) | Scan.id.in_(out) | Scan.id.in_(chosen)
    kept = select(Scan.report).where(Scan.report.is_not(None), (Scan.created >= before) | needed)
    with context.database.read() as session:
        old = list(
            session.scalars(
                select(Scan.report).distinct().where(Scan.report.is_not(None), Scan.report.not_in(kept)).limit(_BATCH)
            )
        )
    for key in old:
        assert key is not None
        with context.database.write() as session:
            session.execute(update(Scan).where(Scan.report == key).values(report=None))
            for table in TABLES:
                session.execute(delete(table).where(table.report == key))
        context.store.remove(key)
    return len(old)
