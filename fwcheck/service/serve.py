"""``fwcheck serve``: one process that answers requests, and local workers beside it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import uvicorn

from fwcheck.service import tokens
from fwcheck.service.api.app import application
from fwcheck.service.context import Context
from fwcheck.service.hooks import Teller
from fwcheck.service.housekeeping import Housekeeper
from fwcheck.service.log import log
from fwcheck.service.settings import Settings

_RESTART = 0.5  # seconds before a worker that ended is replaced; twice as long each time that it ends at once
_LONGEST = 30.0
_CLOSING = 10  # seconds that open requests get when the service stops


class Taken(Exception):
    """Something that only one service may have is held by another one."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests are taken."""

    host: str = "127.0.0.1"
    port: int = 8400
    certificate: Path | None = None
    key: Path | None = None


def serve(settings: Settings, address: Address) -> int:
    """Runs until it is told to stop."""
    context = Context(settings)
    lock = _Lock(settings.data / "lock")
    context.database.migrate()
    with context.database.write() as session:
        secret = tokens.first(session)
    if settings.local and (count := context.queue.reclaim(all_of_them=True)):
        log("reclaimed", scans=count)  # with the lock in our hands no worker of this folder is left
    listener = _listen(address)
    port = listener.getsockname()[1]
    host = f"[{address.host}]" if ":" in address.host else address.host
    scheme = "https" if address.certificate else "http"
    print(f"fwcheck: serving {scheme}://{host}:{port}", file=sys.stderr)
    if secret is not None:
        print(f"fwcheck: token of the first administrator, said this once: {secret}", file=sys.stderr, flush=True)
    housekeeper, teller = Housekeeper(context), Teller(context.database, context.key, inside=settings.hooks_inside)
    crew = Crew(settings, settings.worker_count if settings.local else 0)
    config = uvicorn.Config(
        application(context),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=_CLOSING,
        timeout_keep_alive=30,
        limit_concurrency=1000,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        lifespan="on",
    )
    crew.start()
    helpers: list[_Helper] = [context.audit, housekeeper, teller, *_dispatcher(context)]
    for each in helpers:
        each.start()
    try:
        _Server(config).run(sockets=[listener])
    finally:
        crew.stop()
        for each in reversed(helpers):
            each.stop()
        context.close()
        lock.close()
    return 0


class _Helper(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


def _dispatcher(context: Context) -> list[_Helper]:
    if context.settings.local:
        return []
    from fwcheck.service.distributed import Dispatcher  # noqa: PLC0415  # only with a broker

    return [Dispatcher(context)]


class _Lock:
    """The folder is ours until the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise Taken(f"{path.parent} is in use by another service") from error

    def close(self) -> None:
        os.close(self._descriptor)


class _Server(uvicorn.Server):
    """Ends when it is told to, and then lets us end the workers; the original raises the signal again and is gone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends on SIGINT and SIGTERM."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if number == signal.SIGINT else signal.SIG_IGN)


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        raise Taken(f"{address.host}:{address.port}: {error.strerror}") from error
    listener.listen(512)
    return listener


class Crew:
    """The local workers: each that ends is replaced."""

    def __init__(self, settings: Settings, count: int) -> None:
        self._settings = settings
        self._count = count
        self._stopping = threading.Event()
        self._members: list[subprocess.Popen[bytes]] = []
        # Workers end when the thread that made them does: one thread makes them all and stays.
        self._thread = threading.Thread(target=self._watch, name="crew")

    def start(self) -> None:
        """Starts them."""
        if self._count:
            self._thread.start()

    def stop(self) -> None:
        """Lets running scans finish for a while; then they go back to the queue."""
        self._stopping.set()
        if self._count:
            self._thread.join()

    def _watch(self) -> None:
        wait, begun = _RESTART, time.monotonic()
        self._members = [self._hire() for _ in range(self._count)]
        while not self._stopping.wait(0.2):
            for number, member in enumerate(self._members):
                if member.poll() is None:
                    continue
                wait = _RESTART if time.monotonic() - begun > _LONGEST else min(_LONGEST, wait * 2)
                log("worker ended", status=member.returncode, next_in=wait)
                if self._stopping.wait(wait):
                    break
                begun = time.monotonic()
                self._members[number] = self._hire()
        for member in self._members:
            if member.poll() is None:
                member.send_signal(signal.SIGTERM)
        until = time.monotonic() + self._settings.grace + 5
        for member in self._members:
            try:
                member.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.kill()
                member.wait()

    def _hire(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        code = "import sys; from fwcheck.service.worker import hired; sys.exit(hired())"
        member = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment, start_new_session=True
        )  # an interrupt at the terminal is ours to pass on
        assert member.stdin is not None
        member.stdin.write(msgspec.json.encode({"parent": os.getpid(), "settings": self._settings}, enc_hook=str) + b"\n")
        member.stdin.close()
        return member
