"""SBFH: the header of Tesla's Wall Connector firmware, little-endian, in front of a Marvell image (unblob, sbfh).

``SBFH``, size of the header (0x11C), 7 bytes, size of the firmware, 265 bytes; then an image of Marvell's 88MW30x (``MRVL``).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sI7sI265s")


class Sbfh(Format):
    """SBFH header; the Marvell image behind it is one part."""

    name = "sbfh"
    title = "Tesla Wall Connector firmware (SBFH)"
    specification = "unblob, sbfh"
    category = "firmware"
    reads = "header; the Marvell image behind it is a format of its own"
    not_read = "the other 272 bytes of the header, whose meaning is not public"
    signatures = (Signature(pattern=rb"SBFH\x1c\x01\x00\x00", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, header, _, length, _ = _HEADER.unpack(source.read(offset, _HEADER.size))
        size = min(length, source.size - offset - header)
        if magic != b"SBFH" or header != _HEADER.size or size <= 0:
            raise FormatError("not an SBFH header")
        if source.peek(offset + header, 4) != b"MRVL"[: min(size, 4)]:
            raise FormatError("no Marvell image behind an SBFH header")
        return Container(
            format=self.name,
            size=header + size,
            entries=[part(source, "firmware", offset + header, size)],
            detail={"integrity": "none", "integrity_detail": "the Marvell image has checksums of its own"},
            problems=[] if size == length else [f"{length} bytes announced, {size} there"],
        )


FORMATS = (Sbfh(),)
