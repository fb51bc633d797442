"""Senao and EnGenius images, big-endian: 96 bytes of header, then the image combined with a pattern by exclusive or.

    0  number             28 type                    76 padding of the header ends; EnGenius goes on with more fields
    4  vendor             32 length                  88 sum of all bytes of the header but these last eight
    8  product            40 MD5 of the image        92 magic (0x12345678), from which the pattern comes
    12 version (16)       56 padding (32)

Byte i is combined with the magic shifted right by i modulo 8 (OpenWrt firmware-utils, mksenaofw). EnGenius puts more fields
between header and image: region (8), two versions and a date (seven words), length of the model's name, the name (unblob,
engenius).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_HEADER = struct.Struct(">III16sIII16s32sII")
_SEARCHED = 1 << 16
_TYPES = {
    1: "boot loader", 2: "kernel", 3: "kernel and applications", 4: "applications", 5: "factory applications",
    6: "little applications", 7: "application data", 8: "user configuration", 9: "ODM applications",
}  # fmt: skip


def _pattern(magic: int) -> bytes:
    return bytes(magic >> shift & 0xFF for shift in range(8))


def combined(source: ByteSource, pattern: bytes) -> Iterator[bytes]:
    """The image as it was before; whole chunks are combined as integers."""
    for chunk in source.chunks():
        mask = pattern * (len(chunk) // 8 + 1)
        plain = int.from_bytes(chunk, "little") ^ int.from_bytes(mask[: len(chunk)], "little")
        yield plain.to_bytes(len(chunk), "little")


class Senao(Format):
    """Senao image."""

    name = "senao"
    title = "Senao / EnGenius firmware image"
    specification = "OpenWrt firmware-utils, mksenaofw"
    category = "firmware"
    reads = "header (checksum recomputed) and the image without its pattern (MD5 recomputed)"
    not_read = "the MD5 of EnGenius images is told only where it is that of the image"
    signatures = (
        Signature(
            pattern=rb"\x00{3}.\x00\x00.{2}\x00{2}.{2}[\x20-\x7e][\x00-\x7e]{15}\x00\x00\x00[\x01-\x0c][\x00-\x0f].{3}\x00{4}.{16}",
            width=56,
        ),
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER.size)
        _, vendor, product, version, kind, length, zero, md5, _, total, magic = _HEADER.unpack(raw)
        start = offset + _HEADER.size
        # The tool sums its own byte order of some fields, but bytes are bytes in any order.
        own = sum(raw[:88]) + sum(raw[92:96])
        if zero or not magic or not vendor or total != own or not 0 < length <= 1 << 28:
            raise FormatError("wrong checksum of a Senao header")
        model, pattern = "", _pattern(magic)
        more = _more(source, start)
        if more:
            model = words(source.read(start + 40, more - 40))
            start, length = start + more, length - more
            # Where zeros were, the pattern shows: its place tells where it begins.
            shown = bytes(source.peek(start, _SEARCHED)).find(pattern)
            turn = -shown % 8 if shown > 0 else 0
            pattern = pattern[turn:] + pattern[:turn]
        size = min(length, source.size - start)
        if size <= 0:
            raise FormatError("nothing behind a Senao header")
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        window = source.window(start, size)
        right = None
        if size == length:
            hashed = hashlib.md5(usedforsecurity=False)
            for piece in combined(window, pattern):
                hashed.update(piece)
            right = hashed.digest() == md5
            # What the MD5 of EnGenius covers is not known.
            right = None if more and not right else right
        entry = Entry(
            path="image",
            kind=NodeKind.REGION,
            size=size,
            role="part",
            detail={"pattern": f"0x{magic:08x}"},
            locality=start,
            open=partial(_image, window, pattern, limits),
        )
        return Container(
            format=self.name,
            size=start + size - offset,
            entries=[entry],
            detail={
                "vendor": f"0x{vendor:04x}",
                "product": f"0x{product:04x}",
                "version": words(version),
                "model": model,
                "type": _TYPES.get(kind, f"0x{kind:02x}"),
                "integrity": "hash",
                "integrity_detail": f"header checksum right, {verdict(problems, 'MD5', right)}",
            },
            problems=problems,
        )


def _more(source: ByteSource, start: int) -> int:
    """The length of the fields that EnGenius adds; 0 where there are none."""
    raw = source.peek(start, 40)
    length = int.from_bytes(raw[36:40], "big")
    region = raw[:8].rstrip(b"\0")
    if len(raw) < 40 or not region.isalnum() or not 0 < length <= 64 or any(raw[at] for at in range(8, 20, 4)):
        return 0
    return 40 + length


def _image(window: ByteSource, pattern: bytes, limits: Limits) -> ByteSource:
    return spool(bounded(combined(window, pattern), window.size, limits))


FORMATS = (Senao(),)
