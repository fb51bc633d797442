"""Firmware of XRadio XR809 and XR872 (XRadio SDK: image/image.h, section_header_t).

Sections with a header of 64 bytes, little-endian: ``AWIH``, u32 version, u16 checksum of the header, u16 checksum of the data,
u32 data size, u32 load address, u32 entry point, u32 body length, u32 attribute, u32 offset of the next section in the image
(0xFFFFFFFF: none), u32 id, 24 bytes. The header's sixteen-bit words add up to 0xFFFF; those of the data and its checksum do,
too.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sIHH7I24x")
_LAST: Final = 0xFFFFFFFF
_SECTIONS_LIMIT: Final = 64


class XRadio(Format):
    """XRadio image; every section is code."""

    name = "xradio"
    title = "XRadio image (XR809, XR872)"
    specification = "XRadio SDK: image.h"
    category = "microcontroller"
    reads = "all sections with their load addresses, checksums of headers and data"
    not_read = "compressed sections, signed boot"
    signatures = (Signature(pattern=rb"AWIH.{8}.{3}\x00", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        entries: list[Entry] = []
        problems: list[str] = []
        at, end, wrong = offset, offset, 0
        for _ in range(_SECTIONS_LIMIT):
            raw = source.peek(at, _HEADER.size)
            if len(raw) < _HEADER.size or raw[:4] != b"AWIH" or _sum16(raw) != 0xFFFF:
                break
            _, _, _, checksum, size, address, _, _, _, following, number = _HEADER.unpack(raw)
            there = min(size, source.size - at - _HEADER.size)
            if there < size:
                note(problems, f"section 0x{number:x}: {size} bytes announced, {there} there")
            if (_sum16(source.read(at + _HEADER.size, there)) + checksum) & 0xFFFF != 0xFFFF:
                note(problems, f"wrong checksum of section 0x{number:x}")
                wrong += 1
            if at > end:
                entries.append(code(source, f"between@0x{end - offset:x}", end, at - end))
            entries.append(code(source, f"section-{number:x}@0x{address:08x}", at + _HEADER.size, there))
            end = at + _HEADER.size + there
            if following == _LAST or offset + following < end:
                break
            at = offset + following
        if not entries:
            raise FormatError("not a section of an XRadio image")
        detail: dict[str, str | int] = {
            "sections": len(entries),
            "integrity": "checksum",
            "integrity_detail": f"16-bit checksum of the data {'wrong' if wrong else 'right'}",
        }
        return Container(format=self.name, size=end - offset, entries=entries, detail=detail, problems=problems)


def _sum16(data: bytes) -> int:
    """Sum of the little-endian words: that of the low bytes, and of the high bytes times 256."""
    return sum(data[::2]) + (sum(data[1::2]) << 8) & 0xFFFF


FORMATS = (XRadio(),)
