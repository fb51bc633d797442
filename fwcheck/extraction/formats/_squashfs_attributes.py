"""Extended attributes of SquashFS 4: capabilities, labels and what users wrote.

The table of attribute sets begins with 16 bytes: where the attributes begin (8), how many sets there are (4), unused (4); the
pointers to its metadata blocks follow. A set, 16 bytes: place of its first attribute (48 bits block, 16 bits offset in it),
attributes (4), bytes of their names and values (4). An attribute: kind of prefix (2; 0x100: its value lies elsewhere), size of
the name (2), name, size of the value (4), value, or the place of size and value (8). Source: ``fs/squashfs/squashfs_fs.h``.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._squashfs_blocks import Blocks
from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.members import decoded

NONE = 0xFFFFFFFF
_PREFIXES = {0: "user.", 1: "trusted.", 2: "security."}
_ELSEWHERE = 0x100
_SHOWN = 16
_NAME_LIMIT, _SIZE_LIMIT = 255, 1 << 16  # as the kernel has them
_READ = 256  # bytes of a value that are read: more is not shown
_ALLOWED = 32 << 20  # bytes of all attributes of an image that are passed over
_COST = 64  # of one, besides its bytes


class Attributes:
    """The attribute sets of one image; each is read once."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._allowed = _ALLOWED
        self._known: dict[int, dict[str, str | int]] = {}
        order = "<" if blocks.layout.order == "little" else ">"
        self._header, self._set = Struct(order + "QI4x"), Struct(order + "QII")
        self._entry, self._size = Struct(order + "HH"), Struct(order + "I")
        self._place = Struct(order + "Q")

    def of(self, index: int) -> dict[str, str | int]:
        """The attributes of an inode as rows of detail; raises FormatError when they cannot be read."""
        table = self._blocks.head.attributes_start
        if index == NONE or table < 0:
            return {}
        known = self._known.get(index)
        if known is None:
            known = self._known[index] = dict(self._rows(table, index))
        return known

    def _rows(self, table: int, index: int) -> Iterator[tuple[str, str]]:
        begin, sets = self._header.unpack(self._blocks.view(table, 16))
        if index >= sets:
            raise FormatError(f"set {index} of {sets} extended attributes")
        # The bytes that a set tells are those its user sees, not those that are stored.
        place, count, _ = self._set.unpack(self._blocks.indexed(table + 16, index, 16))
        at, offset = begin + (place >> 16), place & 0xFFFF
        for _ in range(min(count, _SHOWN)):
            kind, length = self._entry.unpack(self._blocks.span(at, offset, 4))
            if length > _NAME_LIMIT:
                raise FormatError(f"the name of an extended attribute of {length} bytes")
            name = self._blocks.span(at, offset + 4, length)
            stored, value = self._value(at, offset + 4 + length)
            offset += 8 + length + stored
            if kind & _ELSEWHERE:
                if stored != 8:
                    raise FormatError("an extended attribute whose value lies nowhere")
                (place,) = self._place.unpack(value)
                _, value = self._value(begin + (place >> 16), place & 0xFFFF)
            prefix = _PREFIXES.get(kind & 0xFF)
            if prefix is not None:
                yield attribute(f"{prefix}{decoded(name)}", value)

    def _value(self, at: int, offset: int) -> tuple[int, bytes]:
        """Size of a value and its first bytes."""
        (size,) = self._size.unpack(self._blocks.span(at, offset, 4))
        if size > _SIZE_LIMIT:
            raise FormatError(f"an extended attribute of {size} bytes")
        self._allowed -= _COST + size
        if self._allowed < 0:
            raise FormatError(f"more than {_ALLOWED} bytes of extended attributes")
        return size, self._blocks.span(at, offset + 4, min(size, _READ))
