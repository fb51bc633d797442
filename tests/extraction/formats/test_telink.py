"""Telink images: size and CRC of the header are followed."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.telink import FORMATS
from fwcheck.extraction.source import Memory

TELINK = FORMATS[0]


def image(flag: int = 0x025D, size: int = 1024) -> bytes:
    head = struct.pack("<HIH4s6xHH2xI", 0x8026, 0x01003001, flag, b"KNLT", 0x1141, 0x0203, size)
    body = (head + bytes(range(200)) * 5)[: size - 4]
    return body + struct.pack("<I", zlib.crc32(body) ^ 0xFFFFFFFF)


def seeds() -> list[bytes]:
    return [image(), image(0, 200)]


@pytest.mark.parametrize("flag", [0x025D, 0])
def test_header_and_crc_are_read(flag):
    data = image(flag)
    container = TELINK.open(Memory(b"ab" + data + b"\xff" * 99), 2)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size, container.problems) == (data, len(data), [])
    detail = container.detail
    assert (detail["manufacturer"], detail["image_type"], detail["version"]) == ("0x1141", "0x0203", "0x01003001")
    assert detail["integrity_detail"] == "CRC32 right"


def test_a_wrong_crc_is_told_where_the_image_says_that_it_has_one():
    data = bytearray(image())
    data[500] ^= 1
    assert TELINK.open(Memory(data), 0).problems == ["wrong CRC32"]
    assert TELINK.open(Memory(image()[:-9]), 0).problems == ["1024 bytes announced, 1015 there", "wrong CRC32"]


@pytest.mark.parametrize("data", [image(0)[:-9], image()[:20], image().replace(b"KNLT", b"KNLX")])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        TELINK.open(Memory(data), 0)
