"""HFS+ and HFSX: the volume header alone.

Layout (big-endian), at 1,024: signature ``H+`` or ``HX``, version 2, attributes 4, creation 16, files 32, folders 36, block
size 40, blocks 44. Times are seconds since 1904. Source: Apple Technical Note TN1150.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two
from fwcheck.extraction.source import ByteSource

HEADER = 1024
EPOCH = 2_082_844_800  # seconds from 1904 to 1970


class Hfsplus(Identified):
    """The file system of Mac OS."""

    name = "hfsplus"
    title = "HFS+, HFSX (identified)"
    specification = "Apple Technical Note TN1150"
    category = "file system"
    reads = "volume header: extent, numbers of files and folders"
    signatures = (Signature(pattern=rb"(?:H\+\x00\x04|HX\x00\x05).{36}\x00[\x00-\x10].\x00", width=44, offset=HEADER),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset + HEADER, 512)
        created, files, folders, block, blocks, free = unpack_from(">I12xIIIII", raw, 16)
        kinds = {b"H+\x00\x04": "HFS+", b"HX\x00\x05": "HFSX"}
        if raw[:4] not in kinds or not power_of_two(block, 512, 1 << 20) or free > blocks or blocks * block <= HEADER + 512:
            raise FormatError("no HFS+ volume header")
        if files + folders > blocks * 32 + 4096:
            raise FormatError("more files than an HFS+ volume has room for")
        return Facts(
            size=block * blocks,
            detail=described(
                kind=kinds[raw[:4]], block_size=block, files=files, folders=folders, created=max(0, created - EPOCH)
            ),
        )


FORMATS = (Hfsplus(),)
