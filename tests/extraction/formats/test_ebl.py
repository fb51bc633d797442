"""EBL files: program data comes out at its address, the CRC is recomputed, encrypted data is told."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ebl import FORMATS
from fwcheck.extraction.source import Memory

EBL = FORMATS[0]
HEADER = (0x0000, struct.pack(">HHII", 0x0201, 0xE350, 0x08002000, 0) + bytes(128))
PROGRAM = [(0xFD03, struct.pack(">I", 0x08002000 + 64 * number) + bytes([number]) * 64) for number in range(4)]


def ebl(*tags: tuple[int, bytes]) -> bytes:
    out = b"".join(struct.pack(">HH", tag, len(data)) + data for tag, data in tags) + struct.pack(">HH", 0xFC04, 4)
    return out + struct.pack("<I", zlib.crc32(out))


PLAIN = ebl(HEADER, *PROGRAM, (0xF608, b"meta"))
CIPHERED = ebl(
    (0xFB05, struct.pack(">HHH", 0x0201, 1, 0xE350)), (0xFA06, bytes(16)), (0xF907, bytes(range(90))), (0xF709, bytes(16))
)


def seeds() -> list[bytes]:
    return [PLAIN, CIPHERED]


def test_program_data_comes_out_at_its_address():
    container = EBL.open(Memory(b"z" + PLAIN + b"\xff" * 20), 1)
    memory = b"".join(bytes([number]) * 64 for number in range(4))
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == {"0x08002000": memory}
    assert (container.size, container.problems) == (len(PLAIN), [])
    assert (container.detail["address"], container.detail["integrity_detail"]) == ("0x08002000", "CRC32 right")


def test_encrypted_data_is_told():
    container = EBL.open(Memory(CIPHERED), 0)
    [entry] = container.entries
    assert (entry.role, entry.size, container.detail["encrypted"]) == ("encrypted", 90, "yes")


def test_a_changed_byte_is_told():
    data = bytearray(PLAIN)
    data[200] ^= 1
    assert EBL.open(Memory(data), 0).problems == ["wrong CRC32"]


@pytest.mark.parametrize("data", [PLAIN[:-1], PLAIN[:100], PLAIN.replace(b"\xe3\x50", b"\xe3\x51"), ebl()])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        EBL.open(Memory(data), 0)
