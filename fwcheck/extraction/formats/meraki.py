"""Cisco Meraki kernel image, big-endian: 1 KiB of header, then the image.

    0  8E 73 ED 8A              32 the same, or A1 F0 BE EF
    4  length of the header     36 a number
    8  length of the image      40 with A1 F0 BE EF: offsets of kernel, ramdisk and device tree, from the header
    12 SHA-1 of the image

(OpenWrt firmware-utils, mkmerakifw.)
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct(">III20sII4I")
_MAGIC, _WITH_OFFSETS = 0x8E73ED8A, 0xA1F0BEEF
_NAMES = ("kernel", "ramdisk", "fdt")


class Meraki(Format):
    """Meraki image."""

    name = "meraki"
    title = "Cisco Meraki kernel image"
    specification = "OpenWrt firmware-utils, mkmerakifw"
    category = "firmware"
    reads = "header, image or its kernel, ramdisk and device tree; SHA-1 recomputed"
    signatures = (Signature(pattern=rb"\x8e\x73\xed\x8a\x00\x00[\x00-\x10].[\x00-\x3f]", width=9),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, header, length, sha1, second, _, *offsets = _HEADER.unpack(source.read(offset, _HEADER.size))
        size = min(length, source.size - offset - header)
        if magic != _MAGIC or not _HEADER.size <= header <= 0x1000 or size <= 0:
            raise FormatError("not a Meraki header")
        problems: list[str] = []
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        start = offset + header
        right = digest("sha1", source, (start, size)) == sha1 if size == length else None
        starts = {at: name for name, at in zip(_NAMES, offsets, strict=False) if header <= at < header + size}
        if second != _WITH_OFFSETS or not starts:
            starts = {header: "image"}
        starts = {min(starts): starts[min(starts)]} | starts
        order = sorted(starts)
        ends = [*order[1:], header + size]
        return Container(
            format=self.name,
            size=header + size,
            entries=[part(source, starts[at], offset + at, end - at) for at, end in zip(order, ends, strict=True)],
            detail={
                "header_length": header,
                "length": length,
                "integrity": "hash",
                "integrity_detail": verdict(problems, "SHA-1", right),
            },
            problems=problems,
        )


FORMATS = (Meraki(),)
