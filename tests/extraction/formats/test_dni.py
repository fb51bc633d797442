"""Netgear DNI: the text header, the image it wraps, and the checksum byte at the end."""

from __future__ import annotations

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dni import FORMATS
from fwcheck.extraction.source import Memory

DNI = FORMATS[0]
PAYLOAD = b"\x27\x05\x19\x56" + b"image" * 300


def dni(text: bytes = b"device:R7800\nversion:V1.0.2.68\nregion:\nhd_id:29764958+0+128+512+4x4+4x4\n") -> bytes:
    image = text.ljust(128, b"\0") + PAYLOAD
    return image + bytes([255 - sum(image) % 256])


def seeds() -> list[bytes]:
    return [dni(), dni(b"device:WNDR3700\nversion:V1.0\nregion:WW\n")]


def test_the_wrapped_image_and_the_fields_are_read():
    container = DNI.open(Memory(dni()), 0)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == PAYLOAD
    assert (container.size, container.problems) == (len(dni()), [])
    assert (container.detail["device"], container.detail["version"], container.detail["region"]) == ("R7800", "V1.0.2.68", "")
    assert container.detail["integrity_detail"] == "checksum byte right"


def test_a_wrong_checksum_is_told_and_no_byte_is_taken_off():
    image = dni()[:-1] + b"?"
    container = DNI.open(Memory(image), 0)
    (entry,) = container.entries
    assert entry.size == len(image) - 128
    assert container.problems == ["wrong checksum byte"]


@pytest.mark.parametrize(
    "text", [b"device:R7800\nsomething\n", b"device:R7800\n", b"device:x\nversion:1\n" + bytes(20) + b"more"]
)
def test_other_text_is_refused(text):
    with pytest.raises(FormatError):
        DNI.open(Memory(dni(text)), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(dni(), 60):
        exercise(DNI, data)
