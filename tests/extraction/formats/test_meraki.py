"""Meraki images: SHA-1 recomputed, offsets of kernel, ramdisk and device tree where there are some."""

from __future__ import annotations

import hashlib
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.meraki import FORMATS
from fwcheck.extraction.source import Memory

MERAKI = FORMATS[0]
IMAGE = b"\x5d\0\0\x80" + b"kernel" * 400


def meraki(offsets: tuple[int, ...] = ()) -> bytes:
    second = 0xA1F0BEEF if offsets else 0x8E73ED8A
    numbers = (*offsets, 0x400) if offsets else (0xDA39A3EE, 0x5E6B4B0D, 0x3255BFEF, 0x95601890)
    head = struct.pack(">III20sII4I", 0x8E73ED8A, 0x400, len(IMAGE), hashlib.sha1(IMAGE).digest(), second, 0x60001, *numbers)
    return head.ljust(0x400, b"\xff") + IMAGE


def seeds() -> list[bytes]:
    return [meraki(), meraki((0x500, 0x900, 0x400))]


@pytest.mark.parametrize(
    ("image", "names"), [(meraki(), ["image"]), (meraki((0x500, 0x900, 0x400)), ["fdt", "kernel", "ramdisk"])]
)
def test_the_pieces_are_given(image, names):
    container = MERAKI.open(Memory(b"?" * 4 + image + b"tail"), 4)
    entries = list(container.entries)
    assert [entry.path for entry in entries] == names
    assert b"".join(entry.open().read(0, entry.size) for entry in entries) == IMAGE
    assert (container.size, container.problems, container.detail["integrity_detail"]) == (len(image), [], "SHA-1 right")


def test_a_wrong_hash_is_told_and_nonsense_refused():
    image = bytearray(meraki())
    image[-1] ^= 1
    assert MERAKI.open(Memory(image), 0).problems == ["wrong SHA-1"]
    assert len(MERAKI.open(Memory(image[:-9]), 0).problems) == 1
    image[4:8] = bytes(4)
    with pytest.raises(FormatError):
        MERAKI.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(meraki(), 60):
        exercise(MERAKI, data)
