"""What firmware containers share: parts that are windows of the source, and sums over ranges of it."""

from __future__ import annotations

import zlib

import msgspec

from fwcheck.extraction.format import Entry
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind


def part(
    source: ByteSource, name: str, offset: int, size: int, detail: dict[str, str | int] | None = None, mtime: int = 0
) -> Entry:
    """A part stored as it is: ``size`` bytes at ``offset`` of ``source``, which the caller has clamped to it."""
    return Entry(
        path=name,
        kind=NodeKind.REGION,
        size=size,
        mtime=mtime,
        offset=offset,
        role="part",
        detail=detail or {},
        locality=offset,
        open=lambda: source.window(offset, size),
    )


def code(source: ByteSource, name: str, offset: int, size: int) -> Entry:
    """A piece of machine code that its container explains: read as a content of its own, like a file."""
    return msgspec.structs.replace(part(source, name, offset, size), role="file")


def crc32(source: ByteSource, offset: int, size: int, value: int = 0) -> int:
    """CRC-32 (IEEE 802.3) of a range, continued from ``value``."""
    for chunk in source.window(offset, size).chunks():
        value = zlib.crc32(chunk, value)
    return value


def words(raw: bytes) -> str:
    """A zero-terminated field as printable text."""
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in text)
