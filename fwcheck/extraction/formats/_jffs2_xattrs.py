"""Extended attributes of JFFS2: values with a number of their own, and references that hang them on inodes.

Layout: Linux kernel, ``include/uapi/linux/jffs2.h``; behind the common header of twelve bytes
    attribute  12 number, 16 version, 20 prefix, 21 length of the name, 22 length of the value, 24 checksum of name and value,
               28 checksum of the bytes before, 32 name, a zero, value
    reference  12 inode, 16 number, 20 sequence number (an odd one takes the attribute away), 24 checksum of the bytes before
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.members import decoded

XATTR, XREF = 0xE008, 0xE009
_ATTRIBUTE_SIZE, _REFERENCE_SIZE = 32, 28
_MOST = 16  # shown of one inode
_PREFIXES = {
    1: "user.",
    2: "security.",
    3: "system.posix_acl_access",
    4: "system.posix_acl_default",
    5: "trusted.",
}


class Attributes:
    """The newest version of every attribute and reference."""

    def __init__(self, order: str, crc: Callable[[bytes | memoryview], int]) -> None:
        self._attribute = Struct(order + "12xIIBBHII")
        self._reference = Struct(order + "12xIIII")
        self._crc = crc
        self._values: dict[int, tuple[int, str, bytes]] = {}  # number -> version, name, value
        self._references: dict[int, dict[int, int]] = {}  # inode -> number -> sequence number

    def take(self, kind: int, raw: memoryview) -> bool:
        """Takes a node in; False when its checksums are wrong."""
        return self._take_value(raw) if kind == XATTR else self._take_reference(raw)

    def _take_value(self, raw: memoryview) -> bool:
        if len(raw) < _ATTRIBUTE_SIZE:
            return False
        number, version, prefix, length, size, data_crc, node_crc = self._attribute.unpack_from(raw)
        data = raw[_ATTRIBUTE_SIZE : _ATTRIBUTE_SIZE + length + 1 + size]
        if self._crc(raw[:28]) != node_crc or len(data) < length + 1 + size or self._crc(data) != data_crc:
            return False
        known = self._values.get(number)
        if known is None or known[0] < version:
            name = _PREFIXES.get(prefix, f"{prefix}.") + decoded(data[:length])
            self._values[number] = (version, name, bytes(data[length + 1 :]))
        return True

    def _take_reference(self, raw: memoryview) -> bool:
        if len(raw) < _REFERENCE_SIZE:
            return False
        inode, number, sequence, node_crc = self._reference.unpack_from(raw)
        if self._crc(raw[:24]) != node_crc:
            return False
        references = self._references.setdefault(inode, {})
        references[number] = max(sequence, references.get(number, 0))
        return True

    def of(self, inode: int) -> dict[str, str | int]:
        """The attributes of an inode as rows of detail."""
        live = [number for number, sequence in self._references.get(inode, {}).items() if not sequence & 1]
        rows = sorted(self._values[number][1:] for number in live if number in self._values)
        return dict(attribute(name, value) for name, value in rows[:_MOST])
