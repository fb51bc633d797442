"""DNI: 128 bytes of text in front of an image, one checksum byte behind it (Netgear devices made by Delta Networks).

The header is lines of ``key:value``, filled up with zeros: device, version, region and often hd_id. It has no length: the image
reaches to the end of the file, and all bytes together add up to 255 modulo 256 (OpenWrt firmware-utils, mkdniimg).
"""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, verdict
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER_SIZE = 128


class Dni(Format):
    """Netgear DNI image; what it wraps is one part."""

    name = "dni"
    title = "Netgear DNI firmware image"
    specification = "OpenWrt firmware-utils, mkdniimg"
    category = "firmware"
    reads = "header fields and the wrapped image; the checksum byte at the end is recomputed"
    signatures = (Signature(pattern=rb"device:[\x21-\x7e][\x20-\x7e\n]{3}", width=11, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER_SIZE)
        text, _, rest = raw.partition(b"\0")
        lines = [line.partition(":") for line in text.decode("ascii", "replace").split("\n") if line]
        fields = {key: value for key, colon, value in lines if colon and key.replace("_", "").isalnum()}
        if any(rest) or list(fields)[:2] != ["device", "version"] or len(fields) != len(lines):
            raise FormatError("not a DNI header")
        size = source.size - offset
        if size < _HEADER_SIZE + 2:
            raise FormatError("nothing behind a DNI header")
        problems: list[str] = []
        right = sum8(source, offset, size) & 0xFF == 0xFF
        told = verdict(problems, "checksum byte", right)
        # Where the sum is not right the last byte may as well belong to the image.
        payload = size - _HEADER_SIZE - (1 if right else 0)
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "payload", offset + _HEADER_SIZE, payload)],
            detail={**fields, "integrity": "checksum", "integrity_detail": told},
            problems=problems,
        )


FORMATS = (Dni(),)
