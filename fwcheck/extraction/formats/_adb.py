"""Values of apk's database format (apk-tools, doc/apk-v3.5.scd and src/adb.h).

A value is a 32-bit word, little-endian: the type in the high four bits, below them the value itself or the offset in the block
where it stands. Objects and arrays are a count that includes itself, and as many values; blobs a length and bytes.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError

_INT, _INT32, _INT64, _ARRAY, _OBJECT = 0x1, 0x2, 0x3, 0xD, 0xE
_BLOBS = {0x8: 1, 0x9: 2, 0xA: 4}
_SLOTS = 1 << 20


class Block:
    """The block that holds all values; ``root`` is its outermost object. Wrong types are read as nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        if len(data) < 8:
            raise FormatError("an apk database without a root")
        self.root: int = struct.unpack_from("<I", data, 4)[0]

    def items(self, value: int) -> tuple[int, ...]:
        """The values of an object or array, counted from one as the schemas do; slot zero is not among them."""
        kind, at = value >> 28, value & 0x0FFFFFFF
        if kind not in (_ARRAY, _OBJECT) or at + 4 > len(self._data):
            return ()
        (count,) = struct.unpack_from("<I", self._data, at)
        if not 1 <= count <= _SLOTS or at + 4 * count > len(self._data):
            raise FormatError("an apk object that does not fit its block")
        return struct.unpack_from(f"<{count - 1}I", self._data, at + 4)

    def field(self, value: int, index: int) -> int:
        """One field of an object, by its number in the schema; 0 (null) when it has none."""
        found = self.items(value)
        return found[index - 1] if 0 < index <= len(found) else 0

    def number(self, value: int) -> int:
        """An integer; 0 for null."""
        kind, at = value >> 28, value & 0x0FFFFFFF
        if kind == _INT:
            return at
        width = {_INT32: 4, _INT64: 8}.get(kind, 0)
        return int.from_bytes(self._data[at : at + width], "little")

    def blob(self, value: int) -> bytes:
        """Bytes; none for null, and for what does not fit."""
        width, at = _BLOBS.get(value >> 28, 0), value & 0x0FFFFFFF
        if not width or at + width > len(self._data):
            return b""
        length = int.from_bytes(self._data[at : at + width], "little")
        return self._data[at + width : at + width + length]
