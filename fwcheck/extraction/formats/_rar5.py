"""RAR 5 blocks (RARLAB, "RAR 5.0 archive format"): CRC32, size, type, flags, sizes of extra area and data, fields by type.

Numbers are of seven bits per byte, least significant first, the high bit set in all bytes but the last.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.members import decoded
from fwcheck.extraction.source import ByteSource

MAIN, FILE, SERVICE, ENCRYPTION, END = 1, 2, 3, 4, 5
_HEADER_LIMIT = 2 << 20
_CRYPT, _REDIRECTION = 1, 5
_LINKS = {1: "symbolic", 2: "symbolic", 3: "junction", 4: "hard", 5: "copy"}


class Fields:
    """Values of a header, in order; raises FormatError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise FormatError("a RAR header that ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise FormatError("a RAR number of more than ten bytes")


class Block(msgspec.Struct, kw_only=True):
    """One block: its type and flags, what follows in the header, and where its data lie."""

    type: int
    flags: int
    fields: bytes
    extra: bytes
    data: int
    size: int

    @property
    def end(self) -> int:
        return self.data + self.size


class File(msgspec.Struct, kw_only=True):
    """A file header."""

    name: str
    size: int
    mode: int
    directory: bool
    mtime: int
    crc: int | None
    method: int
    encrypted: bool = False
    link: str = ""
    target: str = ""


def block(source: ByteSource, at: int) -> Block:
    """The block at ``at``; raises FormatError."""
    head = Fields(source.peek(at + 4, 3))
    length = head.number()
    if not 2 <= length <= _HEADER_LIMIT:
        raise FormatError("a RAR header of an odd size")
    raw = source.read(at + 4, head.at + length)
    if zlib.crc32(raw) != int.from_bytes(source.view(at, 4), "little"):
        raise FormatError(f"the CRC32 of the RAR header at 0x{at:x} is wrong")
    fields = Fields(raw)
    fields.number()
    kind, flags = fields.number(), fields.number()
    extra = fields.number() if flags & 1 else 0
    size = fields.number() if flags & 2 else 0
    rest = raw[fields.at :]
    if extra > len(rest):
        raise FormatError("a RAR header with more extra area than bytes")
    return Block(
        type=kind,
        flags=flags,
        fields=rest[: len(rest) - extra],
        extra=rest[len(rest) - extra :],
        data=at + 4 + len(raw),
        size=size,
    )


def file(one: Block) -> File:
    """The file that a block describes; raises FormatError."""
    fields = Fields(one.fields)
    flags, size, attributes = fields.number(), fields.number(), fields.number()
    mtime = int.from_bytes(fields.take(4), "little") if flags & 2 else 0
    crc = int.from_bytes(fields.take(4), "little") if flags & 4 else None
    method = fields.number() >> 7 & 7
    unix = fields.number() == 1
    name = decoded(fields.take(fields.number()))
    mode = attributes & 0xFFFF if unix else 0o40755 if flags & 1 else 0o644
    found = File(name=name, size=size, mode=mode, directory=bool(flags & 1), mtime=mtime, crc=crc, method=method)
    for kind, data in _records(one.extra):
        if kind == _CRYPT:
            found.encrypted = True
        elif kind == _REDIRECTION:
            inner = Fields(data)
            found.link = _LINKS.get(inner.number(), "unknown")
            inner.number()
            found.target = decoded(inner.take(inner.number()))
    return found


def _records(extra: bytes) -> Iterator[tuple[int, bytes]]:
    fields = Fields(extra)
    while fields.at < len(extra):
        record = Fields(fields.take(fields.number()))
        kind = record.number()
        yield kind, record.data[record.at :]
