"""F2FS: the superblock alone.

Layout (little-endian), at 1,024: magic, version 4, log of block size 16, checksum offset 32, blocks 36, UUID 108, label 124
(UTF-16). Source: Linux kernel, ``include/linux/f2fs_fs.h``.
"""

from __future__ import annotations

import zlib
from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, words
from fwcheck.extraction.source import ByteSource

MAGIC = 0xF2F52010
SUPERBLOCK = 1024
LENGTH = 3072


class F2fs(Identified):
    """The flash-friendly file system of Android data partitions."""

    name = "f2fs"
    title = "F2FS (identified)"
    specification = "Linux kernel, include/linux/f2fs_fs.h"
    category = "file system"
    reads = "superblock: extent, version, label, UUID, checksum"
    signatures = (Signature(pattern=rb"\x10\x20\xF5\xF2\x01\x00..[\x09-\x0C]\x00\x00\x00", width=12, offset=SUPERBLOCK),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset + SUPERBLOCK, LENGTH)
        magic, major, minor, log_sector, _, log_block, log_segment = unpack_from("<IHHIIII", raw)
        checksum_at, blocks = unpack_from("<IQ", raw, 32)
        if magic != MAGIC or not 9 <= log_sector <= 12 or not 12 <= log_block <= 16 or log_segment != 9 or len(raw) < LENGTH:
            raise FormatError("no F2FS superblock")
        checksum = ""
        if 0 < checksum_at <= LENGTH - 4:
            value = zlib.crc32(raw[:checksum_at], MAGIC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
            checksum = f"CRC32 {'right' if value == unpack_from('<I', raw, checksum_at)[0] else 'wrong'}"
        return Facts(
            size=blocks << log_block, checksum=checksum,
            detail=described(version=f"{major}.{minor}", block_size=1 << log_block, uuid=raw[108:124].hex(),
                             volume=words(raw[124:1148], "utf-16-le")),
        )  # fmt: skip


FORMATS = (F2fs(),)
