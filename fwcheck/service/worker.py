"""A worker: takes scans from the database, one at a time, until it is told to stop."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import sys
import threading
import time

import msgspec
from sqlalchemy.exc import DBAPIError

from fwcheck.service.confinement import sandboxed
from fwcheck.service.database import Database
from fwcheck.service.log import log
from fwcheck.service.queue import Queue
from fwcheck.service.runner import Runner
from fwcheck.service.settings import Settings, as_path
from fwcheck.service.store import opened

_IDLE = 0.25  # seconds between two looks into the queue
_TROUBLE = 2.0  # seconds to wait when the database does not answer
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Worker:
    """One process's work. ``scans``: how many it does before it ends, so that nothing piles up; 0: no end."""

    def __init__(self, settings: Settings, scans: int = 0) -> None:
        self._settings = settings
        self._left = scans or None
        self._database = Database(settings.database_url)
        self._queue = Queue(self._database, settings.lease)
        self._runner = Runner(settings, self._database, opened(settings), self._queue)
        self._stop = threading.Event()
        self._until = float("inf")
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def stop(self, *_: object) -> None:
        """Ends after the scan at hand, or gives it back when that takes too long."""
        if not self._stop.is_set():
            self._until = time.monotonic() + self._settings.grace
            self._stop.set()

    def loop(self) -> None:
        """Works until it is told to stop."""
        swept = 0.0
        while not self._stop.is_set() and self._left != 0:
            try:
                if time.monotonic() - swept > self._settings.lease / 2:
                    swept = time.monotonic()
                    if count := self._queue.reclaim():
                        log("reclaimed", scans=count)
                if not self._one():
                    self._stop.wait(_IDLE * random.uniform(0.8, 1.2))  # noqa: S311  # workers need not look at once
            except DBAPIError as error:
                log("database", error=type(error.orig).__name__)
                self._stop.wait(_TROUBLE)
        self._runner.close()
        self._database.close()

    def _one(self) -> bool:
        held = self._queue.claim(self.name)
        if held is None:
            return False
        if self._left is not None:
            self._left -= 1
        begun = time.monotonic()
        ending = self._runner.run(held, lambda: time.monotonic() > self._until)
        log("scan", scan=held.id, ending=ending, tries=held.tries, size=held.size, seconds=round(time.monotonic() - begun, 3))
        return True


def run(settings: Settings, parent: int | None = None, scans: int = 0) -> int:
    """The life of a worker process. ``parent``: the process without which there is nothing to do."""
    if parent is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return 1
    if not sandboxed(settings):
        return 1
    worker = Worker(settings, scans)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    log("worker", name=worker.name)
    worker.loop()
    return 0


class _Hiring(msgspec.Struct, frozen=True):
    parent: int
    settings: Settings


def hired() -> int:
    """A worker that ``serve`` started: its settings come on standard input, so that no secret stands in its arguments."""
    hiring = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Hiring, dec_hook=as_path)
    return run(hiring.settings, hiring.parent)
