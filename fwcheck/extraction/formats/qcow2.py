"""QCOW2, versions 2 and 3: the copy-on-write disk image of QEMU.

Layout (big-endian): ``QFI`` FB, version 4, backing file 8 and length 16, log of cluster size 20, disk size 24, encryption
32, entries of the first table 36 and its offset 40, reference counts 48, snapshots 60; version 3: incompatible features 72,
compression 104. Tables of the second level: bit 62 packed (offset, then sectors), bit 0 zeros, bits 9 to 55 offset. Source:
QEMU, ``docs/interop/qcow2.txt``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial
from struct import unpack_from

import msgspec
import zstandard

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._virtual_disk import Cell, disk, meta
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

OFFSET = 0x00FFFFFFFFFFFE00
PACKED, ZERO = 1 << 62, 1
DIRTY, EXTERNAL, EXTENDED = 1, 4, 16  # incompatible features
CIPHERS = {1: "AES-128-CBC, QCOW2", 2: "LUKS, QCOW2"}


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The header."""

    version: int
    bits: int
    size: int
    cipher: int
    tables: tuple[int, ...]
    table_at: int
    features: int
    zstd: bool
    backing: str

    @property
    def cluster(self) -> int:
        return 1 << self.bits


def header(source: ByteSource, offset: int) -> Image:
    """Reads the header and the first table; raises FormatError."""
    raw = source.peek(offset, 112).ljust(112, b"\0")
    version, backing, length, bits, size, cipher, entries, at = unpack_from(">IQIIQIIQ", raw, 4)
    if raw[:4] != b"QFI\xfb" or version not in (2, 3) or not 9 <= bits <= 21 or cipher not in (0, 1, 2) or not size:
        raise FormatError("no QCOW2 header")
    features = unpack_from(">Q", raw, 72)[0] if version == 3 else 0
    if size > entries << (2 * bits - 3) or at % (1 << bits) or entries * 8 > source.size - offset:
        raise FormatError("the first table of a QCOW2 image does not cover its disk")
    name = source.peek(offset + backing, min(length, 1023)) if backing else b""
    return Image(
        version=version, bits=bits, size=size, cipher=cipher, table_at=at, features=features, backing=decoded(name),
        tables=unpack_from(f">{entries}Q", source.read(offset + at, entries * 8)),
        zstd=version == 3 and unpack_from(">I", raw, 100)[0] > 104 and raw[104] == 1,
    )  # fmt: skip


def cells(source: ByteSource, offset: int, image: Image) -> Iterator[Cell]:
    """The clusters of the disk; each table of the second level may serve once."""
    fan, seen = image.cluster // 8, set[int]()
    shift = 62 - (image.bits - 8)
    for entry in image.tables:
        table = entry & OFFSET
        if not table:
            yield Cell(fan * image.cluster, None)
            continue
        if table in seen:
            raise FormatError("a table of a QCOW2 image is used twice")
        seen.add(table)
        for value in unpack_from(f">{fan}Q", source.read(offset + table, image.cluster)):
            if value & PACKED:
                at = value & (1 << shift) - 1
                sectors = (value >> shift & (1 << image.bits - 8) - 1) + 1
                yield Cell(image.cluster, offset + at, sectors * 512 - at % 512)
            elif value & OFFSET and not (value & ZERO and image.version == 3):
                yield Cell(image.cluster, offset + (value & OFFSET))
            else:
                yield Cell(image.cluster, None)


def _unpack(zstd: bool, packed: bytes, size: int) -> bytes:
    try:
        if zstd:
            return zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(packed).read(size)
        return zlib.decompressobj(-15).decompress(packed, size)
    except (zlib.error, zstandard.ZstdError) as error:
        raise FormatError(f"a broken packed cluster: {error}") from None


class Qcow2(Format):
    """The disk image of QEMU; virtual appliances come as it."""

    name = "qcow2"
    title = "QCOW2 disk image"
    specification = "QEMU, docs/interop/qcow2.txt"
    category = "disk image"
    reads = "versions 2 and 3, clusters as they are, of zeros, and packed with deflate or Zstandard; the disk is a part"
    not_read = (
        "backing files (unwritten clusters read as zeros), snapshots, external data files, extended tables; encrypted disks"
    )
    signatures = (Signature(pattern=rb"QFI\xFB\x00\x00\x00[\x02\x03]", width=8),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        image = header(source, offset)
        problems: list[str] = []
        detail: dict[str, str | int] = {
            "version": image.version, "disk_size": image.size, "cluster_size": image.cluster, "integrity": "none",
        }  # fmt: skip
        if image.backing:
            detail["backing_file"] = image.backing
            note(problems, "clusters of the backing file are not here: they read as zeros")
        if image.features & DIRTY:
            note(problems, "the image was not closed cleanly")
        end = image.table_at + len(image.tables) * 8
        entry: Entry | None = None
        if image.features & (EXTERNAL | EXTENDED):
            note(problems, "an external data file or extended tables: the disk is not read")
            end = source.size - offset
        else:
            every = partial(cells, source, offset, image)
            tables = [(value & OFFSET) + image.cluster for value in image.tables if value & OFFSET]
            used = (cell.at - offset + (cell.packed or cell.length) for cell in every() if cell.at is not None)
            end = max([end, image.cluster, *tables, max(used, default=0), _counts(source, offset, image)])
            entry = disk(every, source, image.size, partial(_unpack, image.zstd), limits)
        size = min(end + -end % image.cluster, source.size - offset)
        if end > source.size - offset:
            note(problems, f"the image reaches to {end} bytes, {size} are there")
        if image.cipher and entry is not None:
            detail["encryption"] = CIPHERS[image.cipher]
            whole = partial(source.window, offset + image.cluster, size - image.cluster)
            entry = Entry(path="disk", kind=NodeKind.REGION, role="encrypted", size=image.size, detail=detail, open=whole)
        entries = [meta("header", offset, min(image.cluster, size)), *([entry] if entry is not None else [])]
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _counts(source: ByteSource, offset: int, image: Image) -> int:
    """Where the reference counts end."""
    at, clusters = unpack_from(">QI", source.peek(offset + 48, 12).ljust(12, b"\0"))
    raw = source.peek(offset + at, min(clusters, 64) * image.cluster)
    blocks = unpack_from(f">{len(raw) // 8}Q", raw)
    return int(max([at + clusters * image.cluster, *(block + image.cluster for block in blocks if block)]))


FORMATS = (Qcow2(),)
