"""RBL, the OTA package of Beken BK7231 and other chips (RT-Thread OTA packager; libretiny, "RBL header").

A header of 96 bytes, little-endian: ``RBL`` and a zero, u32 algorithm (low byte: 1 XOR, 2 AES-256-CBC; second byte: 1 gzip, 2
QuickLZ, 3 FastLZ), u32 time, 16 bytes partition, 24 bytes version, 24 bytes product, u32 CRC32 of the packed firmware, u32
FNV-1a hash of the firmware, u32 its size, u32 its packed size, u32 CRC32 of the 92 bytes before. The packed firmware follows;
in a partition of the flash the header stands alone, behind the firmware.
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

_HEADER = struct.Struct("<4sII16s24s24sIIIII")
_CIPHERS = {1: "XOR", 2: "AES-256-CBC"}
_PACKERS = {1: "gzip", 2: "QuickLZ", 3: "FastLZ"}
_KNOWN: Final = frozenset((packer << 8) + cipher for packer in range(4) for cipher in range(3))


class BekenRbl(Format):
    """RBL package; the packed firmware is a part."""

    name = "beken-rbl"
    title = "RBL OTA package (Beken, RT-Thread)"
    specification = "RT-Thread OTA (rt_ota.h); libretiny: Beken RBL"
    category = "microcontroller"
    reads = "header with its CRC32, plain and gzip firmware, CRC32 of the packed firmware"
    not_read = "encrypted firmware (told), QuickLZ and FastLZ (told)"
    signatures = (Signature(pattern=rb"RBL\x00[\x00-\x02][\x00-\x03]\x00\x00.{4}[\x20-\x7e]", width=13),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size or zlib.crc32(raw[:92]) != int.from_bytes(raw[92:], "little"):
            raise FormatError("not an RBL header")
        _, algorithm, time, name, version, product, crc, _, size, packed, _ = _HEADER.unpack(raw)
        if algorithm not in _KNOWN:
            raise FormatError("not an RBL algorithm")
        cipher, packer = _CIPHERS.get(algorithm & 0xFF, "none"), _PACKERS.get(algorithm >> 8, "none")
        detail: dict[str, str | int] = {
            "partition": words(name),
            "version": words(version),
            "product": words(product),
            "time": time,
            "encryption": cipher,
            "compression": packer,
            "firmware_size": size,
        }
        problems: list[str] = []
        there = min(packed, source.size - offset - _HEADER.size)
        entries: list[Entry] = []
        checked = "the firmware stands elsewhere"
        alone = set(source.peek(offset + _HEADER.size, 64)) <= {0xFF}
        if not alone:
            if there < packed:
                problems.append(f"{packed} bytes announced, {there} there")
            at = offset + _HEADER.size
            checked = verdict(problems, "CRC32 of the packed firmware", crc32(source, at, there) == crc)
            entries.append(_firmware(source, at, there, cipher))
        detail |= {"integrity": "checksum", "integrity_detail": f"CRC32 of the header right, {checked}"}
        length = _HEADER.size + (0 if alone else there)
        return Container(format=self.name, size=length, entries=entries, detail=detail, problems=problems)


def _firmware(source: ByteSource, at: int, size: int, cipher: str) -> Entry:
    entry = part(source, "firmware", at, size)
    if cipher == "none":
        return entry
    return msgspec.structs.replace(entry, role="encrypted", detail={"encryption": f"{cipher}, RT-Thread OTA"})


FORMATS = (BekenRbl(),)
