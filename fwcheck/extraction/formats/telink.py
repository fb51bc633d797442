"""Firmware of Telink TLSR82xx and B91 chips (Telink Zigbee and BLE SDK: ota.c, cstartup).

The image begins with a jump; little-endian, at 2 its version, at 6 u16 0x025D where the image is checked, at 8 ``KNLT``, at
0x12 u16 manufacturer and at 0x14 u16 image type of its Zigbee OTA file, at 0x18 u32 size. The last four bytes of the size are a
CRC32 of all before, without the final inversion.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import code, crc32
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<2xIH4s6xHH2xI")
_CHECKED: Final = 0x025D
_SMALLEST: Final = 0x40


class Telink(Format):
    """Telink image; its code is a content of its own."""

    name = "telink"
    title = "Telink firmware"
    specification = "Telink Zigbee SDK: platform/boot, zcl_ota"
    category = "microcontroller"
    reads = "header, CRC32"
    not_read = "images without a size in their header"
    signatures = (Signature(pattern=rb"KNLT.{15}\x00", width=20, offset=8),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not a Telink header")
        version, flag, magic, manufacturer, kind, size = _HEADER.unpack(raw)
        if magic != b"KNLT" or size < _SMALLEST:
            raise FormatError("not a Telink header")
        there = min(size, source.size - offset)
        problems = [f"{size} bytes announced, {there} there"] if there < size else []
        stored = int.from_bytes(source.peek(offset + size - 4, 4), "little")
        right = there == size and crc32(source, offset, size - 4) ^ 0xFFFFFFFF == stored
        if not right and flag != _CHECKED:
            raise FormatError("a Telink header that nothing supports")
        detail: dict[str, str | int] = {
            "version": f"0x{version:08x}",
            "manufacturer": f"0x{manufacturer:04x}",
            "image_type": f"0x{kind:04x}",
            "integrity": "checksum",
            "integrity_detail": verdict(problems, "CRC32", right),
        }
        return Container(
            format=self.name, size=there, entries=[code(source, "code", offset, there)], detail=detail, problems=problems
        )


FORMATS = (Telink(),)
