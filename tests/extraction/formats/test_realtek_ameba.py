"""Ameba images: sections come out with their load addresses."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.realtek_ameba import FORMATS
from fwcheck.extraction.source import Memory

AMEBA = FORMATS[0]


def section(address: int, data: bytes) -> bytes:
    return b"81958711" + struct.pack("<II", len(data), address) + b"\xff" * 16 + data


IMAGE = section(0x0C000020, b"xip" * 90) + section(0x10005000, b"ram" * 50)


def seeds() -> list[bytes]:
    return [IMAGE, IMAGE + section(0x02000020, b"")]


def test_sections_come_out_with_their_addresses():
    container = AMEBA.open(Memory(b"1234" + IMAGE + section(0x02000020, b"") + b"\xff" * 64), 4)
    entries = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert entries == {"section-0@0x0c000020": b"xip" * 90, "section-1@0x10005000": b"ram" * 50}
    assert (container.size, container.problems) == (len(IMAGE) + 32, [])


def test_a_cut_section_is_told():
    container = AMEBA.open(Memory(IMAGE[:-10]), 0)
    assert (container.size, container.problems) == (len(IMAGE) - 10, ["section 1: 150 bytes announced, 140 there"])


@pytest.mark.parametrize("data", [IMAGE[:31], b"81958711" + bytes(90), section(0x10005000, b"")])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        AMEBA.open(Memory(data), 0)
