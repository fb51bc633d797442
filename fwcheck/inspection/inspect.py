"""One content → its facts: pure, bounded, and never raising for any bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TypeVar

from fwcheck.inspection import catalogue, keys, kinds, text
from fwcheck.inspection.patterns import Scan
from fwcheck.model import ElfFacts, Facts

CODE_VERSION = 1  # raised by hand when the same bytes give other facts
_MATCHES = 512  # matches of one pattern that are looked at
_ENTROPY_SAMPLE = 64 << 10
_ENTROPY_FROM = 1 << 10
_ENTROPY_PIECES = 16
T = TypeVar("T")


def _version() -> str:
    digest = hashlib.sha256(f"code {CODE_VERSION}\n".encode())
    for name, data in sorted(catalogue.data_files().items()):
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


INSPECTOR_VERSION = _version()
"""Changes with the code number and with every byte of the built-in patterns and rules: part of the cache key."""


def inspect(content: bytes | memoryview) -> Facts:
    """The facts of a content held in memory (meant for up to 64 MiB). What could not be read stands in ``problems``."""
    raw = bytes(content)
    problems: list[str] = []
    kind = _guarded("kind", lambda: kinds.identify(raw), kinds.Kind("binary"), problems)
    scan = _guarded("patterns", lambda: _scan(raw, problems), Scan({}, noisy=False), problems)
    found = _guarded("keys", lambda: keys.read_keys(raw, scan), keys.Found((), (), ()), problems)
    problems += found.problems
    return Facts(
        sha256=hashlib.sha256(raw).hexdigest(),
        size=len(raw),
        kind=kind.kind,
        interpreter=kind.interpreter,
        entropy=entropy_of(raw) if kind.kind == "binary" and len(raw) >= _ENTROPY_FROM else None,
        elf=_guarded("elf", lambda: _elf(raw), None, problems) if kind.kind == "elf" else None,
        keys=found.keys,
        certificates=found.certificates,
        banners=tuple(catalogue.banner_hits(catalogue.builtin(), scan, kind.kind)),
        patterns=tuple(catalogue.secret_hits(catalogue.builtin(), scan, kind.kind)),
        problems=tuple(problems),
        text=text.text_of(raw, kind.kind),
    )


def _scan(raw: bytes, problems: list[str]) -> Scan:
    scan = catalogue.builtin().patterns.scan(raw, _MATCHES)
    if scan.noisy:
        problems.append("patterns: too many candidates, some matches may be missing")
    return scan


def _guarded(part: str, read: Callable[[], T], otherwise: T, problems: list[str]) -> T:
    """The result of one inspector. A fault of an inspector costs its own facts and is told, never the others'."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  # hostile bytes reach native parsers: a Rust panic is a BaseException
        problems.append(f"{part}: {type(error).__name__}: {error}"[:200])
        return otherwise


def _elf(raw: bytes) -> ElfFacts:
    from fwcheck.inspection.elf import read_elf  # noqa: PLC0415  # contents without ELF files do without it

    return read_elf(raw)


def entropy_of(raw: bytes) -> float:
    """Shannon entropy in bits per byte, of at most 64 KiB taken evenly from the content."""
    if len(raw) > _ENTROPY_SAMPLE:
        piece = _ENTROPY_SAMPLE // _ENTROPY_PIECES
        step = (len(raw) - piece) // (_ENTROPY_PIECES - 1)
        raw = b"".join(raw[index * step : index * step + piece] for index in range(_ENTROPY_PIECES))
    counts = (raw.count(value) for value in range(256))
    total = len(raw)
    return round(-sum(count / total * math.log2(count / total) for count in counts if count), 3)
