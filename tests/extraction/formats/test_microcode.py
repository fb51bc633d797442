"""Microcode: revision, date and processor are told; the checksum decides what is an update."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.microcode import FORMATS
from fwcheck.extraction.source import Memory

INTEL, AMD = FORMATS


def intel(revision: int = 0xF0, date: int = 0x11122023, size: int = 2048, zero: bool = False) -> bytes:
    data = random.Random(revision).randbytes(size - 48)
    sizes = (0, 0) if zero else (size - 48, size)
    words = [1, revision, date, 0x506E3, 0, 1, 0x36, *sizes, 0, 0, 0]
    total = sum(words) + sum(each[0] for each in struct.iter_unpack("<I", data))
    words[4] = -total & 0xFFFFFFFF
    return struct.pack("<12I", *words) + data


def amd() -> bytes:
    table = struct.pack("<IIIHH", 0x00800F12, 0, 0, 0x8012, 0) + bytes(16)
    out = struct.pack("<III", 0x00414D44, 0, len(table)) + table
    for level, date in ((0x0800126E, 0x03202018), (0x08001278, 0x11092022)):
        patch = struct.pack("<IIHBBIIIHBB", date, level, 0x8004, 0x20, 0, 0, 0, 0, 0x8012, 0, 0) + bytes(170)
        out += struct.pack("<II", 1, len(patch)) + patch
    return out


def seeds() -> list[bytes]:
    return [intel() + intel(0xF1, size=3072), intel(zero=True), amd()]


def test_updates_of_intel_are_listed():
    image = intel() + intel(0xF1, 0x02012024, 3072)
    container = INTEL.open(Memory(b"\xff" * 16 + image + b"\xff" * 99), 16)
    rows = list(container.entries)
    assert [(row.path, row.size, row.detail["date"]) for row in rows] == [
        ("update-506e3-36-f0", 2048, "2023-11-12"),
        ("update-506e3-36-f1", 3072, "2024-02-01"),
    ]
    assert (container.size, container.detail["newest"]) == (len(image), "2024-02-01")
    assert INTEL.open(Memory(intel(zero=True)), 0).size == 2048


def test_a_wrong_checksum_is_no_update():
    image = bytearray(intel())
    image[100] ^= 1
    with pytest.raises(FormatError):
        INTEL.open(Memory(image), 0)


def test_patches_of_amd_are_listed():
    image = amd()
    container = AMD.open(Memory(image + b"after" * 9), 0)
    assert [row.path for row in container.entries] == ["patch-0800126e", "patch-08001278"]
    assert (container.size, container.detail["newest"]) == (len(image), "2022-11-09")
    assert container.detail["processors"] == "0x800f12"


@pytest.mark.parametrize("image", [b"DMA\0" + bytes(200), amd()[:60]])
def test_other_bytes_are_refused(image):
    with pytest.raises(FormatError):
        AMD.open(Memory(image), 0)
