"""JCG update image, big-endian: 512 bytes of header, then a uImage.

``YSZJ``, version (32), 1, information (64), time, version (two numbers), zeros, at 504 the CRC-32 of the image, at 508 the
CRC-32 of the header with this field zero. Where version or information are not zero, the image is combined with a key made of
them by exclusive or (OpenWrt firmware-utils, jcgimage).
"""

from __future__ import annotations

import struct
import zlib

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._decrypt import encrypted
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = 512
_UIMAGE = b"\x27\x05\x19\x56"


class Jcg(Format):
    """JCG image."""

    name = "jcg"
    title = "JCG firmware image (YSZJ)"
    specification = "OpenWrt firmware-utils, jcgimage"
    category = "firmware"
    reads = "header and plain images; header and image CRC32 recomputed"
    not_read = "images that are combined with a key stay as they are"
    signatures = (Signature(pattern=rb"YSZJ.{32}\x00\x00\x00\x01", width=40),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        image_crc, header_crc = struct.unpack_from(">II", raw, 504)
        if raw[:4] != b"YSZJ" or zlib.crc32(raw[:508] + bytes(4)) != header_crc:
            raise FormatError("wrong CRC32 of a JCG header")
        start = offset + _HEADER
        size = source.size - start
        if size <= 0:
            raise FormatError("nothing behind a JCG header")
        head = source.peek(start, 16)
        plain = head.startswith(_UIMAGE)
        # There is no length: a plain image tells its own, with four bytes that may follow it; others reach to the end.
        lengths = [size]
        if plain and len(head) == 16:
            inner = 64 + int.from_bytes(head[12:16], "big")
            lengths += [each for each in (inner, inner + 4) if each < size]
        right = next((each for each in lengths if crc32(source, start, each) == image_crc), None)
        size = right or size
        problems: list[str] = []
        told = f"header CRC32 right, {verdict(problems, 'image CRC32', right is not None)}"
        entry = part(source, "image", start, size) if plain else encrypted(source, start, size, "exclusive or, JCG", "image")
        return Container(
            format=self.name,
            size=_HEADER + size,
            entries=[entry],
            detail={
                "version": words(raw[4:36]),
                "information": words(raw[40:104]),
                "release": f"{int.from_bytes(raw[108:110], 'big')}.{int.from_bytes(raw[110:112], 'big')}",
                "integrity": "checksum",
                "integrity_detail": told,
            },
            problems=problems,
        )


FORMATS = (Jcg(),)
