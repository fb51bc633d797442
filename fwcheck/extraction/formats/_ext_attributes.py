"""Extended attributes of ext inodes, and the encryption context among them.

Behind the fields of an inode (magic EA020000, then entries), or in a block of its own (header of 32 bytes, then entries).
An entry: length of the name, index of its prefix, offset of the value (from the first entry, or from the block's
beginning), inode of a large value, size, hash, name. Source: Linux kernel documentation, ``filesystems/ext4/attributes``;
for fscrypt: ``include/uapi/linux/fscrypt.h``.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

import msgspec

from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.members import decoded

MAGIC = b"\x00\x00\x02\xea"
SYSTEM, ENCRYPTION = 7, 9
SHOWN = 16  # attributes of one inode
_PREFIXES = {
    1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security.", 7: "system.",
    8: "system.richacl",
}  # fmt: skip
_MODES = {
    1: "AES-256-XTS", 4: "AES-256-CBC-CTS", 5: "AES-128-CBC-ESSIV", 6: "AES-128-CBC-CTS", 7: "SM4-XTS", 8: "SM4-CBC-CTS",
    9: "Adiantum", 10: "AES-256-HCTR2",
}  # fmt: skip


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute; ``at`` is where its value stands in the area it was read from."""

    index: int
    name: bytes
    at: int
    value: bytes


def of_inode(body: bytes) -> Iterator[Attribute]:
    """The attributes in the bytes behind the first 128 of an inode."""
    start = int.from_bytes(body[:2], "little")  # extra fields in use
    if start >= 4 and len(body) >= start + 4 and body[start : start + 4] == MAGIC:
        yield from _entries(body, start + 4, start + 4)


def of_block(block: bytes) -> Iterator[Attribute]:
    """The attributes in a block of their own."""
    if block[:4] == MAGIC:
        yield from _entries(block, 32, 0)


def _entries(area: bytes, at: int, base: int) -> Iterator[Attribute]:
    while at + 16 <= len(area) and area[at : at + 4] != b"\0\0\0\0":
        length, index, offset, inode, size = unpack_from("<BBHII", area, at)
        begin = base + offset
        if not inode and begin + size <= len(area):  # large values live in inodes of their own
            yield Attribute(index=index, name=area[at + 16 : at + 16 + length], at=begin, value=area[begin : begin + size])
        at += 16 + (length + 3 & ~3)


def shown(every: list[Attribute]) -> dict[str, str | int]:
    """Attributes as details: capabilities and labels in words."""
    out: dict[str, str | int] = {}
    for one in every[:SHOWN]:
        prefix = _PREFIXES.get(one.index)
        if prefix is not None and (one.index, one.name) != (SYSTEM, b"data"):
            name, text = attribute(f"{prefix}{decoded(one.name)}", one.value)
            out[name] = text
    return out


def encryption(every: list[Attribute]) -> str:
    """The scheme of an encrypted inode, from its context: version, mode of the contents, mode of the names."""
    for one in every:
        if one.index == ENCRYPTION and len(one.value) >= 4 and one.value[0] in (1, 2):
            contents, names = (_MODES.get(mode, f"mode {mode}") for mode in one.value[1:3])
            return f"fscrypt v{one.value[0]}, {contents} contents, {names} names"
    return "fscrypt"
