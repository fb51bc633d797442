"""Gemtek firmware header of Airlink101, Asante and Linksys WRT100/WRT110 routers, little-endian: 32 bytes, then the image.

    0  GMTK or A600           16 CRC32 of header and image, this field zero
    4  version (text)         20 fast checksum
    8  product                24 build (text)
    12 length with header     28 language (text)

(OpenWrt firmware-utils, mkheader_gemtek.)
"""

from __future__ import annotations

import struct
import zlib

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4s4s4I4s4s")
_MAGICS = (b"GMTK", b"A600")
_CRC = 16


class Gemtek(Format):
    """Gemtek image; what follows the header is one part."""

    name = "gemtek"
    title = "Gemtek firmware image"
    specification = "OpenWrt firmware-utils, mkheader_gemtek"
    category = "firmware"
    reads = "header and image; CRC32 recomputed"
    not_read = "the fast checksum, whose algorithm is not documented"
    signatures = (Signature(pattern=rb"(?:GMTK|A600)[0-9]{4}.{6}[\x00-\x0f]\x00", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER.size)
        magic, version, product, length, crc, fast, build, language = _HEADER.unpack(raw)
        size = min(length, source.size - offset)
        if magic not in _MAGICS or not version.isdigit() or size <= _HEADER.size:
            raise FormatError("not a Gemtek header")
        problems: list[str] = []
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        right = _checksum(raw, source, offset, size) == crc if size == length else None
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "image", offset + _HEADER.size, size - _HEADER.size)],
            detail={
                "version": version.decode("ascii"),
                "product": f"0x{product:08x}",
                "build": words(build),
                "language": words(language),
                "fast_checksum": f"0x{fast:08x}",
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "CRC32", right),
            },
            problems=problems,
        )


def _checksum(raw: bytes, source: ByteSource, offset: int, size: int) -> int:
    value = zlib.crc32(raw[:_CRC] + bytes(4) + raw[_CRC + 4 :])
    return crc32(source, offset + _HEADER.size, size - _HEADER.size, value)


FORMATS = (Gemtek(),)
