"""VHD: the disk image of Virtual PC, fixed and dynamic.

Layout (big-endian): a footer of 512 bytes at the end, and a copy of it in front of a dynamic disk: ``conectix``, features
8, version 12, offset of the dynamic header 16 (all ones: a fixed disk), creator 28, disk size 48, type 60 (2 fixed, 3
dynamic, 4 differencing), checksum 64 (the inverted sum of all other bytes), UUID 68. Dynamic header: ``cxsparse``, table
16, entries 28, block size 32. The table holds sectors of blocks, each of which begins with a bitmap. Source: Microsoft,
"Virtual Hard Disk Image Format Specification" (2006).
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
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource

SECTOR = 512
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
UNUSED = 0xFFFFFFFF
TABLE_LIMIT = 1 << 20


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """Footer and dynamic header."""

    kind: int
    size: int
    sound: bool
    creator: str
    uuid: str
    table_at: int = 0
    entries: int = 0
    block: int = 0

    @property
    def bitmap(self) -> int:
        """Bytes in front of each block."""
        return -(-self.block // (SECTOR * 8 * SECTOR)) * SECTOR


def footer(source: ByteSource, offset: int) -> Image:
    """Reads a footer and, where it names one, the dynamic header; raises FormatError."""
    raw = source.peek(offset, SECTOR)
    if len(raw) < SECTOR or raw[:8] != b"conectix":
        raise FormatError("no VHD footer")
    features, version, where = unpack_from(">IIQ", raw, 8)
    size, kind, checksum = unpack_from(">Q4xII", raw, 48)
    if version != 0x10000 or not features & 2 or kind not in (FIXED, DYNAMIC, DIFFERENCING) or not size:
        raise FormatError("impossible values in a VHD footer")
    sound = ~(sum(raw) - sum(raw[64:68])) & 0xFFFFFFFF == checksum
    image = Image(kind=kind, size=size, sound=sound, creator=decoded(raw[28:32]).strip("\0 "), uuid=raw[68:84].hex())
    if kind == FIXED:
        return image
    head = source.peek(offset + where, 1024)
    table, _, entries, block = unpack_from(">QIII", head.ljust(1024, b"\0"), 16)
    if head[:8] != b"cxsparse" or not SECTOR <= block <= 1 << 26 or block & (block - 1) or entries > TABLE_LIMIT:
        raise FormatError("no dynamic header of a VHD image")
    return msgspec.structs.replace(image, table_at=table, entries=entries, block=block)


def cells(source: ByteSource, offset: int, image: Image) -> Iterator[Cell]:
    """The blocks of a dynamic disk."""
    for sector in unpack_from(f">{image.entries}I", source.read(offset + image.table_at, image.entries * 4)):
        yield Cell(image.block, None if sector == UNUSED else offset + sector * SECTOR + image.bitmap)


class Vhd(Format):
    """The disk image of Virtual PC and Hyper-V."""

    name = "vhd"
    title = "VHD disk image"
    specification = "Microsoft, Virtual Hard Disk Image Format Specification (2006)"
    category = "disk image"
    reads = (
        "dynamic disks, whose disk is a part; the footer of fixed disks, whose disk stands in front of it; checksum of the footer"
    )
    not_read = "parents of differencing disks (unwritten blocks read as zeros); VHDX"
    signatures = (Signature(pattern=rb"conectix\x00\x00\x00.\x00\x01\x00\x00", width=16),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        image = footer(source, offset)
        kinds = {FIXED: "fixed", DYNAMIC: "dynamic", DIFFERENCING: "differencing"}
        detail: dict[str, str | int] = {
            "type": kinds[image.kind], "disk_size": image.size, "creator": image.creator, "uuid": image.uuid,
            "integrity": "checksum", "integrity_detail": f"sum of the footer {'right' if image.sound else 'wrong'}",
        }  # fmt: skip
        problems: list[str] = [] if image.sound else ["the checksum of the footer is wrong"]
        if image.kind == FIXED:
            return Container(
                format=self.name, size=SECTOR, entries=[meta("footer", offset, SECTOR)], detail=detail, problems=problems
            )
        if image.kind == DIFFERENCING:
            note(problems, "blocks of the parent are not here: they read as zeros")
        used = (cell.at - offset + cell.length for cell in cells(source, offset, image) if cell.at is not None)
        end = max(image.table_at + image.entries * 4, max(used, default=0))
        end += -end % SECTOR
        if source.peek(offset + end, 8) == b"conectix":
            end += SECTOR
        size = min(end, source.size - offset)
        if size < end:
            note(problems, f"the image reaches to {end} bytes, {size} are there")
        entry = disk(partial(cells, source, offset, image), source, image.size, None, limits)
        return Container(
            format=self.name, size=size, entries=[meta("footer", offset, SECTOR), entry], detail=detail, problems=problems
        )


FORMATS = (Vhd(),)
