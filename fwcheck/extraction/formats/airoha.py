"""Airoha's firmware packages of Bluetooth audio chips (FOTA), little-endian (unblob, airoha; ramikg/airoha-firmware-parser).

SHA-256 of what follows (32), padding of FF up to 0x100; then records of type and length (16 bits each). 0x11, basic information:
compression (0 none, 1 LZMA, 2 LZMA under AES), integrity (0 CRC32, 1 SHA-256, 2 SHA-256 and RSA), offset of the firmware, its
size. 0x12, mover: number of sections, and of each its offset in the unpacked firmware, size and load address.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_RECORDS = 0x100
_BASIC = struct.Struct("<HHBBII")
_MOVER = 0x12
_COMPRESSIONS = {0: "none", 1: "LZMA", 2: "LZMA, AES"}
_INTEGRITIES = {0: "CRC32", 1: "SHA-256", 2: "SHA-256 and RSA"}
_SECTION = struct.Struct("<III")
_SECTION_LIMIT = 64
_RECORD_LIMIT = 256


class Airoha(Format):
    """Airoha FOTA package."""

    name = "airoha"
    title = "Airoha Bluetooth firmware package (FOTA)"
    specification = "unblob, airoha; ramikg/airoha-firmware-parser"
    category = "microcontroller"
    reads = "header, sections; firmware stored or packed with LZMA; SHA-256 of the package recomputed"
    not_read = "firmware under AES is told as encrypted; the CRC32 or RSA signature of the firmware is not verified"
    signatures = (Signature(pattern=rb"\xff{16}\x11\x00\x0a\x00[\x00-\x02][\x00-\x02]", width=22, offset=240),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, _RECORDS + _BASIC.size)
        kind, length, compression, integrity, at, announced = _BASIC.unpack_from(head, _RECORDS)
        size = min(announced, source.size - offset - at)
        if (kind, length) != (0x11, 10) or compression not in _COMPRESSIONS or integrity not in _INTEGRITIES:
            raise FormatError("not an Airoha package")
        if at < _RECORDS + _BASIC.size or size <= 0 or head[32:_RECORDS].strip(b"\xff"):
            raise FormatError("implausible offsets in an Airoha package")
        problems: list[str] = []
        right = None
        if size == announced:
            right = digest("sha256", source, (offset + 32, at + size - 32)) == head[:32]
        else:
            problems.append(f"{announced} bytes announced, {size} there")
        detail: dict[str, str | int] = {
            "compression": _COMPRESSIONS[compression],
            "firmware integrity": _INTEGRITIES[integrity],
            "integrity": "signature" if integrity == 2 else "hash",  # SHA-256 and RSA
            "integrity_detail": verdict(problems, "SHA-256", right) + ("; RSA signature not verified" * (integrity == 2)),
        }
        sections = _sections(source, offset, offset + at)
        if sections:
            detail["sections"] = "; ".join(f"{size} bytes to 0x{load:08x}" for _, size, load in sections)
        return Container(
            format=self.name,
            size=at + size,
            entries=[_firmware(source, offset + at, size, encrypted=compression == 2)],
            detail=detail,
            problems=problems,
        )


def _sections(source: ByteSource, offset: int, end: int) -> list[tuple[int, int, int]]:
    at = offset + _RECORDS
    for _ in range(_RECORD_LIMIT):
        head = source.peek(at, 8)
        if len(head) < 8 or at + 8 > end:  # type, length, and the number of sections
            break
        kind, length, count = struct.unpack("<HHI", head)
        if kind == _MOVER:
            raw = source.peek(at + 8, min(count, _SECTION_LIMIT) * _SECTION.size)
            return list(_SECTION.iter_unpack(raw[: len(raw) // _SECTION.size * _SECTION.size]))
        at += 4 + length
    return []


def _firmware(source: ByteSource, at: int, size: int, *, encrypted: bool) -> Entry:
    if not encrypted:
        return part(source, "firmware", at, size)
    return Entry(
        path="firmware",
        kind=NodeKind.REGION,
        size=size,
        offset=at,
        role="encrypted",
        detail={"encryption": "AES, Airoha (key of the vendor)"},
        locality=at,
        open=lambda: source.window(at, size),
    )


FORMATS = (Airoha(),)
