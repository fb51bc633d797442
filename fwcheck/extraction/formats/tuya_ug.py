"""UG, the update file of Tuya modules (libretiny, "Tuya UG header").

A header of 32 bytes, big-endian: u32 0x55AA55AA, 12 bytes version, u32 size, u32 sum of the firmware's bytes, u32 sum of the 24
bytes before, u32 0xAA55AA55. The firmware follows, on Beken chips an RBL package.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct(">I12sIIII")


class TuyaUg(Format):
    """Tuya update file; the firmware is a part."""

    name = "tuya-ug"
    title = "Tuya UG update file"
    specification = "libretiny: Tuya UG format"
    category = "microcontroller"
    reads = "header with its sum, firmware with its sum"
    not_read = ""
    signatures = (Signature(pattern=rb"\x55\xaa\x55\xaa.{24}\xaa\x55\xaa\x55", width=32),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not a UG header")
        first, version, size, body, head, last = _HEADER.unpack(raw)
        if (first, last) != (0x55AA55AA, 0xAA55AA55) or sum(raw[:24]) != head or not size:
            raise FormatError("not a UG header")
        at = offset + _HEADER.size
        there = min(size, source.size - at)
        if there <= 0:
            raise FormatError("a UG header without firmware")
        problems = [f"{size} bytes announced, {there} there"] if there < size else []
        total = sum(sum(chunk) for chunk in source.window(at, there).chunks()) & 0xFFFFFFFF
        detail: dict[str, str | int] = {
            "version": words(version),
            "integrity": "checksum",
            "integrity_detail": verdict(problems, "sum of all bytes", total == body),
        }
        return Container(
            format=self.name,
            size=_HEADER.size + there,
            entries=[part(source, "firmware", at, there)],
            detail=detail,
            problems=problems,
        )


FORMATS = (TuyaUg(),)
