"""UDF: the volume recognition sequence, the anchor and the descriptors it leads to.

Layout (little-endian): from 32,768 on, descriptors of 2,048 bytes ``BEA01``, ``NSR02`` or ``NSR03``, ``TEA01``; at block
256 the anchor (tag 2: main sequence length 16, block 20), which leads to the partition (tag 5: first block 188, blocks 192)
and the logical volume (tag 6: label 84, block size 212). A tag of 16 bytes: number, version, sum over its other bytes at 4,
own block 12. Source: ECMA-167, parts 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, words
from fwcheck.extraction.source import ByteSource

RECOGNITION = 32768
ANCHOR, PARTITION, LOGICAL, TERMINATOR = 2, 5, 6, 8
DESCRIPTORS = 64
BEHIND = 512  # blocks behind the partition in which the last anchor is looked for


def _tag(raw: bytes, block: int) -> int:
    """The number of the tag that begins a descriptor of this block; 0 for none."""
    if len(raw) < 16 or sum(raw[:16]) - raw[4] & 0xFF != raw[4] or unpack_from("<I", raw, 12)[0] != block:
        return 0
    return int.from_bytes(raw[:2], "little")


class Udf(Identified):
    """The file system of DVDs and of some memory cards."""

    name = "udf"
    title = "UDF (identified)"
    specification = "ECMA-167; OSTA UDF 2.60"
    category = "file system"
    reads = "recognition sequence, anchors, volume descriptors: extent, label, block size"
    signatures = (Signature(pattern=rb"\x00BEA01\x01\x00", width=8, offset=RECOGNITION),)
    priority = 45

    def facts(self, source: ByteSource, offset: int) -> Facts:
        first = source.peek(offset + RECOGNITION, 8)
        names = [source.peek(offset + RECOGNITION + step * size, 6)[1:] for size in (2048, 4096) for step in (1, 2)]
        if first[1:6] != b"BEA01" or not any(name in (b"NSR02", b"NSR03") for name in names):
            raise FormatError("no UDF recognition sequence")
        for block in (2048, 512, 4096, 1024):
            anchor = source.peek(offset + 256 * block, 512)
            if _tag(anchor, 256) == ANCHOR:
                return self._volume(source, offset, block, anchor, "3" if b"NSR03" in names else "2")
        raise FormatError("no UDF anchor")

    def _volume(self, source: ByteSource, offset: int, block: int, anchor: bytes, version: str) -> Facts:
        end, label = 0, ""
        for kind, raw in _sequence(source, offset, block, anchor):
            if kind == PARTITION:
                start, blocks = unpack_from("<II", raw, 188)
                end = max(end, start + blocks)
            elif kind == LOGICAL:
                label = words(raw[85:211], "utf-16-be" if raw[84] == 16 else "latin-1")
        if not end:
            raise FormatError("a UDF volume without a partition")
        last = end
        for number in range(end, end + BEHIND):
            raw = source.peek(offset + number * block, 16)
            if not raw:
                break
            if _tag(raw, number) == ANCHOR:
                last = number + 1
        return Facts(size=last * block, detail=described(version=f"NSR0{version}", block_size=block, volume=label))


def _sequence(source: ByteSource, offset: int, block: int, anchor: bytes) -> Iterator[tuple[int, bytes]]:
    length, begin = unpack_from("<II", anchor, 16)
    for number in range(begin, begin + min(DESCRIPTORS, length // block)):
        raw = source.peek(offset + number * block, 512)
        kind = _tag(raw, number)
        if kind == TERMINATOR:
            return
        if kind and len(raw) == 512:
            yield kind, raw


FORMATS = (Udf(),)
