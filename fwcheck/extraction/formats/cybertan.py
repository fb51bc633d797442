"""CyberTAN headers of Linksys routers (WRT54G and others), and the trailer of Linksys and Belkin images.

Header, 32 bytes: board (``W54G``, ...), four bytes (zero, or another magic as ``PBOT``), date (year, month, day), version (3),
``U2ND``, hardware, a byte, flags (2), reserved. What follows is the image, mostly TRX: the header has no length (OpenWrt
firmware-utils, addpattern).

Trailer, 256 bytes at the end of an image: ``.LINKSYS.`` (9), version (8), model (15), the CRC of cksum over all in front in
hexadecimal text (8), text, the name of a key (16), filled up (OpenWrt linksys-image.sh).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import posix_cksum, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4s4s3B3B4sBBH10s")
_TRAILER = 256
_CHECKED = 32


class CyberTan(Format):
    """CyberTAN header; the image behind it is one part."""

    name = "cybertan"
    title = "Linksys firmware header (CyberTAN, U2ND)"
    specification = "OpenWrt firmware-utils, addpattern"
    category = "firmware"
    reads = "board, date, version, hardware flags and the image"
    signatures = (Signature(pattern=rb"[0-9A-Z]{4}.{4}[\x00-\x7f][\x00-\x0c][\x00-\x1f].{3}U2ND", width=18),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, extra, year, month, day, *rest = _HEADER.unpack(source.read(offset, _HEADER.size))
        major, minor, micro, mark, hardware, _, flags, reserved = rest
        size = source.size - offset
        if mark != b"U2ND" or any(reserved[2:]) or size <= _HEADER.size or (any(extra) and not extra.isalnum()):
            raise FormatError("not a CyberTAN header")
        # The image tells its own length: where it is a TRX the header ends with it, elsewhere with the file.
        inner = source.peek(offset + _HEADER.size, 8)
        if inner[:4] == b"HDR0":
            size = min(size, _HEADER.size + int.from_bytes(inner[4:], "little"))
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "image", offset + _HEADER.size, size - _HEADER.size)],
            detail={
                "board": words(magic),
                "version": f"{major}.{minor}.{micro}",
                "date": f"{2000 + year}-{month:02}-{day:02}",
                "hardware": hardware,
                "flags": f"0x{flags:04x}",
                "integrity": "none",
                "integrity_detail": "no checksum in the header",
            },
        )


class LinksysTrailer(Format):
    """Trailer of a Linksys image."""

    name = "linksys-trailer"
    title = "Linksys image trailer (.LINKSYS.)"
    specification = "OpenWrt linksys-image.sh"
    category = "firmware"
    reads = "version, model and the name of the key; the checksum is recomputed where the trailer ends the file"
    not_read = "whether a signature stands somewhere"
    signatures = (Signature(pattern=rb"\.LINKSYS\.[\x20-\x7e]{23}[0-9A-Fa-f]{8}", width=40),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _TRAILER)
        stored = raw[_CHECKED : _CHECKED + 8]
        if raw[:9] != b".LINKSYS." or not all(each in b"0123456789ABCDEFabcdef" for each in stored):
            raise FormatError("a Linksys trailer without a checksum")
        problems: list[str] = []
        told = "cksum not recomputed: the trailer does not end the file"
        if offset and offset + _TRAILER == source.size:
            told = verdict(problems, "cksum", posix_cksum(source, 0, offset) == int(stored, 16))
        return Container(
            format=self.name,
            size=_TRAILER,
            detail={
                "version": words(raw[9:17]).strip(),
                "model": words(raw[17:32]).strip(),
                "key": words(raw[55:71]).strip(),
                "integrity": "checksum",
                "integrity_detail": told,
            },
            problems=problems,
        )


FORMATS = (CyberTan(), LinksysTrailer())
