"""ReiserFS 3.5 and 3.6: the superblock alone.

Layout (little-endian), at 65,536 or (3.5) 8,192: blocks, free blocks 4, root 8, block size 44, magic 52, version 72, UUID
84, label 100. Source: Linux kernel, ``fs/reiserfs/reiserfs.h``.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two, words
from fwcheck.extraction.source import ByteSource

PLACES = (65536, 8192)
MAGIC = 52


class Reiserfs(Identified):
    """The first journalled file system of Linux; older NAS appliances use it."""

    name = "reiserfs"
    title = "ReiserFS (identified)"
    specification = "Linux kernel, fs/reiserfs/reiserfs.h"
    category = "file system"
    reads = "superblock: extent, version, label, UUID"
    signatures = tuple(Signature(pattern=rb"ReIsEr(?:Fs|2F|3F)", width=8, offset=place + MAGIC) for place in PLACES)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        for place in PLACES:
            raw = source.peek(offset + place, 204)
            if len(raw) == 204 and raw[MAGIC : MAGIC + 6] == b"ReIsEr":
                break
        else:
            raise FormatError("no ReiserFS superblock")
        blocks, free, root = unpack_from("<III", raw)
        block = unpack_from("<H", raw, 44)[0]
        if not power_of_two(block, 512, 8192) or free > blocks or root >= blocks or blocks * block <= place:
            raise FormatError("impossible values in a ReiserFS superblock")
        later = raw[MAGIC : MAGIC + 8] != b"ReIsErFs"
        return Facts(
            size=blocks * block,
            detail=described(version="3.6" if later else "3.5", block_size=block, uuid=raw[84:100].hex() if later else "",
                             volume=words(raw[100:116]) if later else ""),
        )  # fmt: skip


FORMATS = (Reiserfs(),)
