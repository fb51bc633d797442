"""VDI: the disk image of VirtualBox.

Layout (little-endian): 64 bytes of text, BEDA107F 64, version 68, type 76 (1 dynamic, 2 fixed), block map 340, data 344,
disk size 368, block size 376, blocks 384. The map holds the number of each block among the data, FFFFFFFF for none,
FFFFFFFE for zeros. Source: VirtualBox, ``include/VBox/vd-ifs.h`` and ``src/VBox/Storage/VDICore.h``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._virtual_disk import Cell, disk, meta
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

MAGIC = 0xBEDA107F
NONE = 0xFFFFFFFE  # and above
DYNAMIC, FIXED, UNDO, DIFFERENCING = 1, 2, 3, 4
BLOCKS = 1 << 22


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The header."""

    kind: int
    map_at: int
    data_at: int
    size: int
    block: int
    blocks: int
    extra: int


def header(source: ByteSource, offset: int) -> Image:
    """Reads the header; raises FormatError."""
    raw = source.peek(offset, 512)
    if len(raw) < 512 or unpack_from("<II", raw, 64) != (MAGIC, 0x10001):
        raise FormatError("no VDI header")
    kind = unpack_from("<I", raw, 76)[0]
    map_at, data_at = unpack_from("<II", raw, 340)
    size, block, extra, blocks = unpack_from("<QIII", raw, 368)
    sane = 4096 <= block <= 1 << 26 and not block & (block - 1) and blocks <= BLOCKS and kind in (1, 2, 3, 4)
    if not sane or not size or size > block * blocks or extra > block or data_at < map_at + blocks * 4:
        raise FormatError("impossible values in a VDI header")
    return Image(kind=kind, map_at=map_at, data_at=data_at, size=size, block=block, blocks=blocks, extra=extra)


def cells(source: ByteSource, offset: int, image: Image) -> Iterator[Cell]:
    """The blocks of the disk."""
    step = image.block + image.extra
    for number in unpack_from(f"<{image.blocks}I", source.read(offset + image.map_at, image.blocks * 4)):
        yield Cell(image.block, None if number >= NONE else offset + image.data_at + number * step + image.extra)


class Vdi(Format):
    """The disk image of VirtualBox."""

    name = "vdi"
    title = "VDI disk image"
    specification = "VirtualBox, src/VBox/Storage/VDICore.h"
    category = "disk image"
    reads = "dynamic and fixed disks of version 1.1; the disk is a part"
    not_read = "parents of differencing disks (unwritten blocks read as zeros); versions before 1.1"
    signatures = (Signature(pattern=rb"\x7F\x10\xDA\xBE\x01\x00\x01\x00", width=8, offset=64),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        image = header(source, offset)
        problems: list[str] = []
        if image.kind == DIFFERENCING:
            note(problems, "blocks of the parent are not here: they read as zeros")
        used = (cell.at - offset + cell.length for cell in cells(source, offset, image) if cell.at is not None)
        end = max(image.data_at, max(used, default=0))
        size = min(end, source.size - offset)
        if size < end:
            note(problems, f"the image reaches to {end} bytes, {size} are there")
        detail: dict[str, str | int] = {
            "type": ("dynamic", "fixed", "undo", "differencing")[image.kind - 1], "disk_size": image.size,
            "block_size": image.block, "integrity": "none",
        }  # fmt: skip
        entry = disk(partial(cells, source, offset, image), source, image.size, None, limits)
        return Container(
            format=self.name, size=size, entries=[meta("header", offset, min(512, size)), entry], detail=detail, problems=problems
        )


FORMATS = (Vdi(),)
