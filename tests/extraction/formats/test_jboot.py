"""JBOOT: update header, tag and kernel header one inside the other, with every checksum."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.jboot import FORMATS
from fwcheck.extraction.source import Memory

UPDATE, TAG, KERNEL = FORMATS
CODE = b"\x5d\0\0\x80" + b"kernel" * 201


def checksum(data: bytes) -> int:
    """Word by word, as the vendor's code does it."""
    counter = 0
    for at in range(0, len(data) - 1, 2):
        counter += data[at] | data[at + 1] << 8
        while counter >> 16:
            counter = (counter & 0xFFFF) + (counter >> 16)
    if len(data) % 2:
        counter = (counter + data[-1] - 0xFF) & 0xFFFFFFFF
    while counter >> 16:
        counter = (counter & 0xFFFF) + (counter >> 16)
    return counter


def kernel(code: bytes = CODE) -> bytes:
    head = struct.pack("<HBB8IHH", 0x2124, 3, 2, 0x80000000, len(code), zlib.crc32(code), 0x80000000, 0x90000, 500, 1, 0, 40, 0)
    return head[:32] + struct.pack("<I", zlib.crc32(head)) + head[36:] + code


def tag(factory: bool = False, code: bytes = CODE) -> bytes:
    image = kernel(code)
    head = struct.pack("<BBHIIH", 4, 4, 0x2B24, 0x0A000000, len(image), checksum(image))
    return (b"\xff" if factory else b"\x04") + head[1:] + struct.pack("<H", checksum(head) ^ 0xFFFF) + image


def update(code: bytes = CODE) -> bytes:
    data = tag(factory=True, code=code)
    head = b"DLK6E3803001" + struct.pack("<HH10xBBI4I16xHHHBBIH", 0, checksum(data), 1, 0, 0x0A000000, 0x10000, 0x7F0000, 0x10000,
                                         len(data), 0x4842, 2, 0, 4, 4, 0, 0x6E38)  # fmt: skip
    return head + struct.pack("<H", checksum(head) ^ 0xFFFF) + data


def seeds() -> list[bytes]:
    return [update(), tag(), tag(factory=True), kernel()]


def content(container) -> bytes:
    (entry,) = container.entries
    return entry.open().read(0, entry.size)


@pytest.mark.parametrize("code", [CODE, CODE + b"?"])
def test_each_header_gives_what_stands_behind_it(code):
    image = update(code)
    outer = UPDATE.open(Memory(b"?" * 4 + image + b"tail"), 4)
    middle = TAG.open(Memory(content(outer)), 0)
    inner = KERNEL.open(Memory(content(middle)), 0)
    assert content(inner) == code
    assert (outer.size, outer.problems, middle.problems, inner.problems) == (len(image), [], [], [])
    assert (outer.detail["rom_id"], middle.detail["kind"], inner.detail["compression"]) == ("DLK6E3803001", "factory", "lzma")
    assert inner.detail["integrity_detail"] == "header CRC32 right, kernel CRC32 right"


def test_a_changed_byte_is_told_by_all_three():
    image = bytearray(update())
    image[-1] ^= 1
    outer = UPDATE.open(Memory(image), 0)
    middle = TAG.open(Memory(content(outer)), 0)
    inner = KERNEL.open(Memory(content(middle)), 0)
    assert (outer.problems, middle.problems) == (["wrong data checksum"], ["wrong image checksum"])
    assert inner.problems == ["wrong kernel CRC32"]


@pytest.mark.parametrize(("format", "image"), [(UPDATE, update()), (TAG, tag()), (KERNEL, kernel())])
def test_wrong_headers_are_refused_and_cut_images_told(format, image):
    assert len(format.open(Memory(image[:-50]), 0).problems) == 1
    broken = bytearray(image)
    broken[8] ^= 1
    with pytest.raises(FormatError):
        format.open(Memory(broken), 0)


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((UPDATE, update()), (TAG, tag()), (KERNEL, kernel())):
        for data in truncations(image, 60):
            exercise(format, data)
