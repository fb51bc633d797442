"""Edimax images: CSYS sections, and the eDiMaX header.

CSYS, little-endian: a signature of four letters (``CSYS`` for code, others for web pages), address, length of what follows,
whose last two bytes make the sum of all 16-bit words zero. eDiMaX, big-endian, 92 bytes: magic (16), model (32), force flag,
checksum of the header, checksum of the data, length, start and end address, version (14), type, MTD name (16); the checksums
are the sum of all bytes, combined with 0xB9 by exclusive or (OpenWrt firmware-utils, mkcsysimg, csysimg.h and
edimax_fw_header).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, sum16, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_CSYS = struct.Struct("<4sII")
_EDIMAX = struct.Struct(">16s32sBBBIII14sB16s")
_LARGEST = 64 << 20


class Csys(Format):
    """Edimax CSYS section or web page section."""

    name = "csys"
    title = "Edimax CSYS image"
    specification = "OpenWrt firmware-utils, mkcsysimg and csysimg.h"
    category = "firmware"
    reads = "code and web page sections; checksum recomputed"
    signatures = (
        Signature(
            pattern=rb"(?:CSYS|WB4K|WBKP|WBIP|2-K-|2-KP|2-WG|2-WP|4--K|4-KP|4-WP|EWAS|RNRA|RN54)[\x00-\xff]{3}[\x00-\x80].{3}[\x00-\x03]",
            width=12,
        ),
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, address, length = _CSYS.unpack(source.read(offset, _CSYS.size))
        start = offset + _CSYS.size
        if not 4 <= length <= min(_LARGEST, source.size - start) or length % 2:
            raise FormatError("implausible length in a CSYS header")
        if sum16(source, start, length, big=False) & 0xFFFF:
            raise FormatError("wrong checksum of a CSYS section")
        name = "code" if magic == b"CSYS" else "web"
        return Container(
            format=self.name,
            size=_CSYS.size + length,
            entries=[part(source, name, start, length - 2)],
            detail={
                "signature": words(magic),
                "address": f"0x{address:08x}",
                "integrity": "checksum",
                "integrity_detail": "16-bit checksum right",
            },
        )


class Edimax(Format):
    """eDiMaX header in front of one image."""

    name = "edimax"
    title = "Edimax firmware header (eDiMaX)"
    specification = "OpenWrt firmware-utils, edimax_fw_header"
    category = "firmware"
    reads = "header and image; both checksums recomputed"
    signatures = (
        Signature(pattern=rb"eDiMaX\x00{10}[\x20-\x7e]{3}", width=19),
        Signature(pattern=rb"CSYS\x00{12}[\x20-\x7e]{3}", width=19),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _EDIMAX.size)
        magic, model, force, own, data_sum, length, start, end, version, kind, mtd = _EDIMAX.unpack(raw)
        if (sum(raw) - own) & 0xFF ^ 0xB9 != own or not 0 < length <= _LARGEST:
            raise FormatError("wrong checksum of an eDiMaX header")
        at = offset + _EDIMAX.size
        size = min(length, source.size - at)
        if size <= 0:
            raise FormatError("nothing behind an eDiMaX header")
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        right = sum8(source, at, length) & 0xFF ^ 0xB9 == data_sum if size == length else None
        told = f"header checksum right, {verdict(problems, 'data checksum', right)}"
        return Container(
            format=self.name,
            size=_EDIMAX.size + size,
            entries=[part(source, words(mtd) or "image", at, size)],
            detail={
                "magic": words(magic),
                "model": words(model),
                "version": words(version),
                "type": kind,
                "force": force,
                "flash": f"0x{start:08x}-0x{end:08x}",
                "integrity": "checksum",
                "integrity_detail": told,
            },
            problems=problems,
        )


FORMATS = (Csys(), Edimax())
