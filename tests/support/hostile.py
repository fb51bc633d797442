"""Hostile input for parsers: truncations, mutations, and the one promise that has to hold for all of them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import islice

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.format import Container, Entry, Format
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

LIMITS = Limits(bytes_stream=64 << 20, ratio_floor=8 << 20, nodes=20_000)


def exercise(format: Format, data: bytes, offset: int = 0, members: int = 2000) -> Container | None:
    """Opens, lists and reads whatever ``data`` gives; anything but an ExtractionError on the way is the test's failure."""
    source = Memory(data)
    try:
        container = format.open(source, offset, LIMITS)
    except ExtractionError:
        return None
    assert 0 < container.size <= source.size - offset
    assert 0 <= container.before <= offset
    try:
        for entry in islice(container.entries, members):
            read(entry)
    except ExtractionError:
        pass
    return container


def read(entry: Entry) -> bytes | None:
    """The first mebibyte of a member, or None when it cannot be read."""
    if entry.open is None:
        return None
    try:
        content = entry.open()
        return content.peek(0, 1 << 20)
    except ExtractionError:
        return None


def truncations(data: bytes, count: int, seed: int = 1) -> Iterator[bytes]:
    """``data`` cut short: at every one of the first bytes, near the end, and at random places."""
    chance = random.Random(seed)
    cuts = {*range(0, min(64, len(data)), 7), *(len(data) - n for n in (1, 2, 16, 512) if n < len(data))}
    cuts |= {chance.randrange(len(data)) for _ in range(count)}
    for cut in sorted(cuts):
        yield data[:cut]


def mutations(data: bytes, seconds: float, seed: int = 7, hot: tuple[tuple[int, int], ...] = ()) -> Iterator[bytes]:
    """Copies of ``data`` with a few bytes changed, for ``seconds``; half of the changes fall into the ``hot`` ranges."""
    chance, until = random.Random(seed), time.monotonic() + seconds
    spots = hot or ((0, len(data)),)
    while time.monotonic() < until:
        copy = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            begin, end = chance.choice(spots) if chance.random() < 0.5 else (0, len(data))
            at = chance.randrange(begin, min(end, len(data)))
            value = chance.choice(
                (b"\0", b"\xff", b"\x7f", b"\x80", b"\1", b"\xff\xff\xff\xff", b"\0\0\0\0", bytes([chance.randrange(256)]))
            )
            copy[at : at + len(value)] = value
        yield bytes(copy[: len(data)])
