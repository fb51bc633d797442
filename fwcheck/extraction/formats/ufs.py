"""UFS1 and UFS2 (BSD's fast file system), both byte orders: the superblock alone.

Layout, at 8,192 (UFS1) or 65,536 (UFS2): fragments 36 (UFS1), block size 48, fragment size 52, fragments of a block 56, label 680
(UFS2), fragments 1,080 (UFS2), magic 1,372. Source: FreeBSD, ``sys/ufs/ffs/fs.h``.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two, words
from fwcheck.extraction.source import ByteSource

MAGIC_AT = 1372
UFS1, UFS2 = 0x00011954, 0x19540119
PLACES = {UFS1: 8192, UFS2: 65536}


def _pattern(magic: int, order: str) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in magic.to_bytes(4, "little" if order == "<" else "big"))


class Ufs(Identified):
    """The file system of BSD systems; firewalls and storage appliances use it."""

    name = "ufs"
    title = "UFS1, UFS2 (identified)"
    specification = "FreeBSD, sys/ufs/ffs/fs.h"
    category = "file system"
    reads = "superblock in both byte orders: extent, version, label"
    signatures = tuple(
        Signature(pattern=_pattern(magic, order), width=4, offset=place + MAGIC_AT)
        for magic, place in PLACES.items()
        for order in "<>"
    )

    def facts(self, source: ByteSource, offset: int) -> Facts:
        for magic, place in PLACES.items():
            raw = source.peek(offset + place, MAGIC_AT + 4)
            for order in "<>":
                if len(raw) == MAGIC_AT + 4 and unpack_from(f"{order}I", raw, MAGIC_AT)[0] == magic:
                    return self._volume(raw, order, magic, place)
        raise FormatError("no UFS superblock")

    def _volume(self, raw: bytes, order: str, magic: int, place: int) -> Facts:
        block, fragment, per_block = unpack_from(f"{order}III", raw, 48)
        count = unpack_from(f"{order}I", raw, 36)[0] if magic == UFS1 else unpack_from(f"{order}Q", raw, 1080)[0]
        sane = power_of_two(block, 4096, 65536) and power_of_two(fragment, 512, 65536) and fragment * per_block == block
        if not sane or per_block > 8 or count * fragment <= place or count >= 1 << 48:
            raise FormatError("impossible values in a UFS superblock")
        return Facts(
            size=count * fragment,
            detail=described(version=1 if magic == UFS1 else 2, byte_order="little" if order == "<" else "big", block_size=block,
                             fragment_size=fragment, volume=words(raw[680:712]) if magic == UFS2 else ""),
        )  # fmt: skip


FORMATS = (Ufs(),)
