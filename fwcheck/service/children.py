"""A worker's children: it keeps one process with everything loaded (:mod:`fwcheck.service.preloaded`), which forks them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import msgspec

from fwcheck.service.jobs import Base, Job
from fwcheck.service.knowledge import file_state

_PROGRAM = ("-P", "-m", "fwcheck.service.preloaded")
_RECYCLED = 200  # children after which the process is made anew: other addresses, and nothing piles up
_BEGUN = 1.0  # seconds that it gets to say that it has begun one, when that is over already
_ANSWER = 30.0  # seconds that it gets to end a child
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "XDG_DATA_HOME", "FWCHECK_DB")  # of the environment; no secret is in it


class Child:
    """A process that reads one image. ``output``: the descriptor that it says its lines to."""

    def __init__(self, owner: Children, output: int) -> None:
        self.output = output
        self._owner = owner

    def end(self) -> int | None:
        """Kills it with all that it started; gives its exit status, negative for a signal, None when nobody knows."""
        with contextlib.suppress(OSError):
            os.close(self.output)
        return self._owner.ended()


class Children:
    """Makes children, one at a time. The process behind it starts with the first one."""

    def __init__(self, cache: str | None, knowledge: str | None, program: Sequence[str] = _PROGRAM) -> None:
        self.cache = cache
        self.knowledge = knowledge
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._left = 0
        self._loaded: object = None

    @property
    def pid(self) -> int | None:
        """The process that has everything loaded, where there is one."""
        return self._process.pid if self._process is not None else None

    def start(self, job: Job, errors: int) -> Child:
        """A child that does this job; what it writes to standard error goes to ``errors``."""
        state = file_state(self.knowledge)
        if self._process is None or self._process.poll() is not None or self._left <= 0 or state != self._loaded:
            self.close()
            self._open()
            self._left, self._loaded = _RECYCLED, state
        self._left -= 1
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            assert self._orders is not None
            with contextlib.suppress(ConnectionError):  # it ended just now: nobody will write, which says so
                socket.send_fds(self._orders, [msgspec.json.encode(job)], [writing, errors])
        finally:
            os.close(writing)
        return Child(self, reading)

    def ended(self) -> int | None:
        """Has the child at hand ended, and gives how it ended."""
        if self._orders is None:
            return None
        group = 0
        try:
            self._orders.send(b"end")
        except OSError:
            self._orders.shutdown(socket.SHUT_WR)  # it is gone; what it said is still there
        try:
            self._orders.settimeout(_BEGUN)  # while it still loads, no child is there yet: that is not waited for
            group = int(self._orders.recv(64))
            self._orders.settimeout(_ANSWER)
            return int(self._orders.recv(64))
        except (OSError, ValueError):  # it is gone, or does not answer: its child goes with it, and what that started by us
            self.close()
            if group:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
            return None

    def close(self) -> None:
        """Ends the process."""
        process, orders = self._process, self._orders
        self._process = self._orders = None
        if orders is not None:
            orders.close()
        if process is not None:
            process.kill()
            process.wait()

    def _open(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        base = Base(parent=os.getpid(), cache=self.cache, knowledge=self.knowledge)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *self._program, msgspec.json.encode(base).decode()],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir(), env=environment,
                start_new_session=True,
            )  # fmt: skip
        self._orders = ours
