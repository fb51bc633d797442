"""Ingenic boot header: the CRC-7 over the SPL is recomputed, the extent is the one announced."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ingenic_spl import FORMATS
from fwcheck.extraction.source import Mapped, Memory

SPL = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"


def crc7(data: bytes) -> int:
    """Bit by bit: x^7 + x^3 + 1, nothing inverted."""
    register = 0
    for byte in data:
        for bit in range(7, -1, -1):
            carry = (register >> 6 ^ byte >> bit) & 1
            register = (register << 1 & 0x7F) ^ (9 if carry else 0)
    return register


def spl(size: int = 5000, nand: bool = False) -> bytes:
    body = random.Random(size).randbytes(size)
    blocks = (2, 2) if nand else (0, 0)
    head = b"\6\5\4\3\2\x55\xaa\x55" + struct.pack("<4BI", 0 if nand else 0xAA, crc7(body), *blocks, 512 + size)
    return head.ljust(512, b"\0") + body


def seeds() -> list[bytes]:
    return [spl(), spl(700, nand=True)]


@pytest.mark.parametrize("nand", [False, True])
def test_the_code_comes_out_and_the_crc_is_right(nand):
    data = spl(nand=nand)
    container = SPL.open(Memory(b"\xff" * 100 + data + b"after" * 100), 100)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == data[512:]
    assert (container.size, container.detail["integrity_detail"], container.problems) == (len(data), "CRC-7 right", [])
    assert container.detail.get("page_size") == (2048 if nand else None)


def test_a_changed_byte_is_told():
    data = bytearray(spl())
    data[-1] ^= 4
    container = SPL.open(Memory(data), 0)
    assert container.detail["integrity_detail"] == "CRC-7 wrong"
    assert container.problems


def test_a_cut_one_is_told():
    assert SPL.open(Memory(spl()[:3000]), 0).detail["integrity_detail"] == "CRC-7 cannot be checked"


def test_a_header_with_other_bytes_behind_it_is_refused():
    data = bytearray(spl())
    data[200] = 1
    with pytest.raises(FormatError):
        SPL.open(Memory(data), 0)


@pytest.mark.corpus
def test_the_flash_of_a_camera_begins_with_one():
    path = CORPUS / "cam-sannce_sannce-flash8m.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = SPL.open(Mapped.open(path), 0)
    assert (container.size, container.detail["integrity_detail"]) == (0x3298, "CRC-7 right")
