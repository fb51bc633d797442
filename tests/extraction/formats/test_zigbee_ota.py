"""Zigbee OTA: header fields and sub-elements are read, only a signature element makes a file signed, lies stay inside."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.zigbee_ota import FORMATS
from fwcheck.extraction.source import Memory

OTA = FORMATS[0]


def ota(elements: list[tuple[int, bytes]], control: int = 0, optional: bytes = b"") -> bytes:
    body = b"".join(struct.pack("<HI", tag, len(data)) + data for tag, data in elements)
    header = 56 + len(optional)
    fields = (0x0BEEF11E, 0x0100, header, control, 0x1234, 0x0001, 0x01020304, 2, b"lamp", header + len(body))
    return struct.pack("<IHHHHHIH32sI", *fields) + optional + body


def seeds() -> list[bytes]:
    return [
        ota([(0, b"firmware" * 50), (1, bytes(50)), (0xF000, b"vendor")]),
        ota([(0, b"x" * 10)], 7, b"\x02" + bytes(range(8)) + struct.pack("<HH", 1, 5)),
    ]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_fields_and_elements_are_read():
    data = ota([(0, b"firmware" * 50), (0xF000, b"vendor")])
    container = OTA.open(Memory(b"xx" + data + b"tail"), 2)
    assert (container.size, container.problems) == (len(data), [])
    assert contents(container) == {"upgrade-image": b"firmware" * 50, "tag-f000": b"vendor"}
    assert (container.detail["manufacturer"], container.detail["file_version"]) == ("0x1234", "0x01020304")
    assert (container.detail["header_string"], container.detail["integrity"]) == ("lamp", "none")


def test_optional_fields_are_read():
    optional = b"\x02" + bytes(range(8)) + struct.pack("<HH", 1, 5)
    container = OTA.open(Memory(ota([(0, b"x" * 10)], 7, optional)), 0)
    assert container.detail["security_credential_version"] == 2
    assert container.detail["destination"] == "0706050403020100"
    assert container.detail["hardware_versions"] == "1-5"
    assert contents(container) == {"upgrade-image": b"x" * 10}


@pytest.mark.parametrize(("tag", "integrity"), [(1, "signature"), (5, "signature"), (3, "hash"), (2, "none")])
def test_integrity_is_that_of_the_elements(tag, integrity):
    assert OTA.open(Memory(ota([(0, b"x" * 10), (tag, bytes(50))])), 0).detail["integrity"] == integrity


def test_an_element_beyond_the_file_is_cut_and_told():
    data = ota([(0, b"firmware" * 50)])[:-100]
    container = OTA.open(Memory(data), 0)
    assert container.size == len(data)
    assert len(container.problems) == 2


def test_truncation_and_mutations_raise_nothing_else():
    randomness = random.Random(8)
    whole = ota([(0, b"firmware" * 50), (1, bytes(50))])
    for number in range(1500):
        data = bytearray(whole)
        for _ in range(randomness.randint(0, 4)):
            data[randomness.randrange(64)] = randomness.randrange(256)
        data = data[: randomness.randrange(len(data))] if number % 3 == 0 else data
        try:
            container = OTA.open(Memory(data), 0)
            assert sum(map(len, contents(container).values())) <= container.size <= len(data)
        except ExtractionError:
            continue
    with pytest.raises(FormatError):
        OTA.open(Memory(whole[:56]), 0)
