"""The SquashFS superblock of versions 1 to 4, in both byte orders and under vendors' magics, validated.

Source: ``fs/squashfs/squashfs_fs.h`` of Linux; ``squashfs_compat.h`` of squashfs-tools; magics from vendors' kernels.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._squashfs_layout import METADATA_SIZE, ByteOrder

# The standard magic in both byte orders; then LZMA builds of Ralink and others, DD-WRT, and Broadcom.
MAGICS = (b"hsqs", b"sqsh", b"shsq", b"qshs", b"hsqt", b"tqsh", b"sqlz", b"zlqs")

CHECK_DATA = 1 << 2  # versions 1 to 3: a marker byte follows the length of every metadata block

_VERSION_AT = 28
_SIZES = {1: 51, 2: 63, 3: 119, 4: 96}
_BLOCK_LOG = {1: (9, 16), 2: (9, 16), 3: (9, 20), 4: (12, 20)}


class Superblock(NamedTuple):
    """The fields every version has; offsets count from the superblock, ``compression`` is None before version 4."""

    magic: bytes
    order: ByteOrder
    version: int
    minor: int
    inodes: int
    created: int
    block_size: int
    block_log: int
    fragments: int
    compression: int | None
    flags: int
    users: int  # version 4: user and group ids together
    groups: int
    root: int
    size: int  # bytes used
    users_start: int
    groups_start: int
    inodes_start: int
    directories_start: int
    fragments_start: int
    attributes_start: int = -1  # version 4, where there are any

    @property
    def header(self) -> int:
        """Bytes of the superblock itself."""
        return _SIZES[self.version]


def superblock(head: bytes) -> Superblock:
    """The superblock in ``head`` (119 bytes are enough); raises FormatError when it is none or contradicts itself."""
    magic = head[:4]
    if magic not in MAGICS:
        raise FormatError("no squashfs magic")
    reason = "no squashfs superblock"
    for order in _orders(head):
        try:
            found = _read(head, magic, order)
            _validate(found)
        except struct.error:
            reason = "squashfs superblock cut short"
        except FormatError as error:
            reason = str(error)
        else:
            return found
    raise FormatError(reason)


def _orders(head: bytes) -> list[ByteOrder]:
    little, big = head[_VERSION_AT : _VERSION_AT + 2], head[_VERSION_AT + 1 : _VERSION_AT - 1 : -1]
    orders: list[ByteOrder] = []
    if len(little) == 2 and 1 <= little[0] <= 4 and not little[1]:
        orders.append("little")
    if len(big) == 2 and 1 <= big[0] <= 4 and not big[1]:
        orders.append("big")
    return orders


def _read(head: bytes, magic: bytes, order: ByteOrder) -> Superblock:
    prefix = "<" if order == "little" else ">"
    version, minor = struct.unpack_from(prefix + "HH", head, _VERSION_AT)
    if version == 4:
        inodes, created, block_size, fragments, compression, block_log, flags, ids = struct.unpack_from(
            prefix + "IIIIHHHH", head, 4
        )
        root, size, ids_start, attributes_start, inodes_start, directories_start, fragments_start, _ = struct.unpack_from(
            prefix + "8Q", head, 32
        )
        return Superblock(
            magic, order, version, minor, inodes, created, block_size, block_log, fragments, compression, flags, ids, 0, root,
            size, ids_start, 0, inodes_start, directories_start, fragments_start,
            attributes_start if attributes_start < size else -1,
        )  # fmt: skip
    inodes, size, users_start, groups_start, inodes_start, directories_start = struct.unpack_from(prefix + "6I", head, 4)
    block_size, block_log, flags, users, groups, created, root = struct.unpack_from(prefix + "HHBBBIQ", head, 32)
    fragments, fragments_start = 0, 0
    if version >= 2:
        block_size, fragments, fragments_start = struct.unpack_from(prefix + "III", head, 51)
    if version >= 3:
        size, users_start, groups_start, inodes_start, directories_start, fragments_start, _ = struct.unpack_from(
            prefix + "7Q", head, 63
        )
    return Superblock(
        magic, order, version, minor, inodes, created, block_size, block_log, fragments, None, flags, users, groups, root,
        size, users_start, groups_start, inodes_start, directories_start, fragments_start,
    )  # fmt: skip


def _validate(found: Superblock) -> None:
    low, high = _BLOCK_LOG[found.version]
    if not low <= found.block_log <= high or found.block_size != 1 << found.block_log:
        raise FormatError(f"block size {found.block_size} is not 2^{found.block_log}")
    if not found.header < found.size < 1 << 48:
        raise FormatError(f"impossible size of {found.size} bytes")
    if not found.header <= found.inodes_start < found.directories_start < found.size:
        raise FormatError("inode and directory tables do not follow each other inside the file system")
    if found.fragments and not found.header <= found.fragments_start < found.size:
        raise FormatError("fragment table outside the file system")
    if (found.version == 4 or found.users) and not found.header <= found.users_start < found.size:
        raise FormatError("user table outside the file system")
    if found.root >> 16 >= found.directories_start - found.inodes_start or found.root & 0xFFFF >= METADATA_SIZE:
        raise FormatError("root inode outside the inode table")
    if not found.inodes:
        raise FormatError("no inodes")
