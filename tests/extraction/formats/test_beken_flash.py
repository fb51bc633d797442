"""BK7231 flash: code comes out without the CRC behind every 32 bytes, and ends where the CRCs do."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.beken_flash import FORMATS
from fwcheck.extraction.source import Memory

BEKEN = FORMATS[0]
VECTORS = b"\x06\x00\x00\xea" + b"\x14\xf0\x9f\xe5" * 7
CODE = VECTORS + random.Random(5).randbytes(32 * 99)
CIPHERED = bytes.fromhex("2f07b59435ff2a9b") + CODE[8:]


def crc16(data: bytes) -> int:
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x8005 if value & 0x8000 else 0)) & 0xFFFF
    return value


def flash(code: bytes = CODE) -> bytes:
    blocks = [code[at : at + 32] for at in range(0, len(code), 32)]
    return b"".join(block + struct.pack(">H", crc16(block)) for block in blocks)


def seeds() -> list[bytes]:
    return [flash() + b"\xff" * 340 + b"other", flash(CIPHERED)]


def test_code_comes_out_without_its_crcs():
    data = flash()
    container = BEKEN.open(Memory(data + b"\xff" * 340 + b"behind" * 20), 0)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size, container.detail["blocks"]) == (CODE, len(data), 100)


def test_erased_blocks_inside_are_kept():
    data = flash() + b"\xff" * 34 + flash()
    container = BEKEN.open(Memory(data), 0)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size) == (CODE + b"\xff" * 32 + CODE, len(data))


def test_encrypted_code_is_told():
    data = flash(CIPHERED)
    [entry] = BEKEN.open(Memory(data), 0).entries
    assert (entry.role, entry.open().read(0, entry.size)) == ("encrypted", data)


@pytest.mark.parametrize("at", [5, 32, 34 * 60])
def test_a_wrong_crc_among_the_first_blocks_is_refused(at):
    data = bytearray(flash())
    data[at] ^= 1
    with pytest.raises(FormatError):
        BEKEN.open(Memory(data), 0)


def test_a_short_source_is_refused():
    with pytest.raises(FormatError):
        BEKEN.open(Memory(flash()[:1000]), 0)
