"""Images of Dialog (Renesas) DA1453x and DA1458x for updates over Bluetooth (Dialog SUOTA: UM-B-012, suota.h).

A header of 64 bytes, little-endian: 0x70 0x50, u8 validity (0xAA), u8 image number, u32 size, u32 CRC32 of the image, 16 bytes
version, u32 time, u8 encryption, 31 bytes reserved. The image follows.
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<2sBBII16sIB31x")


class DialogSuota(Format):
    """SUOTA image; its content is a part."""

    name = "dialog-suota"
    title = "Dialog SUOTA image (DA1453x, DA1458x)"
    specification = "Dialog UM-B-012, SDK: suota.h"
    category = "microcontroller"
    reads = "header, image with its CRC32"
    not_read = "encrypted images (told), images of DA1468x and later, images with a wrong CRC32"
    signatures = (Signature(pattern=rb"\x70\x50[\x00\xaa\xff].{3}[\x00-\x0f]\x00", width=8),)
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not a SUOTA header")
        magic, valid, number, size, crc, version, time, encrypted = _HEADER.unpack(raw)
        at = offset + _HEADER.size
        # Two bytes are no magic: only the CRC makes an image of it.
        if magic != b"\x70\x50" or encrypted > 1 or not 0 < size <= source.size - at or crc32(source, at, size) != crc:
            raise FormatError("not a SUOTA image")
        detail: dict[str, str | int] = {
            "version": words(version),
            "image_number": number,
            "valid": "yes" if valid == 0xAA else "no",
            "time": time,
            "integrity": "checksum",
            "integrity_detail": "CRC32 right",
        }
        entry = part(source, "image", at, size)
        if encrypted:
            entry = msgspec.structs.replace(entry, role="encrypted", detail={"encryption": "AES-128-CBC, Dialog SUOTA"})
        return Container(format=self.name, size=_HEADER.size + size, entries=[entry], detail=detail)


FORMATS = (DialogSuota(),)
