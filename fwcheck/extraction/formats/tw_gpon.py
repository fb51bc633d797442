"""T&W GPON stick images (Zisa OP151S, ZyXEL PMG3000 and others): 512 bytes in front of kernel and root file system.

In flash, little-endian: size of the image, 1, time, size again, length of the kernel, length and offset of the root file system
(offsets count from this header), at 28 the CRC-32 of all behind the header, at 32 the CRC-32 of the header with this field
zero, at 36 a number of the product, at 40 the type of the file system, at 0x38 product and version, at 0x58 product, at 0x78
version, at 0x98 vendor; then FF. An update file (.upf) has 512 bytes more in front, which begin with the copyright of T&W, the
date at 0x40 and the version at 0x7C (found from images; both CRCs come out right in three of them).
"""

from __future__ import annotations

import struct
import zlib

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.formats._sums import verdict
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = 512
_FIELDS = struct.Struct("<10I16s")
_UPDATE = b"Copyright 2"


class TwImage(Format):
    """T&W image as it stands in flash: kernel and root file system."""

    name = "tw-image"
    title = "T&W GPON stick image"
    specification = "found from images of T&W, Zisa and ZyXEL"
    category = "firmware"
    reads = "kernel and root file system; header and image CRC32 recomputed"
    signatures = (
        Signature(
            pattern=rb".{3}\x00\x01\x00\x00\x00.{4}.{3}\x00.{3}\x00.{3}\x00.{3}\x00.{12}(?:squashfs|jffs2\x00\x00\x00)\x00",
            width=49,
        ),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        total, _, time, again, kernel, length, at, image_crc, header_crc, number, kind = _FIELDS.unpack(raw[: _FIELDS.size])
        if total != again or not _HEADER <= at <= total or at + length > total or _HEADER + kernel > at:
            raise FormatError("implausible T&W header")
        available = source.size - offset
        header_right = zlib.crc32(raw[:32] + bytes(4) + raw[36:]) == header_crc
        if not header_right and total > available:
            raise FormatError("wrong CRC32 of a T&W header")
        problems: list[str] = []
        size = min(total, available)
        if size < total:
            problems.append(f"{total} bytes announced, {size} there")
        image_right = crc32(source, offset + _HEADER, size - _HEADER) == image_crc if size == total else None
        told = [verdict(problems, "header CRC32", header_right), verdict(problems, "image CRC32", image_right)]
        places = (("kernel", _HEADER, at - _HEADER), ("rootfs", at, size - at))
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, name, offset + begin, count, mtime=time) for name, begin, count in places if count > 0],
            detail={
                "product": words(raw[0x58:0x78]),
                "version": words(raw[0x78:0x98]),
                "vendor": words(raw[0x98:0xB8]),
                "name": words(raw[0x38:0x58]),
                "product_number": f"0x{number:08x}",
                "file_system": words(kind),
                "integrity": "checksum",
                "integrity_detail": ", ".join(told),
            },
            problems=problems,
        )


class TwUpdate(Format):
    """T&W update file: one more header in front of the image."""

    name = "tw-upf"
    title = "T&W update file (.upf)"
    specification = "found from images of T&W and Zisa"
    category = "firmware"
    reads = "date, version and the image"
    not_read = "what the numbers of the first header mean"
    signatures = (Signature(pattern=rb"Copyright 20[0-9]{2}-20[0-9]{2} T&W", width=23, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        size = source.size - offset
        if not raw.startswith(_UPDATE) or any(raw[0x100:]) or size < 2 * _HEADER:
            raise FormatError("not a T&W update file")
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "image", offset + _HEADER, size - _HEADER)],
            detail={"date": words(raw[0x40:0x60]), "version": words(raw[0x7C:0x9C])},
        )


FORMATS = (TwImage(), TwUpdate())
