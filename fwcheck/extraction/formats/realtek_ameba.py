"""Firmware of Realtek Ameba Wi-Fi chips: RTL8710B, RTL8720C's predecessors and RTL872xD (Ameba SDK; libretiny, "AmebaZ images").

Sections one behind the other, each with a header of 32 bytes, little-endian: ``81958711``, u32 size, u32 load address, 16 bytes
(0xFF). A section of no length at a load address ends the list on RTL872xD. Each has its place behind the one before, sometimes
filled up with 0xFF.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<8sII16s")
_MAGIC: Final = b"81958711"
_SECTIONS_LIMIT: Final = 32
_SIZE_LIMIT: Final = 16 << 20


class RealtekAmeba(Format):
    """Ameba image; every section is code."""

    name = "realtek-ameba"
    title = "Realtek Ameba image (RTL8710B, RTL872xD)"
    specification = "Realtek Ameba SDK: prepend_header; libretiny: AmebaZ"
    category = "microcontroller"
    reads = "all sections with their load addresses"
    not_read = "images of RTL8710A and RTL8720C, encrypted images"
    signatures = (Signature(pattern=rb"81958711.{3}\x00.{3}[\x00-\x30].{8}", width=24),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        entries: list[Entry] = []
        problems: list[str] = []
        at = offset
        while len(entries) < _SECTIONS_LIMIT:
            raw = source.peek(at, _HEADER.size)
            if len(raw) < _HEADER.size or raw[:8] != _MAGIC:
                break
            _, size, address, rest = _HEADER.unpack(raw)
            there = min(size, source.size - at - _HEADER.size)
            if size > _SIZE_LIMIT or rest[8:] != b"\xff" * 8:
                break
            if there < size:
                problems.append(f"section {len(entries)}: {size} bytes announced, {there} there")
            if there:
                entries.append(code(source, f"section-{len(entries)}@0x{address:08x}", at + _HEADER.size, there))
            at += _HEADER.size + there
            if not size:
                break
        if not entries:
            raise FormatError("not a section of an Ameba image")
        detail: dict[str, str | int] = {"sections": len(entries), "integrity": "none", "integrity_detail": "no checksum"}
        return Container(format=self.name, size=at - offset, entries=entries, detail=detail, problems=problems)


FORMATS = (RealtekAmeba(),)
