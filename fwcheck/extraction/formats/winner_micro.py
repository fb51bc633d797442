"""Firmware of Winner Micro W800 and W806 (W800 SDK: wm_fwup.h, IMAGE_HEADER_PARAM_ST).

A header of 64 bytes, little-endian: u32 0xA0FFFF9F, u32 attributes (bits 0 to 3 type, 4 encrypted, 5 to 7 key, 8 signed, 16
gzip), u32 address and u32 size of the image, u32 address of this header, u32 address for upgrades, u32 CRC32 of the image, u32
number, 16 bytes version, two u32, u32 address of the next header, u32 CRC32 of the 60 bytes before. Both CRCs are without the
final inversion. The image follows, behind it a signature of 128 bytes if it is signed. Files for flashing are several of these
one behind the other.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<8I16s4I")
_SIGNATURE: Final = 128
_TYPES = {0: "boot loader", 1: "application"}


class WinnerMicro(Format):
    """W800 image; the code is a part."""

    name = "winner-micro"
    title = "Winner Micro W800 image"
    specification = "W800 SDK: wm_fwup.h"
    category = "microcontroller"
    reads = "header and image with their CRC32, gzip images; encryption and signature are told"
    not_read = "encrypted images (told); verification of the signature"
    signatures = (Signature(pattern=rb"\x9f\xff\xff\xa0.{4}.{3}[\x00\x08].{3}\x00", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not a W800 header")
        _, attributes, address, size, _, _, crc, number, version, *_, checksum = _HEADER.unpack(raw)
        head = zlib.crc32(raw[:60])
        if checksum not in {head, head ^ 0xFFFFFFFF} or not size:
            raise FormatError("not a W800 header")
        invert = 0 if checksum == head else 0xFFFFFFFF
        at = offset + _HEADER.size
        there = min(size, source.size - at)
        problems = [f"{size} bytes announced, {there} there"] if there < size else []
        checked = verdict(problems, "CRC32 of the image", crc32(source, at, max(there, 0)) ^ invert == crc)
        signed = bool(attributes >> 8 & 1) and source.size >= at + size + _SIGNATURE
        detail: dict[str, str | int] = {
            "image_type": _TYPES.get(attributes & 15, str(attributes & 15)),
            "load_address": f"0x{address:08x}",
            "number": number,
            "version": words(version),
            "encrypted": "yes" if attributes >> 4 & 1 else "no",
            "compression": "gzip" if attributes >> 16 & 1 else "none",
            "integrity": "signature" if signed else "checksum",
            "integrity_detail": f"{'signature of 128 bytes (not verified)' if signed else 'no signature'}, {checked}",
        }
        entries: list[Entry] = []
        if there > 0:
            entries.append(part(source, "image", at, there, {"address": f"0x{address:08x}"}))
        if entries and attributes >> 4 & 1:
            entries[0] = msgspec.structs.replace(
                entries[0], role="encrypted", detail={"encryption": "AES-128-ECB, W800 (key under RSA)"}
            )
        length = _HEADER.size + max(there, 0) + (_SIGNATURE if signed else 0)
        return Container(format=self.name, size=length, entries=entries, detail=detail, problems=problems)


FORMATS = (WinnerMicro(),)
