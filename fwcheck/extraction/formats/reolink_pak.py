"""Reolink and Swann PAK: sections of a camera's flash behind a table of sections and one of partitions, little-endian.

Header: magic 0x32725913, CRC32, board; 4 bytes each, or 8 each in files for 64-bit devices. Sections: name (32), version (24),
offset, length (4 or 8 bytes each). Partitions, as many: name (32), offset, MTD device (32), start address, length (4 each). The
CRC32 covers everything from the first section on, then the word 2, then the table of sections; initial value 0xFFFFFFFF more,
and inverted once more at the end.

PAKS (newer): magic ``SKAP``, checksum (unknown), file size, 1, 0, board, unknown, hardware and firmware version (32 each), size
of what follows, number of sections, 0; each section: kind, checksum (unknown), name (32), version (32), length, 3 words, then its
bytes. (kaitai_struct_formats firmware/reolink.ksy; pakler.)
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_MAGIC: Final = 0x32725913
_PARTITION: Final = struct.Struct("<32sI32sII")
_SECTIONS: Final = 64
_NAME: Final = 32
_PAKS: Final = struct.Struct("<4s6I32s32sIII")
_PAKS_SECTION: Final = struct.Struct("<II32s32sIIII")


class _Layout(msgspec.Struct, frozen=True):
    header: struct.Struct
    section: struct.Struct


_LAYOUTS: Final = {
    32: _Layout(struct.Struct("<3I"), struct.Struct("<32s24sII")),
    64: _Layout(struct.Struct("<3Q"), struct.Struct("<32s24sQQ")),
}


class ReolinkPak(Format):
    """PAK of a 32-bit or 64-bit camera; sections that are not empty are parts."""

    name = "reolink-pak"
    title = "Reolink PAK firmware"
    specification = "kaitai_struct_formats firmware/reolink.ksy; pakler"
    category = "update bundle"
    reads = "32-bit and 64-bit PAK, CRC32 recomputed; partition addresses are told with their sections"
    not_read = "sections are found for what they are; nothing is signed"
    signatures = (
        Signature(pattern=rb"\x13\x59\x72\x32[\x00-\xff]{8}[\x21-\x7e][\x20-\x7e]", width=14),
        Signature(pattern=rb"\x13\x59\x72\x32\x00{4}[\x00-\xff]{4}\x00{4}[\x00-\xff]{4}\x00{4}[\x21-\x7e]", width=25),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        bits = 32 if any(source.read(offset + 4, 4)) else 64
        layout = _LAYOUTS[bits]
        magic, crc, board = layout.header.unpack(source.read(offset, layout.header.size))
        sections = _sections(source, offset, layout)
        if magic != _MAGIC or crc >> 32:
            raise FormatError("no PAK header")
        table = offset + layout.header.size
        first = min(at for _, _, at, size in sections if size)
        end = max(at + size for _, _, at, size in sections if size)
        available = source.size - offset
        if first >= available:
            raise Truncated(f"a PAK of {len(sections)} sections, none of which is there")
        problems: list[str] = []
        right: bool | None = None
        if end > available:
            note(problems, f"sections reach to {end}, {available} bytes are there")
        else:
            raw = source.read(table, len(sections) * layout.section.size)
            right = _checksum(source, offset + first, end - first, raw) == crc
            if not right and _checksum(source, offset + first, available - first, raw) == crc:
                right, end = True, available  # what follows the last section belongs to the file too
        return Container(
            format=self.name,
            size=min(end, available),
            entries=_entries(
                source, offset, sections, _partitions(source, table + len(sections) * layout.section.size, len(sections))
            ),
            detail={
                "bits": bits,
                "board": f"0x{board:x}",
                "sections": len(sections),
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "CRC32", right),
            },
            problems=problems,
        )


_Section = tuple[str, str, int, int]  # name, version, offset, length


def _sections(source: ByteSource, offset: int, layout: _Layout) -> list[_Section]:
    """The table of sections, which ends where the table of partitions begins: with the name of the first section again.

    Raises FormatError for an implausible one.
    """
    sections: list[_Section] = []
    while len(sections) <= _SECTIONS:
        at = offset + layout.header.size + len(sections) * layout.section.size
        if sections and words(source.peek(at, _NAME)) == sections[0][0]:
            break
        name, version, start, size = layout.section.unpack(source.read(at, layout.section.size))
        if not words(name):
            raise FormatError("a PAK section without a name")
        sections.append((words(name), words(version), start, size))
    tables = layout.header.size + len(sections) * (layout.section.size + _PARTITION.size)
    if len(sections) > _SECTIONS or any(size and start < tables for *_, start, size in sections):
        raise FormatError("implausible PAK sections")
    if not any(size for *_, size in sections):
        raise FormatError("a PAK without bytes")
    return sections


def _partitions(source: ByteSource, at: int, count: int) -> dict[str, dict[str, str | int]]:
    """What the table of partitions says of each name."""
    out: dict[str, dict[str, str | int]] = {}
    for name, _, device, start, length in _PARTITION.iter_unpack(
        source.peek(at, count * _PARTITION.size).ljust(count * _PARTITION.size, b"\0")
    ):
        out.setdefault(words(name), {"mtd": words(device), "flash_address": f"0x{start:x}", "partition_size": length})
    return out


def _entries(
    source: ByteSource, offset: int, sections: list[_Section], partitions: dict[str, dict[str, str | int]]
) -> list[Entry]:
    entries = []
    for number, (name, version, start, length) in enumerate(sections):
        size = min(length, source.size - offset - start)
        if size > 0:
            detail = {"version": version, **partitions.get(name, {})}
            entries.append(
                part(source, f"{number:02}_{name}", offset + start, size, {k: v for k, v in detail.items() if v != ""})
            )
    return entries


def _checksum(source: ByteSource, at: int, size: int, table: bytes) -> int:
    value = crc32(source, at, size, 0xFFFFFFFF)
    return zlib.crc32(table, zlib.crc32(b"\2\0\0\0", value)) ^ 0xFFFFFFFF


class ReolinkPaks(Format):
    """PAKS, the newer layout, whose checksums are not known."""

    name = "reolink-paks"
    title = "Reolink PAKS firmware"
    specification = "pakler"
    category = "update bundle"
    reads = "all sections"
    not_read = "its checksums: what they cover is not known"
    signatures = (Signature(pattern=rb"SKAP[\x00-\xff]{8}\x01\x00\x00\x00", width=16, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, _, length, _, _, board, _, hardware, firmware, _, count, _ = _PAKS.unpack(source.read(offset, _PAKS.size))
        if magic != b"SKAP" or not 0 < count <= _SECTIONS or length <= _PAKS.size:
            raise FormatError("no PAKS header")
        size = min(length, source.size - offset)
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        entries, at, end = [], offset + _PAKS.size, offset + size
        for number in range(count):
            if at + _PAKS_SECTION.size > end:
                note(problems, f"section {number} lies outside the file")
                break
            _, _, name, version, stored, *_ = _PAKS_SECTION.unpack(source.read(at, _PAKS_SECTION.size))
            at += _PAKS_SECTION.size
            there = min(stored, end - at)
            if there < stored:
                note(problems, f"section {words(name)}: {stored} bytes announced, {there} there")
            if there:
                entries.append(part(source, f"{number:02}_{words(name)}", at, there, {"version": words(version)}))
            at += there
        if not entries:
            raise FormatError("a PAKS without sections")
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "hardware_version": words(hardware),
                "firmware_version": words(firmware),
                "board": f"0x{board:x}",
                "sections": len(entries),
                "integrity": "checksum",
                "integrity_detail": "checksums that are not known, not checked",
            },
            problems=problems,
        )


FORMATS = (ReolinkPak(), ReolinkPaks())
