"""Firmware of Marvell (NXP) 88MW30x Wi-Fi chips and RW61x (WMSDK: firmware_structure.h; NXP SDK: ota examples).

Little-endian: ``MRVL``, u32 0x2E9CF17B, u32 time, u32 number of segments (up to 9), u32 entry point; then for each segment u32
type (2: loaded), u32 offset from the beginning, u32 size, u32 load address, u32 CRC.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4s4I")
_SEGMENT = struct.Struct("<5I")
_MAGIC: Final = 0x2E9CF17B
_MOST: Final = 9
_LOADED: Final = 2


class MarvellMw(Format):
    """MW30x image; every segment is code."""

    name = "marvell-mw"
    title = "Marvell 88MW30x firmware"
    specification = "Marvell WMSDK: firmware_structure.h"
    category = "microcontroller"
    reads = "all segments with their load addresses"
    not_read = "CRC of the segments; secure images with a TLV header"
    signatures = (Signature(pattern=rb"MRVL\x7b\xf1\x9c\x2e.{4}[\x01-\x09]\x00{3}", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not an MW30x header")
        text, magic, time, count, entry = _HEADER.unpack(raw)
        if (text, magic) != (b"MRVL", _MAGIC) or not 1 <= count <= _MOST:
            raise FormatError("not an MW30x header")
        table = source.read(offset + _HEADER.size, count * _SEGMENT.size)
        at = offset + _HEADER.size + len(table)
        entries: list[Entry] = []
        problems: list[str] = []
        for number, (kind, start, size, address, _) in enumerate(sorted(_SEGMENT.iter_unpack(table), key=lambda each: each[1])):
            begin = offset + start
            if kind != _LOADED or not size:
                continue
            if begin < at or begin >= source.size:
                problems.append(f"segment {number} does not lie behind what is before it, or not in the file")
                continue
            there = min(size, source.size - begin)
            if there < size:
                problems.append(f"segment {number}: {size} bytes announced, {there} there")
            if begin > at:
                entries.append(part(source, f"between@0x{at - offset:x}", at, begin - at))
            entries.append(code(source, f"segment-{number}@0x{address:08x}", begin, there))
            at = begin + there
        if not any(each.role == "file" for each in entries):
            raise FormatError("an MW30x header without segments")
        detail: dict[str, str | int] = {
            "segments": count,
            "time": time,
            "entry_point": f"0x{entry:08x}",
            "integrity": "checksum",
            "integrity_detail": "CRC per segment (not verified)",
        }
        return Container(format=self.name, size=at - offset, entries=entries, detail=detail, problems=problems)


FORMATS = (MarvellMw(),)
