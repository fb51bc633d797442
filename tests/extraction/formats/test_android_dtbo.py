"""Android DTBO images, laid out here as dt_table.h says."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.android_dtbo import FORMATS
from fwcheck.extraction.source import Memory

(DTBO,) = FORMATS
TREES = (b"\xd0\x0d\xfe\xed" + bytes(60), b"\xd0\x0d\xfe\xed" + b"x" * 100)


def image(version: int = 0) -> bytes:
    at = 32 + 3 * 32
    places = [(len(TREES[0]), at), (len(TREES[1]), at + len(TREES[0])), (len(TREES[0]), at)]
    table = b"".join(struct.pack(">8I", *place, 7 + n, n, 2 if version else 0, 0, 0, 0) for n, place in enumerate(places))
    total = at + sum(len(tree) for tree in TREES)
    return struct.pack(">8I", 0xD7B7AB1E, total, 32, 32, 3, 32, 2048, version) + table + b"".join(TREES)


def seeds() -> list[bytes]:
    return [image(), image(1)]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[str, bytes]]:
    container = DTBO.open(Memory(data), offset)
    return container, {each.path: each.open().read(0, each.size) for each in container.entries if each.open is not None}


@pytest.mark.parametrize("version", [0, 1])
def test_each_tree_is_a_part_once(version: int) -> None:
    data = image(version)
    container, members = opened(b"R" * 10 + data + b"T" * 10, 10)
    assert container.size == len(data)
    assert members == {"dt-0": TREES[0], "dt-1": TREES[1]}
    entries = list(DTBO.open(Memory(data), 0).entries)
    assert entries[1].detail["id"] == "0x8"
    assert ("compression" in entries[0].detail) is bool(version)


def test_what_is_cut_off() -> None:
    container, members = opened(image()[:-50])
    assert members == {"dt-0": TREES[0]}
    assert len(container.problems) == 2
    for data in (image()[:100], image()[:16] + b"\xff" * 200, b""):
        with pytest.raises(FormatError):
            DTBO.open(Memory(data), 0)
