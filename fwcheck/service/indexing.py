"""The search's tables made anew from the reports that are kept: from those older than the tables, or than their present form."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import zstandard
from sqlalchemy import delete, select, update

from fwcheck.reports.json import read
from fwcheck.service.context import Context
from fwcheck.service.log import log
from fwcheck.service.searching import INDEX, TABLES, index
from fwcheck.service.tables import Scan

_BATCH = 100


def catch_up(context: Context, stopped: Callable[[], bool] = lambda: False, told: Callable[[int], None] | None = None) -> int:
    """Indexes each report that is not, until none is left or it is told to stop; gives how many. Others may do the same."""
    count = 0
    while not stopped():
        with context.database.read() as session:
            waiting = select(Scan.report).distinct().where(Scan.report.is_not(None), Scan.indexed < INDEX).limit(_BATCH)
            keys = list(session.scalars(waiting))
        for key in keys:
            if stopped():
                return count
            assert key is not None
            _one(context, key)
            count += 1
            if told is not None:
                told(count)
        if not keys:
            break
    return count


def forget(context: Context) -> None:
    """Every report is to be indexed again."""
    with context.database.write() as session:
        session.execute(update(Scan).values(indexed=0))


def _one(context: Context, key: str) -> None:
    try:
        report = read(zstandard.decompress(context.store.get(key), max_output_size=1 << 30))
    except (FileNotFoundError, zstandard.ZstdError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        log("report not indexed", report=key, error=type(error).__name__)
        report = None
    with context.database.write() as session:
        for table in TABLES:
            session.execute(delete(table).where(table.report == key))
        if report is not None:
            index(session, key, report)
        session.execute(update(Scan).where(Scan.report == key).values(indexed=INDEX))
