"""Planex images: told by their salted SHA-1."""

from __future__ import annotations

import hashlib
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.planex import FORMATS
from fwcheck.extraction.source import Memory

PLANEX = FORMATS[0]
IMAGE = b"\x27\x05\x19\x56" + b"image" * 200


def planex(version: bytes = b"1.00.00") -> bytes:
    return hashlib.sha1(b"\0\0\0\2" + IMAGE).digest() + struct.pack(">8s2sI", version, b"\x04\x08", len(IMAGE)) + IMAGE


def seeds() -> list[bytes]:
    return [planex(), planex(b"2.08.30")]


def test_the_image_is_given():
    container = PLANEX.open(Memory(planex() + b"tail"), 0)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.detail["version"], container.detail["integrity"]) == (len(planex()), "1.00.00", "hash")


@pytest.mark.parametrize("at", [0, 29, -1])
def test_a_changed_byte_is_no_such_image(at):
    image = bytearray(planex())
    image[at] ^= 1
    with pytest.raises(FormatError):
        PLANEX.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(planex(), 60):
        exercise(PLANEX, data)
