"""W800 images: header and image with their CRC, encryption and signature told."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.winner_micro import FORMATS
from fwcheck.extraction.source import Memory

W800 = FORMATS[0]
CODE = b"w800 code " * 60


def image(attributes: int = 1, code: bytes = CODE, crc: int | None = None, invert: int = 0xFFFFFFFF) -> bytes:
    crc = zlib.crc32(code) ^ invert if crc is None else crc
    head = struct.pack(
        "<8I16s3I", 0xA0FFFF9F, attributes, 0x08010400, len(code), 0x08010000, 0x08090000, crc, 0, b"G01.00", 0, 0, 0
    )
    out = head + struct.pack("<I", zlib.crc32(head) ^ invert) + code
    return out + (random.Random(2).randbytes(128) if attributes >> 8 & 1 else b"")


def seeds() -> list[bytes]:
    return [image(), image(0x101), image(0x11)]


@pytest.mark.parametrize("invert", [0, 0xFFFFFFFF])
def test_image_and_header_are_checked(invert):
    data = image(invert=invert)
    container = W800.open(Memory(b"0" * 8 + data + image(0)), 8)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size, container.problems) == (CODE, len(data), [])
    assert (container.detail["version"], container.detail["load_address"]) == ("G01.00", "0x08010400")
    assert container.detail["integrity_detail"] == "no signature, CRC32 of the image right"


def test_signature_and_encryption_are_told():
    container = W800.open(Memory(image(0x111)), 0)
    [entry] = container.entries
    assert (entry.role, container.detail["integrity"], container.size) == ("encrypted", "signature", 64 + len(CODE) + 128)


def test_a_wrong_crc_and_a_cut_are_told():
    assert W800.open(Memory(image(crc=7)), 0).problems == ["wrong CRC32 of the image"]
    assert W800.open(Memory(image()[:-1]), 0).problems[0] == "600 bytes announced, 599 there"


@pytest.mark.parametrize("data", [image()[:63], image().replace(b"G01.00", b"G01.01"), image(code=b"")])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        W800.open(Memory(data), 0)
