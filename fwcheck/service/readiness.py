"""Whether uploads can be taken, and whether they will be scanned: the database, the disk, the store, the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from fwcheck.service.database import Database
from fwcheck.service.log import log
from fwcheck.service.settings import Settings
from fwcheck.service.storage import Folder

TAKING = ("database", "disk", "store")  # what uploads need; a broker that is away keeps them waiting and loses none
_BELIEVED = 2.0  # seconds that an answer from elsewhere is good for: anybody may ask


class Readiness:
    """Asks each part, not too often."""

    def __init__(self, settings: Settings, database: Database, store: Folder) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._found: dict[str, bool] = {}
        self._parts: dict[str, Callable[[], bool]] = {
            "database": database.alive,
            "disk": lambda: store.free() > settings.reserve,
            "store": store.alive,
        }
        if not settings.local:
            from fwcheck.service.distributed import broker_alive  # noqa: PLC0415  # only with a broker

            self._parts["broker"] = lambda: broker_alive(settings)

    def check(self) -> dict[str, bool]:
        """Each part, and whether it answers as it has to."""
        with self._lock:
            if time.monotonic() >= self._until:
                found = {name: _good(part) for name, part in self._parts.items()}
                if found != self._found:
                    log("readiness", **{name: "good" if good else "bad" for name, good in found.items()})
                self._found, self._until = found, time.monotonic() + _BELIEVED
            return self._found


def _good(part: Callable[[], bool]) -> bool:
    try:
        return part()
    except (SQLAlchemyError, OSError):
        return False
    except Exception as error:  # noqa: BLE001  # the libraries of stores and brokers have errors of their own
        log("readiness", error=type(error).__name__)
        return False
