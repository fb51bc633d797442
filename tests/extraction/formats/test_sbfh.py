"""SBFH: the Marvell image behind the header comes out."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.sbfh import FORMATS
from fwcheck.extraction.source import Memory

SBFH = FORMATS[0]
IMAGE = b"MRVL\x7b\xf1\x9c\x2e" + bytes(range(256)) * 2


def sbfh(image: bytes = IMAGE) -> bytes:
    return (b"SBFH" + struct.pack("<I", 0x11C) + b"1234567" + struct.pack("<I", len(image))).ljust(0x11C, b"\0") + image


def seeds() -> list[bytes]:
    return [sbfh()]


def test_the_image_comes_out():
    data = sbfh()
    container = SBFH.open(Memory(b"??" + data + b"tail"), 2)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.problems, entry.role) == (len(data), [], "part")
    assert len(SBFH.open(Memory(data[:-1]), 0).problems) == 1


def test_other_bytes_are_refused_and_truncation_raises_nothing_else():
    with pytest.raises(FormatError):
        SBFH.open(Memory(sbfh(b"another image")), 0)
    for data in truncations(sbfh(), 40):
        exercise(SBFH, data)
