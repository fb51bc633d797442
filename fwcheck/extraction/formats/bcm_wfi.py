"""Broadcom whole flash image: 20 bytes behind an image for NAND, little-endian.

CRC-32 (without final inversion) of all in front, version (0x5732, or 0x5731 with 1 MiB of data), chip, kind of flash, flags
(OpenWrt firmware-utils, bcm4908img). There is no length: the trailer stands at the end of the file.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_TRAILER = struct.Struct("<5I")
_FLASH = {1: "NOR", 2: "NAND 16 KiB", 3: "NAND 128 KiB", 4: "NAND 256 KiB", 5: "NAND 512 KiB", 6: "NAND 1 MiB", 7: "NAND 2 MiB"}


class Wfi(Format):
    """Trailer of a Broadcom whole flash image."""

    name = "bcm-wfi"
    title = "Broadcom whole flash image trailer (WFI)"
    specification = "OpenWrt firmware-utils, bcm4908img"
    category = "firmware"
    reads = "chip, flash and flags; CRC32 of all in front recomputed"
    not_read = "trailers whose CRC32 is not right, because nothing else tells them"
    signatures = (Signature(pattern=rb".{4}[\x31\x32]\x57\x00\x00.{2}\x00\x00[\x01-\x07]\x00\x00\x00.\x00\x00\x00", width=20),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        stored, version, chip, flash, flags = _TRAILER.unpack(source.read(offset, _TRAILER.size))
        if not offset or offset + _TRAILER.size != source.size or flash not in _FLASH or version not in {0x5731, 0x5732}:
            raise FormatError("not at the end of an image")
        if crc32(source, 0, offset) ^ 0xFFFFFFFF != stored:
            raise FormatError("wrong CRC32 of a Broadcom whole flash image")
        return Container(
            format=self.name,
            size=_TRAILER.size,
            detail={
                "chip": f"0x{chip:04x}",
                "flash": _FLASH[flash],
                "flags": f"0x{flags:x}",
                "integrity": "checksum",
                "integrity_detail": verdict([], "CRC32 of the image", right=True),
            },
        )


FORMATS = (Wfi(),)
