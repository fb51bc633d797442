"""Luxul containers of all versions, with certificate and signature."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.luxul import FORMATS
from fwcheck.extraction.source import Memory

LUXUL = FORMATS[0]
IMAGE = b"HDR0" + b"image" * 200
BLOBS = {"certificate": b"c" * 100, "signature": b"s" * 256}


def luxul(version: int = 3, blobs=BLOBS) -> bytes:
    size = (12, 32, 36, 44)[version]
    data = b"".join(struct.pack("<2sHI", b"D#", kind, len(each)) + each for kind, each in enumerate(blobs.values(), 1))
    data = data if version == 3 else b""
    head = struct.pack("<4sIIi16s4BII", b"LXL#", version, size + len(data), 1, b"XBR-4400", 4, 0, 3, 0, size, len(data))
    return head[:size] + data + IMAGE


def seeds() -> list[bytes]:
    return [luxul(version) for version in range(4)]


@pytest.mark.parametrize("version", range(4))
def test_image_and_blobs_are_given(version):
    container = LUXUL.open(Memory(b"?" * 4 + luxul(version)), 4)
    contents = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert contents == {"image": IMAGE} | (BLOBS if version == 3 else {})
    assert (container.size, container.problems) == (len(luxul(version)), [])
    assert container.detail["integrity"] == ("signature" if version == 3 else "none")
    assert container.detail.get("release") == ("4.0.3.0" if version >= 2 else None)


def test_blobs_outside_the_header_are_refused_and_broken_ones_told():
    image = bytearray(luxul())
    image[44] = 0
    assert LUXUL.open(Memory(image), 0).problems
    image[40:44] = b"\xff\xff\0\0"
    with pytest.raises(FormatError):
        LUXUL.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(luxul(), 60):
        exercise(LUXUL, data)
