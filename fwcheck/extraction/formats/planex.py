"""Planex image, big-endian: SHA-1 (of the number 2 and the image), version (8), 04 08, length, then the image.

(OpenWrt firmware-utils, mkplanexfw.)
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct(">20s8s2sI")
_SALT = b"\0\0\0\2"


class Planex(Format):
    """Planex image."""

    name = "planex"
    title = "Planex firmware image"
    specification = "OpenWrt firmware-utils, mkplanexfw"
    category = "firmware"
    reads = "version and image; SHA-1 recomputed"
    not_read = "images whose SHA-1 is wrong, because nothing else tells them"
    signatures = (Signature(pattern=rb".{20}[0-9]\.[0-9]{2}[\x00-\x7f]{4}\x04\x08[\x00-\x03].{3}", width=34, anywhere=False),)
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        sha1, version, mark, length = _HEADER.unpack(source.read(offset, _HEADER.size))
        start = offset + _HEADER.size
        if mark != b"\x04\x08" or not 0 < length <= source.size - start:
            raise FormatError("not a Planex header")
        if digest("sha1", source, (start, length), before=_SALT) != sha1:
            raise FormatError("wrong SHA-1 of a Planex image")
        return Container(
            format=self.name,
            size=_HEADER.size + length,
            entries=[part(source, "image", start, length)],
            detail={
                "version": words(version),
                "integrity": "hash",
                "integrity_detail": verdict([], "SHA-1 with a public salt", right=True),
            },
        )


FORMATS = (Planex(),)
