"""PSP directories: rows are listed, the checksum decides."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.amd_psp import FORMATS
from fwcheck.extraction.source import Memory

PSP = FORMATS[0]


def fletcher32(data: bytes) -> int:
    """By the definition: both sums modulo 65535, where 65535 stands for zero as the all-ones start makes it."""
    low = high = 0xFFFF
    for at in range(0, len(data), 2):
        low = (low + int.from_bytes(data[at : at + 2], "little") - 1) % 65535 + 1
        high = (high + low - 1) % 65535 + 1
    return high << 16 | low


def directory(cookie: bytes = b"$PSP") -> bytes:
    rows = [(0, 0, 0, 0x440, 0x61000), (1, 0, 0, 0xA000, 0x61500), (0x77, 1, 2, 9, 0xFF000000)]
    body = struct.pack("<II", len(rows), 0x20000000)
    for row in rows:
        body += struct.pack("<BBHIQ", *row) + (bytes(8) if cookie in {b"$BHD", b"$BL2"} else b"")
    return cookie + struct.pack("<I", fletcher32(body)) + body


def seeds() -> list[bytes]:
    return [directory(), directory(b"$BHD")]


@pytest.mark.parametrize("cookie", [b"$PSP", b"$PL2", b"$BHD", b"$BL2"])
def test_rows_are_listed(cookie):
    image = directory(cookie)
    container = PSP.open(Memory(b"\xff" * 256 + image + b"\xff" * 99), 256)
    assert container.size == len(image)
    rows = list(container.entries)
    assert [row.path for row in rows] == ["AMD public key@0x61000", "PSP boot loader@0x61500", "type-0x77@0xff000000"]
    assert (rows[1].size, rows[1].role) == (0xA000, "meta")


def test_a_wrong_checksum_is_no_directory():
    image = bytearray(directory())
    image[20] ^= 1
    with pytest.raises(FormatError):
        PSP.open(Memory(image), 0)
