"""Poray: the image comes out with whichever key it was combined, and its checksum is recomputed."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.poray import FORMATS
from fwcheck.extraction.source import Memory

PORAY = FORMATS[0]
KEYS = ("c83c3a93a295c36348455809120308", "896b5a939295c363d0a39c922ee6c7", "c83c3a93a295c36348455809201108")
IMAGE = b"\x27\x05\x19\x56" + bytes(range(28)) + b"Linux Kernel".ljust(32, b"\0") + b"kernel" * 301


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])) + (data[-1] if len(data) % 2 else 0)
    total = total + (total >> 16) + 0xFFFF
    return ~(total + (total >> 16)) & 0xFFFF


def poray(key: str = KEYS[0], image: bytes = IMAGE) -> bytes:
    whole = image + struct.pack("<H", checksum(image))
    mixed = bytes(each ^ bytes.fromhex(key)[at % 15] for at, each in enumerate(whole))
    return struct.pack("<4sII16x", b"2530", len(image), 0x020E0000) + mixed


def seeds() -> list[bytes]:
    return [poray(key) for key in KEYS]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("image", [IMAGE, IMAGE + b"?"])
def test_the_image_comes_out(key, image):
    data = poray(key, image)
    container = PORAY.open(Memory(b"?" * 4 + data + b"tail"), 4)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == image
    assert (container.size, container.problems, container.detail["key"]) == (len(data), [], key)
    assert container.detail["integrity_detail"] == "checksum right"


def test_a_wrong_checksum_and_a_cut_image_are_told_and_an_unknown_key_refused():
    data = bytearray(poray())
    data[-1] ^= 1
    assert PORAY.open(Memory(data), 0).problems == ["wrong checksum"]
    assert len(PORAY.open(Memory(data[:-50]), 0).problems) == 1
    data[28] ^= 1
    with pytest.raises(FormatError):
        PORAY.open(Memory(data), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(poray(), 60):
        exercise(PORAY, data)
