"""Ingenic XBurst boot code in serial flash: a header that the boot ROM checks, then the SPL, little-endian (X1000, T10 to T31).

0 06 05 04 03 02 55 AA 55, 8 flash type (0x00 NAND, 0xAA NOR), 9 CRC-7, 10 pages per block / 32, 11 bytes per page / 1024,
12 length (header included), zeros to 512 (2048 before SPLs in NAND); CRC-7 (x^7 + x^3 + 1) over what follows byte 512
(Ingenic U-Boot, board/ingenic; Rockbox tools/mkspl-x1000).
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_MAGIC: Final = b"\x06\x05\x04\x03\x02\x55\xaa\x55"
_HEADER: Final = struct.Struct("<8s4BI")
_CODE: Final = 512
_LARGEST: Final = 256 << 10
_FLASH: Final = {0x00: "NAND", 0xAA: "NOR"}


def _table() -> bytes:
    """CRC-7 by byte, the register in the upper seven bits."""
    out = bytearray()
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ 0x12 if value & 0x80 else value << 1) & 0xFF  # noqa: PLW2901
        out.append(value)
    return bytes(out)


_TABLE: Final = _table()


class IngenicSpl(Format):
    """Ingenic SPL with its boot header; the CRC-7 has to be right, or the header very plausible."""

    name = "ingenic-spl"
    title = "Ingenic XBurst SPL (boot header of serial flash)"
    specification = "Ingenic U-Boot; Rockbox tools/mkspl-x1000"
    category = "executable"
    reads = "NOR and NAND headers of X1000 and T10 to T31, CRC-7 recomputed"
    not_read = "SPLs for SD cards, which have no header; signed SPLs of secure boot are not verified"
    signatures = (
        Signature(pattern=rb"\x06\x05\x04\x03\x02\x55\xaa\x55[\x00\xaa][\x00-\x7f]..[\x00-\xff]{2}[\x00-\x03]\x00", width=16),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, flash, crc, blocks, pages, length = _HEADER.unpack(source.read(offset, _HEADER.size))
        if magic != _MAGIC or flash not in _FLASH or not _CODE < length <= _LARGEST:
            raise FormatError("no Ingenic boot header")
        if any(source.read(offset + _HEADER.size, _CODE - _HEADER.size)):
            raise FormatError("an Ingenic boot header that is not followed by zeros")
        problems: list[str] = []
        size = min(length, source.size - offset)
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
            checked = "cannot be checked"
        else:
            checked = "right" if _crc7(source.read(offset + _CODE, length - _CODE)) == crc else "wrong"
        if checked == "wrong":
            problems.append(f"wrong CRC-7: 0x{crc:02x} in the header")
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, "spl", offset + _CODE, size - _CODE)],
            detail={
                "flash": _FLASH[flash],
                "length": length,
                "integrity": "checksum",
                "integrity_detail": f"CRC-7 {checked}",
            }
            | ({"pages_per_block": blocks * 32, "page_size": pages * 1024} if flash == 0 and blocks and pages else {}),
            problems=problems,
        )


def _crc7(data: bytes) -> int:
    register = 0
    for byte in data:
        register = _TABLE[register ^ byte]
    return register >> 1


FORMATS = (IngenicSpl(),)
