"""Sercomm: the header in front of a file, and the same fields behind an image."""

from __future__ import annotations

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.sercomm import FORMATS
from fwcheck.extraction.source import Memory

SERCOMM = FORMATS[0]
IMAGE = b"PK\3\4" + b"zip" * 300


def fields() -> bytes:
    return (
        b"sErCoMm\0\1\0\0" + b"DGND4000".ljust(34, b"\0") + b"A001".ljust(10, b"\0") + b"\x01\x02\0\0" + bytes(4) + b"sErCoMm\0"
    )


def sercomm() -> bytes:
    image = bytearray(fields().ljust(512, b"\0") + IMAGE)
    image[511] = -sum(image) & 0xFF
    return bytes(image)


def seeds() -> list[bytes]:
    return [sercomm(), fields()]


def test_a_header_gives_the_image_and_its_checksum_is_recomputed():
    container = SERCOMM.open(Memory(sercomm()), 0)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.problems, container.detail["hardware_id"]) == (len(sercomm()), [], "DGND4000")
    assert container.detail["integrity_detail"] == "checksum byte right"
    assert SERCOMM.open(Memory(sercomm()[:-1] + b"?"), 0).problems == ["wrong checksum byte"]


def test_the_fields_behind_an_image_are_a_trailer():
    container = SERCOMM.open(Memory(IMAGE + fields() + bytes(100)), len(IMAGE))
    assert (container.size, container.detail["form"], list(container.entries)) == (71, "trailer", [])


def test_one_mark_alone_is_refused():
    with pytest.raises(FormatError):
        SERCOMM.open(Memory(b"sErCoMm" + bytes(600)), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(sercomm(), 60):
        exercise(SERCOMM, data)
