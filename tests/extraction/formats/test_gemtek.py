"""Gemtek images of both magics."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.gemtek import FORMATS
from fwcheck.extraction.source import Memory

GEMTEK = FORMATS[0]
IMAGE = b"\x27\x05\x19\x56" + b"kernel" * 200


def gemtek(magic: bytes = b"GMTK", version: bytes = b"1007") -> bytes:
    image = bytearray(magic + version + struct.pack("<IIII", 0x03040001, 32 + len(IMAGE), 0, 0) + b"2\0\0\0EN\0\0" + IMAGE)
    image[16:20] = struct.pack("<I", zlib.crc32(image))
    return bytes(image)


def seeds() -> list[bytes]:
    return [gemtek(), gemtek(b"A600", b"1005")]


@pytest.mark.parametrize("image", seeds())
def test_the_image_is_given_and_the_checksum_recomputed(image):
    container = GEMTEK.open(Memory(b"?" * 3 + image + b"tail"), 3)
    (entry,) = container.entries
    assert (entry.offset, entry.open().read(0, entry.size)) == (35, IMAGE)
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["build"], container.detail["language"]) == ("2", "EN")
    assert container.detail["integrity_detail"] == "CRC32 right"


@pytest.mark.parametrize("at", [24, 40])
def test_a_changed_header_or_image_is_told(at):
    image = bytearray(gemtek())
    image[at] ^= 1
    container = GEMTEK.open(Memory(image), 0)
    assert (container.detail["integrity_detail"], len(container.problems)) == ("CRC32 wrong", 1)


def test_a_short_image_is_given_as_far_as_it_goes():
    container = GEMTEK.open(Memory(gemtek()[:-5]), 0)
    assert container.size == len(gemtek()) - 5
    assert container.problems


@pytest.mark.parametrize("image", [b"GMTX" + gemtek()[4:], gemtek(version=b"10a7"), gemtek()[:32]])
def test_something_else_is_refused(image):
    with pytest.raises(FormatError):
        GEMTEK.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(gemtek(), 60):
        exercise(GEMTEK, data)
