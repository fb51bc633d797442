"""JFS (IBM): the superblock alone.

Layout (little-endian), at 32,768: ``JFS1``, version 4, size in physical blocks 8, block size 16, physical block size 24,
journal 72 and check workspace 80 (each: length 24 bits, address 40 bits, in blocks), UUID 136, label 152. Source: Linux
kernel, ``fs/jfs/jfs_superblock.h``.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two, words
from fwcheck.extraction.source import ByteSource

SUPERBLOCK = 32768


class Jfs(Identified):
    """The journalled file system of IBM."""

    name = "jfs"
    title = "JFS (identified)"
    specification = "Linux kernel, fs/jfs/jfs_superblock.h"
    category = "file system"
    reads = "superblock: extent with journal and check workspace, label, UUID"
    signatures = (Signature(pattern=rb"JFS1[\x01\x02]\x00\x00\x00.{8}\x00[\x02-\x10]\x00\x00", width=20, offset=SUPERBLOCK),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset + SUPERBLOCK, 184)
        version, blocks, block, physical = unpack_from("<IQI4xI", raw, 4)
        if raw[:4] != b"JFS1" or not power_of_two(block, 512, 4096) or not power_of_two(physical, 512, 4096) or len(raw) < 184:
            raise FormatError("no JFS superblock")
        ends = [blocks * physical]
        for at in (72, 80):
            low, address = unpack_from("<II", raw, at)
            ends.append(((low & 0xFFFFFF) + address + ((low >> 24) << 32)) * block)
        if not blocks or max(ends) > 2 * ends[0] + (512 << 20):
            raise FormatError("impossible values in a JFS superblock")
        return Facts(
            size=max(ends),
            detail=described(version=version, block_size=block, uuid=raw[136:152].hex(), volume=words(raw[152:168])),
        )


FORMATS = (Jfs(),)
