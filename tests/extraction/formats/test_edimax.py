"""Edimax: CSYS sections and the eDiMaX header, with their checksums."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.edimax import FORMATS
from fwcheck.extraction.source import Memory

CSYS, EDIMAX = FORMATS
CODE = b"\x5d\0\0\x80" + b"kernel" * 300


def csys(signature: bytes = b"CSYS", data: bytes = CODE) -> bytes:
    total = sum(struct.unpack(f"<{len(data) // 2}H", data))
    return struct.pack("<4sII", signature, 0x80500000, len(data) + 2) + data + struct.pack("<H", -total & 0xFFFF)


def edimax(magic: bytes = b"eDiMaX") -> bytes:
    def head(own: int) -> bytes:
        data_sum = sum(CODE) & 0xFF ^ 0xB9
        fields = (magic, b"RN54", 1, own, data_sum, len(CODE), 0x70000, 0x1100000, b"1.10", 2, b"linux")
        return struct.pack(">16s32sBBBIII14sB16s", *fields)

    return head(sum(head(0)) & 0xFF ^ 0xB9) + CODE


def seeds() -> list[bytes]:
    return [csys(), csys(b"WB4K", b"<html>" * 30), edimax(), edimax(b"CSYS")]


@pytest.mark.parametrize(("signature", "name"), [(b"CSYS", "code"), (b"RNRA", "web")])
def test_a_section_is_read(signature, name):
    image = csys(signature)
    container = CSYS.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == {name: CODE}
    assert (container.size, container.detail["address"]) == (len(image), "0x80500000")


def test_a_section_with_a_wrong_checksum_is_refused():
    image = bytearray(csys())
    image[-1] ^= 1
    with pytest.raises(FormatError):
        CSYS.open(Memory(image), 0)


@pytest.mark.parametrize("magic", [b"eDiMaX", b"CSYS"])
def test_a_header_and_its_image_are_read(magic):
    image = edimax(magic)
    container = EDIMAX.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == {"linux": CODE}
    assert (container.size, container.problems, container.detail["model"]) == (len(image), [], "RN54")
    assert container.detail["integrity_detail"] == "header checksum right, data checksum right"


def test_a_wrong_data_checksum_is_told_and_a_wrong_header_refused():
    image = bytearray(edimax())
    image[-1] ^= 1
    assert EDIMAX.open(Memory(image), 0).problems == ["wrong data checksum"]
    assert EDIMAX.open(Memory(image[:-9]), 0).size == len(image) - 9
    image[60] ^= 1
    with pytest.raises(FormatError):
        EDIMAX.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((CSYS, csys()), (EDIMAX, edimax())):
        for data in truncations(image, 60):
            exercise(format, data)
