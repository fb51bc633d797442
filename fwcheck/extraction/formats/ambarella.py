"""Ambarella cameras: partitions with a header of 256 bytes, and the ROM file system of their system data, little-endian.

Partition: CRC32 of the data, version, date, length, load address, flags, magic 0xA324EB90, zeros to 256.

ROM file system: number of files, magic 0x66FC328A, filling to 2048; per file (128 bytes): name (116), offset, length, magic
0x2387AB76; contents are aligned to 2048. (dji-firmware-tools; K. Tuul, analysis of Ambarella firmware, 2015.)
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_PARTITION: Final = struct.Struct("<7I")
_HEADER: Final = 256
_PARTITION_MAGIC: Final = 0xA324EB90
_ROM_HEADER: Final = 2048
_ROM_FILE: Final = struct.Struct("<116sIII")
_ROM_MAGIC: Final = 0x66FC328A
_FILE_MAGIC: Final = 0x2387AB76


class AmbarellaPartition(Format):
    """One partition of an update or of flash."""

    name = "ambarella-partition"
    title = "Ambarella partition"
    specification = "dji-firmware-tools (amba_fwpak)"
    category = "firmware"
    reads = "the data; CRC32 recomputed"
    not_read = "the table in front of the partitions, which differs from product to product"
    signatures = (Signature(pattern=rb"\x90\xeb\x24\xa3\x00{12}", width=16, offset=24),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        crc, version, date, length, address, flags, magic = _PARTITION.unpack_from(raw)
        if magic != _PARTITION_MAGIC or any(raw[_PARTITION.size :]) or not 0 < length <= 1 << 30:
            raise FormatError("no header of an Ambarella partition")
        size = min(length, source.size - offset - _HEADER)
        if size <= 0:
            raise FormatError("an Ambarella partition without data")
        problems: list[str] = []
        if size < length:
            note(problems, f"{length} bytes announced, {size} there")
        right = crc32(source, offset + _HEADER, size) == crc if size == length else None
        return Container(
            format=self.name,
            size=_HEADER + size,
            entries=[part(source, "data", offset + _HEADER, size)],
            detail={
                "version": f"{version >> 16}.{version & 0xFFFF}",
                "date": f"{date >> 16}-{date >> 8 & 0xFF:02}-{date & 0xFF:02}",
                "load_address": f"0x{address:08x}",
                "flags": f"0x{flags:x}",
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "CRC32", right),
            },
            problems=problems,
        )


class AmbarellaRomfs(Format):
    """ROM file system: a flat list of files."""

    name = "ambarella-romfs"
    title = "Ambarella ROM file system"
    specification = "Kaitai Struct romfs_ambarella; K. Tuul, 2015"
    category = "file system"
    reads = "all files"
    not_read = "it has no checks, owners or times"
    signatures = (Signature(pattern=rb"[\x00-\xff]{2}\x00\x00\x8a\x32\xfc\x66(?:\xff{16}|\x00{16})", width=24),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        count, magic = struct.unpack("<II", source.read(offset, 8))
        if magic != _ROM_MAGIC or not 0 < count <= min(limits.nodes, 1 << 16):
            raise FormatError("no Ambarella ROM file system")
        problems: list[str] = []
        entries: list[Entry] = []
        end = _ROM_HEADER + count * _ROM_FILE.size
        table = source.peek(offset + _ROM_HEADER, count * _ROM_FILE.size)
        for raw, at, length, mark in _ROM_FILE.iter_unpack(table[: len(table) - len(table) % _ROM_FILE.size]):
            path, escapes = member_path(words(raw))
            if mark != _FILE_MAGIC or path == "/":
                note(problems, f"entry {len(entries)} of the list is no file: the others stay unread")
                break
            if escapes:
                note(problems, f"{path}: the stored name leads out of the file system")
            there = max(0, min(length, source.size - offset - at))
            if at < _ROM_HEADER or there < length:
                note(problems, f"{path}: does not lie inside the image")
            if at >= _ROM_HEADER:
                end = max(end, at + there)
                entries.append(_file(source, path, offset + at, there))
        if not entries:
            raise FormatError("an Ambarella ROM file system without files")
        return Container(
            format=self.name,
            size=min(end, source.size - offset),
            entries=entries,
            detail={"files": count, "integrity": "none", "integrity_detail": "no check"},
            problems=problems,
        )


def _file(source: ByteSource, path: str, at: int, size: int) -> Entry:
    return Entry(
        path=path,
        kind=NodeKind.FILE,
        size=size,
        offset=at if size else None,
        locality=at,
        open=lambda: source.window(at, size) if size else source.window(0, 0),
    )


FORMATS = (AmbarellaPartition(), AmbarellaRomfs())
