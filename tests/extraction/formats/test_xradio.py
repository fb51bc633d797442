"""XRadio images: sections follow their chain, and their checksums are recomputed."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.xradio import FORMATS
from fwcheck.extraction.source import Memory

XRADIO = FORMATS[0]


def sum16(data: bytes) -> int:
    return sum(struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])) + (data[-1] if len(data) % 2 else 0) & 0xFFFF


def section(number: int, data: bytes, following: int, address: int = 0x201000) -> bytes:
    def head(checksum: int) -> bytes:
        fields = (len(data), address, address + 1, len(data), 0, following, number)
        return struct.pack("<4sIHH7I24x", b"AWIH", 0x300, checksum, 0xFFFF - sum16(data), *fields)

    return head(0xFFFF - sum16(head(0))) + data


def image() -> bytes:
    first = section(0xA5FF5A00, b"boot" * 40 + b"!", 0x200)
    return first.ljust(0x200, b"\xff") + section(0xA5FE5A01, b"app" * 70, 0xFFFFFFFF, 0x10000)


def seeds() -> list[bytes]:
    return [image(), section(1, b"one section", 0xFFFFFFFF)]


def test_sections_follow_their_chain():
    data = image()
    container = XRADIO.open(Memory(b"12" + data + b"behind"), 2)
    entries = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert entries == {
        "section-a5ff5a00@0x00201000": b"boot" * 40 + b"!",
        "between@0xe1": b"\xff" * (0x200 - 0xE1),
        "section-a5fe5a01@0x00010000": b"app" * 70,
    }
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail["integrity_detail"] == "16-bit checksum of the data right"


def test_changed_data_is_told():
    assert XRADIO.open(Memory(image()[:-1] + b"?"), 0).problems == ["wrong checksum of section 0xa5fe5a01"]


def test_a_chain_that_goes_back_ends():
    assert XRADIO.open(Memory(section(1, b"abcd", 0)), 0).size == 68


@pytest.mark.parametrize("data", [image()[:63], b"AWIH" + bytes(80)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        XRADIO.open(Memory(data), 0)
