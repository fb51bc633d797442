"""MW30x images: segments lie where the header says, lies stay inside."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.marvell_mw import FORMATS
from fwcheck.extraction.source import Memory

MW = FORMATS[0]
PARTS = [(200, b"boot" * 20, 0x100000), (300, b"text" * 90, 0x1F000100)]


def image(parts: list[tuple[int, bytes, int]] = PARTS) -> bytes:
    out = struct.pack("<4s4I", b"MRVL", 0x2E9CF17B, 1500000000, len(parts), 0x100001)
    out += b"".join(struct.pack("<5I", 2, start, len(data), address, 0) for start, data, address in parts)
    for start, data, _ in parts:
        out = out.ljust(start, b"\xff") + data
    return out


def seeds() -> list[bytes]:
    return [image(), image(PARTS[:1])]


def test_segments_come_out_with_their_addresses():
    data = image()
    container = MW.open(Memory(b"abc" + data + b"behind"), 3)
    found = {entry.path: entry.open().read(0, entry.size) for entry in container.entries if entry.role == "file"}
    assert found == {"segment-0@0x00100000": PARTS[0][1], "segment-1@0x1f000100": PARTS[1][1]}
    assert (container.size, container.problems, container.detail["entry_point"]) == (len(data), [], "0x00100001")
    assert sum(entry.size for entry in container.entries) + 20 + 2 * 20 == len(data)


def test_cut_and_overlapping_segments_are_told():
    assert MW.open(Memory(image()[:-10]), 0).problems == ["segment 1: 360 bytes announced, 350 there"]
    overlapping = bytearray(image())
    overlapping[44:48] = struct.pack("<I", 210)
    assert len(MW.open(Memory(overlapping), 0).problems) == 1


@pytest.mark.parametrize("data", [image()[:19], image()[:50], image()[:62], image([])])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        MW.open(Memory(data), 0)
