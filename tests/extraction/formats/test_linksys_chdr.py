"""Linksys CHDR: the image comes out, the CRC32 is recomputed by another way."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.linksys_chdr import FORMATS
from fwcheck.extraction.source import Memory

CHDR = FORMATS[0]
IMAGE = bytes(range(256)) * 3 + b"end"


def crc(data: bytes) -> int:
    value = 0xFFFFFFFF
    for each in data:
        value ^= each
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value


def chdr(image: bytes = IMAGE) -> bytes:
    return struct.pack("<4sIII", b"CHDR", 16 + len(image), crc(b"\1\0\0\0" + image), 1) + image


def seeds() -> list[bytes]:
    return [chdr(), chdr(b"x")]


def test_the_image_comes_out_and_a_wrong_crc_is_told():
    data = chdr()
    container = CHDR.open(Memory(b"??" + data + b"tail"), 2)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail["integrity_detail"] == "CRC32 right"
    assert CHDR.open(Memory(data[:-1] + b"!"), 0).problems == ["wrong CRC32"]
    assert len(CHDR.open(Memory(data[:-1]), 0).problems) == 1


def test_other_bytes_are_refused_and_truncation_raises_nothing_else():
    with pytest.raises(FormatError):
        CHDR.open(Memory(b"CHDR" + bytes(64)), 0)
    for data in truncations(chdr(), 40):
        exercise(CHDR, data)
