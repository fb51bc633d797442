"""TRX: Broadcom's firmware header, little-endian, with a CRC32 and offsets of three or four partitions.

Layout: magic ``HDR0``, length of the whole image, CRC32 (without final inversion) of everything behind it, flags, version,
offsets (linux/drivers/mtd/parsers/parser_trx.c).
"""

from __future__ import annotations

import re
import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import crc32, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sIIHH4I")
_OFFSETS = {1: 3, 2: 4}
_CRC_START = 12
_ASUS = 64


class Trx(Format):
    """TRX version 1 or 2; its partitions are parts."""

    name = "trx"
    title = "TRX firmware image (Broadcom)"
    specification = "linux/drivers/mtd/parsers/parser_trx.c"
    category = "firmware"
    reads = "versions 1 and 2, all partitions; CRC32 recomputed; product and version of Asus images"
    not_read = "vendor trailers behind the image"
    signatures = (Signature(pattern=rb"HDR0[\x00-\xff]{10}[\x01\x02]\x00", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, length, crc, flags, version, *offsets = _HEADER.unpack(source.peek(offset, 32).ljust(32, b"\0"))
        if magic != b"HDR0" or version not in _OFFSETS:
            raise FormatError("not a TRX header")
        count = _OFFSETS[version]
        header = 16 + 4 * count
        source.check(offset, header)
        used = [each for each in offsets[:count] if each]
        size = min(length, source.size - offset)
        if length <= header or any(each < header for each in used) or used != sorted(set(used)):
            raise FormatError("implausible length or offsets in a TRX header")
        problems: list[str] = []
        right = size == length and crc32(source, offset + _CRC_START, size - _CRC_START) ^ 0xFFFFFFFF == crc
        if not right and any(each >= size for each in used):
            raise FormatError("TRX header with a wrong CRC32 and partitions outside the image")
        if size < length:
            problems.append(f"length {length} announced, {size} bytes there")
        elif not right:
            problems.append(f"wrong CRC32: 0x{crc:08x} in the header")
        return Container(
            format=self.name,
            size=size,
            entries=_partitions(source, offset, used or [header], size),
            detail=_asus(source, offset + size)
            | {
                "version": version,
                "flags": f"0x{flags:04x}",
                "length": length,
                "integrity": "checksum",
                "integrity_detail": f"CRC32 {'right' if right else 'wrong' if size == length else 'cannot be checked'}",
            },
            problems=problems,
        )


def _asus(source: ByteSource, end: int) -> dict[str, str | int]:
    """What Asus writes into the last 64 bytes: version and product (OpenWrt firmware-utils, asustrx)."""
    tail = source.peek(end - _ASUS, _ASUS)
    product = tail[4:16].rstrip(b"\0")
    if len(tail) < _ASUS or not re.fullmatch(rb"[A-Z][A-Z0-9_-]{2,11}", product) or not any(tail[:4]):
        return {}
    return {"asus_product": product.decode("ascii"), "asus_version": ".".join(str(each) for each in tail[:4])}


def _partitions(source: ByteSource, offset: int, starts: list[int], size: int) -> list[Entry]:
    """Each partition reaches to the next one; the last one to the end."""
    entries = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], size], strict=True)):
        at, length = offset + start, min(end, size) - start
        if length > 0:
            entries.append(part(source, f"partition-{number}", at, length))
    return entries


FORMATS = (Trx(),)
