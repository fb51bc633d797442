"""Gets patterns, rules and native libraries ready before processes are forked, so that all of them share one copy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from fwcheck.inspection import catalogue, yara_rules
from fwcheck.inspection.cache import usable
from fwcheck.inspection.inspect import INSPECTOR_VERSION
from fwcheck.inspection.patterns import PatternSet

_PREFIX = "patterns-"
_LARGEST = 64 << 20


def begin(directory: Path | None = None) -> Callable[[], None]:
    """Starts getting ready, and gives what has to be called before anything is inspected; neither raises.

    Compiling the patterns takes 0.3 s: a child does it and hands the database over as bytes, while the caller reads the
    structure of the image. With a ``directory`` that nobody else can write to, the database is
    kept there and not compiled again.
    """
    patterns = catalogue.builtin().patterns
    name = f"{_PREFIX}{INSPECTOR_VERSION}-{patterns.fingerprint}.db"
    path = directory / name if directory is not None and usable(directory) else None
    if patterns.ready:
        if path is not None and not path.exists():
            _keep(path, patterns.dump() or b"")
        return _libraries
    if path is not None:
        with contextlib.suppress(OSError):
            if patterns.restore(path.read_bytes()):
                return _libraries
    compiled = _compile_aside(patterns)

    def finish() -> None:
        _libraries()
        data = compiled()
        if not patterns.restore(data):
            patterns.scan(b"\0")
            data = patterns.dump() or b""
        if path is not None:
            _keep(path, data)

    return finish


def preload(directory: Path | None = None) -> None:
    """Gets everything ready at once."""
    begin(directory)()


def _libraries() -> None:
    yara_rules.scan(b"\0", "binary", [])
    import fwcheck.inspection.elf  # noqa: F401, PLC0415


class _Aside:
    """A child that compiles; calling it waits for the database. Empty bytes: it did not work out."""

    def __init__(self, child: int, pipe: int) -> None:
        self._child = child
        self._pipe = pipe

    def __call__(self) -> bytes:
        parts: list[bytes] = []
        with contextlib.suppress(OSError), open(self._pipe, "rb") as stream:  # noqa: PTH123  # a file descriptor, not a path
            parts.append(stream.read(_LARGEST))
        with contextlib.suppress(OSError):
            os.waitpid(self._child, 0)
        return b"".join(parts)


def _compile_aside(patterns: PatternSet) -> _Aside:
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return _Aside(child, reading)
    try:
        os.close(reading)
        with open(writing, "wb") as stream:  # noqa: PTH123
            stream.write(patterns.dump() or b"")
    finally:
        os._exit(0)


def _keep(path: Path, data: bytes) -> None:
    if not data:
        return
    with contextlib.suppress(OSError):
        for old in path.parent.glob(f"{_PREFIX}*"):
            old.unlink(missing_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(data)
        fresh.replace(path)
