"""The superblock of ext2, ext3 and ext4, with its checksum.

Layout from the Linux kernel documentation, ``filesystems/ext4/super``; all fields are little-endian. With the feature
metadata_csum the last four bytes are the CRC32C of what stands before them.
"""

from __future__ import annotations

from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._checksums import crc32c
from fwcheck.extraction.members import decoded

SUPERBLOCK = 1024  # offset and size of the superblock
COMPAT_JOURNAL = 0x4
COMPAT_SPARSE_SUPER2 = 0x200
INCOMPAT_RECOVER = 0x4
INCOMPAT_JOURNAL_DEVICE = 0x8
INCOMPAT_META_BG = 0x10
INCOMPAT_EXT4 = 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
INCOMPAT_64BIT = 0x80
INCOMPAT_KNOWN = 0x2 | INCOMPAT_RECOVER | INCOMPAT_META_BG | INCOMPAT_EXT4
RO_SPARSE_SUPER = 0x1
RO_EXT4 = 0x8 | 0x10 | 0x20 | 0x40 | 0x200 | 0x400 | 0x4000 | 0x8000
RO_BIGALLOC = 0x200
RO_METADATA_CSUM = 0x400
RO_VERITY = 0x8000
RO_SHARED_BLOCKS = 0x4000  # Android: one block may serve several files


class Superblock(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of ``struct ext4_super_block`` that reading needs, named as there without the prefix."""

    inodes_count: int
    blocks_count: int
    first_data_block: int
    block_size: int
    blocks_per_group: int
    inodes_per_group: int
    inode_size: int
    desc_size: int
    first_meta_bg: int
    backup_bgs: tuple[int, int]
    compat: int
    incompat: int
    ro_compat: int
    uuid: str
    volume: str

    @property
    def version(self) -> str:
        """The oldest of the three file systems that knows all features in use."""
        if self.incompat & INCOMPAT_EXT4 or self.ro_compat & RO_EXT4:
            return "ext4"
        return "ext3" if self.compat & COMPAT_JOURNAL else "ext2"

    @property
    def groups(self) -> int:
        return -(-(self.blocks_count - self.first_data_block) // self.blocks_per_group)


def superblock(data: bytes) -> Superblock:
    """Reads and validates the 1,024 bytes of a primary superblock; raises FormatError."""
    if len(data) < SUPERBLOCK or data[56:58] != b"\x53\xef":
        raise FormatError("no ext superblock")
    inodes, blocks_lo, _, _, _, first, log_block, log_cluster, per_group, _, inodes_per_group = unpack_from("<11I", data)
    revision, group = unpack_from("<I", data, 76)[0], unpack_from("<H", data, 90)[0]
    compat, incompat, ro_compat = unpack_from("<3I", data, 92) if revision else (0, 0, 0)
    wide = bool(incompat & INCOMPAT_64BIT)
    block_size = 1024 << log_block if log_block <= 6 else 0
    inode_size = unpack_from("<H", data, 88)[0] if revision else 128
    desc_size = unpack_from("<H", data, 254)[0] if wide else 32
    out = Superblock(
        inodes_count=inodes, blocks_count=blocks_lo | (unpack_from("<I", data, 336)[0] << 32 if wide else 0),
        first_data_block=first, block_size=block_size, blocks_per_group=per_group, inodes_per_group=inodes_per_group,
        inode_size=inode_size, desc_size=desc_size, first_meta_bg=unpack_from("<I", data, 260)[0],
        backup_bgs=unpack_from("<2I", data, 588), compat=compat, incompat=incompat, ro_compat=ro_compat,
        uuid=data[104:120].hex(), volume=decoded(data[120:136].split(b"\0")[0]),
    )  # fmt: skip
    bigalloc = bool(ro_compat & RO_BIGALLOC)
    sane = (
        block_size
        and group == 0  # a backup superblock stands elsewhere than 1,024 bytes into its file system
        and revision <= 1
        and (first == (block_size == 1024) or (bigalloc and first == 0))
        and (log_cluster == log_block or (bigalloc and log_block <= log_cluster <= log_block + 20))
        and 8 <= per_group <= 8 * (block_size << (log_cluster - log_block if bigalloc else 0))
        and 128 <= inode_size <= block_size
        and inode_size & (inode_size - 1) == 0
        and 0 < inodes_per_group <= 8 * block_size
        and out.blocks_count > first + 1
        and out.groups * inodes_per_group == inodes
        and 32 <= desc_size <= block_size
        and desc_size & (desc_size - 1) == 0
    )
    if not sane:
        raise FormatError("the fields of the ext superblock contradict each other")
    return out


def checksum(data: bytes, found: Superblock) -> bool | None:
    """Whether the checksum of the superblock is right; None when it has none."""
    if not found.ro_compat & RO_METADATA_CSUM:
        return None
    return crc32c(data[: SUPERBLOCK - 4]) == int.from_bytes(data[SUPERBLOCK - 4 : SUPERBLOCK], "little")
