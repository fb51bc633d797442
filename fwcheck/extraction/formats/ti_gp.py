"""TI boot image with a configuration header (OMAP3 to AM57xx): 512 bytes, then length and load address, then code.

The configuration header is a table of contents: offset 0x40, length 12, 12 bytes, name ``CHSETTINGS``; its section begins with
C0C0C0C1. The length counts the eight bytes of the second header too; for SPI flash all words are big-endian (U-Boot
tools/omapimage.h and tools/gpheader.h).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER, _GP = 512, 8
_LARGEST = 1 << 20


class TiGp(Format):
    """TI boot image behind a configuration header."""

    name = "ti-ch"
    title = "TI boot image (configuration header, GP)"
    specification = "U-Boot tools/omapimage.h and tools/gpheader.h"
    category = "firmware"
    reads = "configuration header in both byte orders, load address and code"
    not_read = "images without a configuration header (Keystone), because nothing tells them; secure (HS) images"
    signatures = (
        Signature(pattern=rb"\x40\x00\x00\x00\x0c\x00\x00\x00\x00{12}CHSETTINGS\x00\x00", width=32),
        Signature(pattern=rb"\x00\x00\x00\x40\x00\x00\x00\x0c\x00{12}ESHCNITT\x00\x00SG", width=32),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER + _GP)
        sign = "<" if raw[0] == 0x40 else ">"
        at, size = struct.unpack_from(f"{sign}II", raw)
        length, load = struct.unpack_from(f"{sign}II", raw, _HEADER)
        if (
            (at, size) != (0x40, 12)
            or not _GP < length <= _LARGEST
            or raw[at : at + 4] not in {b"\xc1\xc0\xc0\xc0", b"\xc0\xc0\xc0\xc1"}
        ):
            raise FormatError("not a TI configuration header")
        start = offset + _HEADER + _GP
        there = min(length - _GP, source.size - start)
        if there <= 0:
            raise FormatError("nothing behind a TI configuration header")
        problems = [f"{length - _GP} bytes announced, {there} there"] if there < length - _GP else []
        return Container(
            format=self.name,
            size=_HEADER + _GP + there,
            entries=[code(source, "image", start, there)],
            detail={
                "load_address": f"0x{load:08x}",
                "byte_order": "little" if sign == "<" else "big",
                "integrity": "none",
                "integrity_detail": "no checksum",
            },
            problems=problems,
        )


FORMATS = (TiGp(),)
