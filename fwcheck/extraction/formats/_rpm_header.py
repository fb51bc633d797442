"""The tagged header of RPM packages: an index of (tag, type, offset, count) and a store of values, all big-endian.

Layout: magic ``8E AD E8 01``, four reserved bytes, number of index entries, length of the store (rpm.org, "RPM V4 Package
format"; include/rpm/rpmtag.h for the tags).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.members import decoded
from fwcheck.extraction.source import ByteSource

MAGIC = b"\x8e\xad\xe8\x01"
_INDEX_LIMIT = 65_536  # the limits that rpm itself sets
_STORE_LIMIT = 256 << 20
_STRING, _BINARY, _STRINGS, _TRANSLATED = 6, 7, 8, 9
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
_TEXT_LIMIT = 4096


class Header:
    """One header at ``offset``; values are read when they are asked for."""

    def __init__(self, source: ByteSource, offset: int) -> None:
        magic, count, store = struct.unpack(">4s4xII", source.read(offset, 16))
        if magic != MAGIC or count > _INDEX_LIMIT or store > _STORE_LIMIT:
            raise FormatError("no RPM header")
        self.offset: int = offset
        self.size: int = 16 + 16 * count + store
        source.check(offset, self.size)
        self._source, self._store, self._length = source, offset + 16 + 16 * count, store
        self._index: dict[int, tuple[int, int, int]] = {}
        for tag, kind, at, many in struct.iter_unpack(">IIII", source.view(offset + 16, 16 * count)):
            if at > store or kind > _TRANSLATED:
                raise FormatError("an RPM index entry outside its store")
            self._index.setdefault(tag, (kind, at, many))

    def __contains__(self, tag: int) -> bool:
        return tag in self._index

    def text(self, tag: int) -> str:
        """A string, or the first of several; empty when there is none."""
        kind, at, _ = self._index.get(tag, (0, 0, 0))
        if kind not in (_STRING, _STRINGS, _TRANSLATED):
            return ""
        raw = self._source.peek(self._store + at, min(_TEXT_LIMIT, self._length - at)).split(b"\0", 1)[0]
        return "".join(char if char.isprintable() else "?" for char in decoded(raw).replace("\n", " "))

    def number(self, tag: int) -> int | None:
        """An integer, or the first of several."""
        kind, at, many = self._index.get(tag, (0, 0, 0))
        width = _WIDTHS.get(kind, 0)
        if not width or not many or at + width > self._length:
            return None
        return int.from_bytes(self._source.view(self._store + at, width), "big")

    def binary(self, tag: int) -> bytes:
        """Bytes; empty when there are none, or more than a signature takes."""
        kind, at, many = self._index.get(tag, (0, 0, 0))
        if kind != _BINARY or at + many > self._length or many > 1 << 16:
            return b""
        return self._source.read(self._store + at, many)
