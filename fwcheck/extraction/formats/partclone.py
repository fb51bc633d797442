"""partclone images, version 0002: the used blocks of a file system, one behind the other (partclone, src/partclone.h).

Header, 110 bytes: ``partclone-image`` (16), version of the program (14), ``0002``, 0xC0DE in the byte order of the image, file
system (16), its size, blocks, used blocks by its superblock, used blocks by the bitmap (64 bits each), block size, size of the
features (18), version, bits of the processor, checksum mode, checksum size (16 bits each), blocks per checksum, whether each
checksum begins anew, bitmap mode (8 bits each), CRC32 of the header (without final inversion). Then the bitmap (a bit for each
block, lowest first), its CRC32, and the used blocks, with a checksum behind each group.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

_FIELDS = "16s14s4sH16sQQQQIIHHHHIBBI"
_SIZE = 110
_MASK = 0xFFFFFFFF
_BITMAP_LIMIT = 1 << 20
_BITS = tuple(f"{each:08b}"[::-1].encode() for each in range(256))


class Partclone(Format):
    """partclone image; the file system it was made from is one part."""

    name = "partclone"
    title = "partclone image"
    specification = "partclone, src/partclone.h"
    category = "archive"
    reads = (
        "version 2 with a bitmap of bits, in both byte orders; the file system with holes; CRC32 of header and bitmap recomputed"
    )
    not_read = "version 1; the checksums of the blocks are passed over; file systems of more than eight million blocks"
    signatures = (
        Signature(pattern=rb"partclone-image\x00[0-9][.0-9a-z+-]{2}[\x00-\x7e]{11}0002(?:\xde\xc0|\xc0\xde)", width=36),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _SIZE)
        order = "<" if raw[34:36] == b"\xde\xc0" else ">"
        fields = struct.unpack(order + _FIELDS, raw)
        _, program, _, _, system, whole, blocks, _, used, block, _, _, _, mode, width, group, _, bits, crc = fields
        if crc32(source, offset, _SIZE - 4) ^ _MASK != crc or bits != 1:
            raise FormatError("not a partclone header of version 2 with a bitmap of bits")
        length = -(-blocks // 8)
        if not blocks or length > _BITMAP_LIMIT or not 0 < block <= 1 << 20 or used > blocks or (mode and not group):
            raise FormatError("implausible sizes in a partclone header")
        bitmap_at = offset + _SIZE
        start = bitmap_at + length + 4
        source.check(bitmap_at, length + 4)
        announced = used * block + (-(-used // group) * width if mode else 0)
        size = min(announced, source.size - start)
        problems = [] if size == announced else [f"{announced} bytes of blocks announced, {size} there"]
        stored = int.from_bytes(source.read(start - 4, 4), "little" if order == "<" else "big")
        right = crc32(source, bitmap_at, length) ^ _MASK == stored
        told = verdict(problems, "CRC32 of the bitmap", right)
        step = (block, group * block if mode else 0, width)
        entry = Entry(
            path="filesystem",
            kind=NodeKind.REGION,
            size=blocks * block,
            role="part",
            locality=start,
            open=partial(_content, source, (bitmap_at, blocks), (start, start + size), step, limits),
        )
        return Container(
            format=self.name,
            size=start + size - offset,
            entries=[entry],
            detail={
                "program": words(program),
                "filesystem": words(system),
                "filesystem size": whole,
                "used blocks": used,
                "integrity": "checksum",
                "integrity_detail": f"CRC32 of the header right, {told}; those of the blocks not recomputed",
            },
            problems=problems,
        )


def _content(
    source: ByteSource, bitmap: tuple[int, int], data: tuple[int, int], step: tuple[int, int, int], limits: Limits
) -> ByteSource:
    """The file system: used blocks from the image, the others as holes."""
    at, blocks = bitmap
    spread = b"".join(map(_BITS.__getitem__, source.read(at, -(-blocks // 8))))[:blocks]
    pieces: list[ByteSource | int] = []
    seen = taken = 0
    for run in re.finditer(rb"1+", spread):
        pieces.append((run.start() - seen) * step[0])
        for where, length in _ranges(taken, (run.end() - run.start()) * step[0], step):
            if data[0] + where + length > data[1] or len(pieces) > limits.nodes:
                raise FormatError("blocks that are not there, or more pieces than may be, in a partclone image")
            pieces.append(source.window(data[0] + where, length))
        taken += (run.end() - run.start()) * step[0]
        seen = run.end()
    return Joined([*pieces, (blocks - seen) * step[0]])


def _ranges(taken: int, wanted: int, step: tuple[int, int, int]) -> Iterator[tuple[int, int]]:
    """Where the next bytes lie when a checksum stands behind each group."""
    _, group, width = step
    while wanted:
        length = min(wanted, group - taken % group) if group else wanted
        yield taken + (taken // group * width if group else 0), length
        taken += length
        wanted -= length


FORMATS = (Partclone(),)
