"""Realtek image header (cvimg): 16 bytes in front of boot loader, kernel, web pages or root file system, all big-endian.

    0 signature, four letters    8  flash address
    4 load address               12 length of what follows, with two bytes that make the sum of all 16-bit words zero

Several such images stand one behind the other in an update file (OpenWrt's cvimg; Realtek SDK, bootcode apmib.h).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum16, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct(">4sIII")
_KINDS = {
    b"boot": "boot", b"cs6b": "kernel", b"cs6c": "kernel", b"csys": "kernel", b"csro": "firmware", b"cr6b": "firmware",
    b"cr6c": "firmware", b"r6br": "rootfs", b"r6cr": "rootfs", b"root": "rootfs", b"w6bg": "web", b"w6cg": "web",
    b"webp": "web", b"ALL1": "firmware", b"ALL2": "firmware",
}  # fmt: skip
_WORDS = frozenset({b"boot", b"root", b"csys", b"csro", b"webp"})  # so common in text that only a right sum tells them


class Realtek(Format):
    """One Realtek image; its content is one part."""

    name = "realtek"
    title = "Realtek firmware image (cvimg)"
    specification = "OpenWrt firmware-utils, cvimg; Realtek SDK"
    category = "firmware"
    reads = "boot, kernel, web page, root file system and combined images (cs6c, cr6c, r6cr, w6cg, ...); checksum recomputed"
    signatures = (
        Signature(
            pattern=rb"(?:boot|cs6b|cs6c|csys|csro|cr6b|cr6c|r6br|r6cr|root|w6bg|w6cg|webp|ALL1|ALL2)[\x00-\xbf].{7}\x00.{2}[\x00-\xff]",
            width=16,
        ),
        Signature(
            pattern=rb"(?:cs6b|cs6c|csys|csro|cr6b|cr6c|r6br|r6cr|root|ALL1|ALL2)[\x00-\xbf].{3}[\x00-\xbf].{3}[\x01-\x03].{3}",
            width=16,
        ),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, start, burn, length = _HEADER.unpack(source.read(offset, _HEADER.size))
        available = source.size - offset - _HEADER.size
        if magic not in _KINDS or length < 4 or length % 2:
            raise FormatError("not a Realtek image header")
        # In kernel segments, or at a flash address: everything else is a word in some text.
        if burn >= 1 << 28 or not (start >> 28 in {8, 0xA, 0xB} or start < 1 << 28) or length > 2 * available:
            raise FormatError("implausible addresses in a Realtek image header")
        at = offset + _HEADER.size
        right = sum16(source, at, length, big=True) & 0xFFFF == 0 if length <= available else None
        if not right and magic in _WORDS:
            raise FormatError("wrong checksum of a Realtek image")
        problems: list[str] = []
        if length > available:
            problems.append(f"{length} bytes announced, {available} there")
        told = verdict(problems, "16-bit checksum", right)
        size = min(length, available)
        # The last two bytes are the checksum's.
        content = size - 2 if size == length else size
        return Container(
            format=self.name,
            size=_HEADER.size + size,
            entries=[part(source, _KINDS[magic], at, content)] if content > 0 else [],
            detail={
                "signature": words(magic),
                "load_address": f"0x{start:08x}",
                "flash_address": f"0x{burn:08x}",
                "length": length,
                "integrity": "checksum",
                "integrity_detail": told,
            },
            problems=problems,
        )


FORMATS = (Realtek(),)
