"""CHDR: Linksys's header of the E8350 and EA8500 family, little-endian (OpenWrt firmware-utils, linksys-addfwhdr).

``CHDR``, length of all with the header, CRC32 (without final inversion) from the next field to the end, reserved (1); image.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sIII")
_CHECKED = 12
_MASK = 0xFFFFFFFF


class LinksysChdr(Format):
    """Linksys CHDR image."""

    name = "linksys-chdr"
    title = "Linksys firmware header (CHDR)"
    specification = "OpenWrt firmware-utils, linksys-addfwhdr"
    category = "firmware"
    reads = "header and image; CRC32 recomputed"
    signatures = (Signature(pattern=rb"CHDR.{3}[\x00-\x0f].{4}\x01\x00\x00\x00", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, length, stored, reserved = _HEADER.unpack(source.read(offset, _HEADER.size))
        size = min(length, source.size - offset)
        if magic != b"CHDR" or reserved != 1 or size <= _HEADER.size:
            raise FormatError("not a CHDR header")
        problems: list[str] = []
        right = None
        if size == length:
            right = crc32(source, offset + _CHECKED, size - _CHECKED) ^ _MASK == stored
        else:
            problems.append(f"{length} bytes announced, {size} there")
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "image", offset + _HEADER.size, size - _HEADER.size)],
            detail={"integrity": "checksum", "integrity_detail": verdict(problems, "CRC32", right)},
            problems=problems,
        )


FORMATS = (LinksysChdr(),)
