"""XFS: the superblock alone.

Layout (big-endian): magic, block size 4, data blocks 8, UUID 32, blocks of an allocation group 84, groups 88, version 100,
sector size 102, label 108, log of block size 120, unfinished 126 (set in the copies that begin the other groups), CRC32C
224 (little-endian, version 5). Source: Linux kernel, ``fs/xfs/libxfs/xfs_format.h``.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._checksums import crc32c
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two, words
from fwcheck.extraction.source import ByteSource


class Xfs(Identified):
    """The journalled file system of SGI; recorders use it."""

    name = "xfs"
    title = "XFS (identified)"
    specification = "Linux kernel, fs/xfs/libxfs/xfs_format.h"
    category = "file system"
    reads = "superblock: extent, version, label, UUID, checksum"
    signatures = (Signature(pattern=rb"XFSB\x00[\x00\x01][\x00-\x80]\x00\x00\x00", width=10),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset, 512)
        block, blocks = unpack_from(">IQ", raw, 4)
        per_group, groups = unpack_from(">II", raw, 84)
        version, sector = unpack_from(">HH", raw, 100)
        version &= 15
        sane = (
            power_of_two(block, 512, 65536) and power_of_two(sector, 512, 32768) and 1 << raw[120] == block and 1 <= version <= 5
        )
        if not sane or raw[126] or not groups or not (groups - 1) * per_group < blocks <= groups * per_group:
            raise FormatError("no primary XFS superblock")
        checksum = ""
        if version == 5:
            whole = bytearray(source.read(offset, sector))
            stored, whole[224:228] = bytes(whole[224:228]), bytes(4)
            checksum = f"CRC32C {'right' if (crc32c(whole) ^ 0xFFFFFFFF).to_bytes(4, 'little') == stored else 'wrong'}"
        return Facts(
            size=block * blocks, checksum=checksum,
            detail=described(version=version, block_size=block, groups=groups, uuid=raw[32:48].hex(), volume=words(raw[108:120])),
        )  # fmt: skip


FORMATS = (Xfs(),)
