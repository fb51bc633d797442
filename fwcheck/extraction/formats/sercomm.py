"""Sercomm header (Netgear and others): 512 bytes in front of an image, mostly a ZIP archive, and the same mark in trailers.

``sErCoMm``, version (4), hardware id (34), hardware version (10), software version (4), four bytes, ``sErCoMm``; filled up with
zeros. The last byte of the header makes the sum of all bytes of the file zero (OpenWrt firmware-utils, mksercommfw).
"""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER, _MARKED = 512, 71
_MARK = b"sErCoMm"


class Sercomm(Format):
    """Sercomm header, or the same fields behind an image."""

    name = "sercomm"
    title = "Sercomm firmware header (sErCoMm)"
    specification = "OpenWrt firmware-utils, mksercommfw"
    category = "firmware"
    reads = "header in front of a file (checksum recomputed) and trailer fields behind an image"
    signatures = (Signature(pattern=rb"sErCoMm.{56}sErCoMm", width=70),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER)
        if raw[:7] != _MARK or raw[63:70] != _MARK:
            raise FormatError("not a Sercomm header")
        detail: dict[str, str | int] = {
            "hardware_id": words(raw[11:45]),
            "hardware_version": words(raw[45:55]),
            "software_version": raw[55:59].hex(),
        }
        size = source.size - offset
        leading = offset == 0 and size > _HEADER and not any(raw[_MARKED : _HEADER - 1])
        if not leading:
            return Container(format=self.name, size=min(_MARKED, size), detail=detail | {"form": "trailer"})
        problems: list[str] = []
        told = verdict(problems, "checksum byte", sum8(source, offset, size) & 0xFF == 0)
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "image", offset + _HEADER, size - _HEADER)],
            detail=detail | {"form": "header", "integrity": "checksum", "integrity_detail": told},
            problems=problems,
        )


FORMATS = (Sercomm(),)
