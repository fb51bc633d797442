"""VMDK: the sparse disk image of VMware, in one file.

Layout (little-endian): ``KDMV``, version 4, flags 8, disk size 12, grain size 20, descriptor 28 and its length 36, entries
of a grain table 44, grain directory 56, size of the header 64, packing 77; all in sectors of 512 bytes. Directory and
tables hold 32-bit sector numbers, 0 for nothing, 1 for zeros. Stream-optimised images have packed grains, each behind its
number (8 bytes) and length (4), and a second header 1,024 bytes before the end. Source: VMware, "Virtual Disk Format 5.0".
"""

from __future__ import annotations

import re
import zlib
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
AT_END = 0xFFFFFFFFFFFFFFFF
ZEROED, PACKED = 1 << 2, 1 << 16  # flags
TABLES = 1 << 20


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The header; sizes in bytes."""

    version: int
    flags: int
    size: int
    grain: int
    fan: int
    directory: int
    overhead: int
    descriptor: str


def header(source: ByteSource, offset: int) -> Image:
    """Reads the header, or the one at the end that it points to; raises FormatError."""
    first = source.peek(offset, SECTOR)
    raw = first
    if len(raw) == SECTOR and unpack_from("<Q", raw, 56)[0] == AT_END:
        raw = source.peek(source.size - 1024, SECTOR)
    if len(raw) < SECTOR or raw[:4] != b"KDMV" or raw[73:77] != b"\n \r\n":
        raise FormatError("no VMDK header")
    version, flags, size, grain, descriptor, length, fan, _, directory, overhead = unpack_from("<IIQQQQIQQQ", raw, 4)
    if not 8 <= grain <= 1 << 16 or grain & (grain - 1) or fan != 512 or not size or size >= 1 << 40 or directory >= 1 << 40:
        raise FormatError("impossible values in a VMDK header")
    text = source.peek(offset + min(descriptor, 1 << 40) * SECTOR, min(length, 40) * SECTOR) if descriptor else b""
    return Image(
        version=version, flags=flags, size=size * SECTOR, grain=grain * SECTOR, fan=fan, directory=directory * SECTOR,
        overhead=overhead * SECTOR, descriptor=decoded(text.split(b"\0")[0]),
    )  # fmt: skip


def cells(source: ByteSource, offset: int, image: Image) -> Iterator[Cell]:
    """The grains of the disk; each table may serve once."""
    count = -(-image.size // (image.grain * image.fan))
    if count > TABLES:
        raise FormatError("a VMDK image of too many tables")
    seen = set[int]()
    for table in unpack_from(f"<{count}I", source.read(offset + image.directory, count * 4)):
        if not table:
            yield Cell(image.fan * image.grain, None)
            continue
        if table in seen:
            raise FormatError("a table of a VMDK image is used twice")
        seen.add(table)
        for grain in unpack_from(f"<{image.fan}I", source.read(offset + table * SECTOR, image.fan * 4)):
            if not grain or (grain == 1 and image.flags & ZEROED):
                yield Cell(image.grain, None)
            elif image.flags & PACKED:
                length = unpack_from("<I", source.read(offset + grain * SECTOR + 8, 4))[0]
                yield Cell(image.grain, offset + grain * SECTOR + 12, max(1, min(length, 2 * image.grain)))
            else:
                yield Cell(image.grain, offset + grain * SECTOR)


def _unpack(packed: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, size).ljust(size, b"\0")
    except zlib.error as error:
        raise FormatError(f"a broken packed grain: {error}") from None


class Vmdk(Format):
    """The disk image of VMware; virtual appliances come as it."""

    name = "vmdk"
    title = "VMDK sparse disk image"
    specification = "VMware, Virtual Disk Format 5.0"
    category = "disk image"
    reads = "hosted sparse and stream-optimised images (packed with deflate); the disk is a part"
    not_read = "disks split over several files, flat and ESX server extents, parents (unwritten grains read as zeros)"
    signatures = (Signature(pattern=rb"KDMV[\x01-\x03]\x00\x00\x00.{65}\n \r\n", width=77),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        image = header(source, offset)
        problems: list[str] = []
        detail: dict[str, str | int] = {
            "version": image.version, "disk_size": image.size, "grain_size": image.grain, "integrity": "none",
        }  # fmt: skip
        for key, name in (("type", "createType"), ("parent", "parentFileNameHint")):
            found = re.search(rf'^{name}="([^"\n]*)"', image.descriptor, re.MULTILINE)
            if found:
                detail[key] = found[1]
        if "parent" in detail:
            note(problems, "grains of the parent are not here: they read as zeros")
        used = (cell.at - offset + (cell.packed or cell.length) for cell in cells(source, offset, image) if cell.at is not None)
        tables = image.directory + -(-image.size // (image.grain * image.fan)) * 4
        end = max(image.overhead, tables, max(used, default=0), SECTOR)
        end += -end % SECTOR
        if image.flags & PACKED:
            end = source.size - offset  # markers and the second header follow
        size = min(end, source.size - offset)
        if size < end:
            note(problems, f"the image reaches to {end} bytes, {size} are there")
        entry = disk(partial(cells, source, offset, image), source, image.size, _unpack, limits)
        return Container(
            format=self.name,
            size=size,
            entries=[meta("header", offset, min(SECTOR, size)), entry],
            detail=detail,
            problems=problems,
        )


FORMATS = (Vmdk(),)
