"""IKEA OTA files: the Zigbee OTA file inside is found, the signature behind it told."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.ikea_ota import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

IKEA = FORMATS[0]
ELEMENT = struct.pack("<HI", 0, 80) + b"bulb" * 20
OTA = struct.pack("<IHHHHHIH32sI", 0x0BEEF11E, 0x0100, 56, 0, 0x117C, 0x2101, 7, 2, b"GBL lamp", 56 + len(ELEMENT)) + ELEMENT


def image(ota: bytes = OTA, signature: bytes = b"\x5a" * 256) -> bytes:
    return (b"NGIS" + bytes(12) + struct.pack("<I", 0x40)).ljust(0x40, b"\0") + ota + signature


def seeds() -> list[bytes]:
    return [image(), image(signature=b"")]


def test_the_ota_file_and_its_signature_are_told():
    data = image()
    container = IKEA.open(Memory(data), 0)
    ota, signature = container.entries
    assert (ota.open().read(0, ota.size), signature.size, container.size) == (OTA, 256, len(data))
    assert (container.detail["integrity"], container.problems) == ("signature", [])


def test_a_file_without_signature_is_told():
    container = IKEA.open(Memory(image(signature=b"")), 0)
    assert (container.detail["integrity"], container.size) == ("none", 0x40 + len(OTA))


def test_what_is_inside_is_found():
    findings = Explorer(DEFAULT).explore(Memory(image()), ("file",), 0)
    assert {item.node.format for item in findings.items} >= {"ikea-ota", "zigbee-ota"}


def test_a_cut_file_is_told():
    assert IKEA.open(Memory(image()[:150]), 0).problems == ["OTA file of 142 bytes announced, 86 there"]


@pytest.mark.parametrize("data", [image()[:19], image(b"other" * 20), b"NGIS" + bytes(200)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        IKEA.open(Memory(data), 0)
