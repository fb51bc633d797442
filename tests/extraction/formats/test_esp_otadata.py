"""OTA data: both entries are read, and only a right CRC counts."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.esp_otadata import FORMATS
from fwcheck.extraction.source import Memory

OTADATA = FORMATS[0]
EMPTY = b"\xff" * 4096


def sector(sequence: int, state: int = 0xFFFFFFFF, crc: int | None = None) -> bytes:
    number = struct.pack("<I", sequence)
    crc = zlib.crc32(number, 0xFFFFFFFF) if crc is None else crc
    return (number + b"\xff" * 20 + struct.pack("<II", state, crc)).ljust(4096, b"\xff")


def seeds() -> list[bytes]:
    return [sector(1) + sector(2, 2), sector(7, 3) + EMPTY]


def test_both_entries_are_read():
    container = OTADATA.open(Memory(b"\0" * 8 + sector(1) + sector(2, 2) + b"next"), 8)
    detail = container.detail
    assert (container.size, container.problems, detail["sequence"]) == (8192, [], 2)
    assert (detail["entry_0"], detail["entry_1"]) == ("sequence 1, undefined", "sequence 2, valid")
    assert detail["checks"] == "CRC32 of entry 0 right, CRC32 of entry 1 right"


def test_an_empty_second_sector_belongs_to_nobody():
    container = OTADATA.open(Memory(sector(3, 0) + EMPTY), 0)
    assert (container.size, container.detail["sequence"], container.detail["entry_0"]) == (4096, 3, "sequence 3, new")


def test_a_wrong_crc_in_the_second_sector_is_told():
    container = OTADATA.open(Memory(sector(3) + sector(4, 2, crc=5)), 0)
    assert container.problems == ["wrong CRC32 of entry 1"]
    assert container.detail["sequence"] == 3


@pytest.mark.parametrize("data", [sector(3, crc=1), sector(3, 9), sector(0), b"\xff" * 64, sector(2)[:31]])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        OTADATA.open(Memory(data), 0)
