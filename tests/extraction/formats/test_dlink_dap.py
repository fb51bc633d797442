"""D-Link access points: both headers, told by the sum of all bytes of the image."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dlink_dap import FORMATS
from fwcheck.extraction.source import Memory

DAP = FORMATS[0]
IMAGE = b"\x27\x05\x19\x56" + b"image" * 300


def old(more: bool = False) -> bytes:
    size = 80 if more else 64
    head = struct.pack(">I20s30sBB2x2xI", sum(IMAGE), b"DAP-1350", b"RT3052-AP-DAP1350-3", 0, size, len(IMAGE))
    return head + (b"WW\0\0" + b"1.11".ljust(12, b"\0") if more else b"") + IMAGE


def new(sign: str = "<") -> bytes:
    fields = (sum(IMAGE), len(IMAGE), 0xE0000, b"HONEYBEE-FIRMWARE-DAP-1330", b"1.00.21", b"Default")
    return struct.pack(f"{sign}I", 72) + struct.pack(">III32s16s8s", *fields) + IMAGE


def seeds() -> list[bytes]:
    return [old(), old(more=True), new(), new(">")]


@pytest.mark.parametrize("image", [old(), old(more=True), new(), new(">")])
def test_the_image_is_given(image):
    container = DAP.open(Memory(b"?" * 4 + image + b"tail"), 4)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.detail["integrity_detail"]) == (len(image), "byte sum right")
    assert container.detail["signature"] in {"RT3052-AP-DAP1350-3", "HONEYBEE-FIRMWARE-DAP-1330"}


@pytest.mark.parametrize("image", [old(), new()])
def test_a_changed_byte_is_no_such_image(image):
    broken = bytearray(image)
    broken[-1] ^= 1
    with pytest.raises(FormatError):
        DAP.open(Memory(broken), 0)


def test_truncation_anywhere_raises_nothing_else():
    for image in (old(), new()):
        for data in truncations(image, 60):
            exercise(DAP, data)
