"""Broadcom whole flash images: the trailer at the end of the file, told by its CRC."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.bcm_wfi import FORMATS
from fwcheck.extraction.source import Memory

WFI = FORMATS[0]
IMAGE = b"\x85\x19\x03\x20" + b"jffs2" * 200


def trailer(version: int = 0x5732) -> bytes:
    return struct.pack("<5I", zlib.crc32(IMAGE) ^ 0xFFFFFFFF, version, 0x4908, 3, 2)


def seeds() -> list[bytes]:
    return [IMAGE + trailer(), trailer()]


@pytest.mark.parametrize("version", [0x5731, 0x5732])
def test_the_trailer_is_read(version):
    container = WFI.open(Memory(IMAGE + trailer(version)), len(IMAGE))
    assert (container.size, container.detail["chip"], container.detail["flash"]) == (20, "0x4908", "NAND 128 KiB")
    assert container.detail["integrity_detail"] == "CRC32 of the image right"


def test_without_a_right_crc_or_elsewhere_it_is_none():
    for image in (b"?" + IMAGE[1:] + trailer(), IMAGE + trailer() + b"more"):
        with pytest.raises(FormatError):
            WFI.open(Memory(image), len(IMAGE))


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(IMAGE + trailer(), 60):
        exercise(WFI, data, min(len(IMAGE), len(data)))
