"""Ubiquiti images: sections come out whole, every CRC is recomputed, a signature is told."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ubnt import FORMATS
from fwcheck.extraction.source import Memory

UBNT = FORMATS[0]
VERSION = b"XW.ar934x.v6.3.6-UBNT.33330.210818.1930"
PARTS = [(b"PART", b"kernel", b"K" * 1000), (b"PART", b"rootfs", b"hsqs" + bytes(1500)), (b"EXEC", b"script", b"#!/bin/sh\n")]


def ubnt(magic: bytes = b"UBNT", signed: bool = False, parts=PARTS) -> bytes:
    image = magic + VERSION.ljust(256, b"\0")
    image += struct.pack(">II", zlib.crc32(image), 0)
    for index, (kind, name, data) in enumerate(parts):
        section = struct.pack(
            ">4s16s12s6I", kind, name, b"", 0, index, 0x9F050000 + 0x100000 * index, 0x80002000, len(data), 0x100000
        )
        image += section + data + struct.pack(">II", zlib.crc32(section + data), 0)
    if signed:
        return image + b"ENDS" + random.Random(1).randbytes(256) + bytes(4)
    return image + b"END." + struct.pack(">II", zlib.crc32(image), 0)


def seeds() -> list[bytes]:
    return [ubnt(), ubnt(b"OPEN", signed=True), ubnt(b"GEOS", parts=PARTS[:1])]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("magic", [b"UBNT", b"OPEN", b"GEOS"])
def test_sections_and_their_checksums_are_read(magic):
    image = ubnt(magic)
    container = UBNT.open(Memory(b"?" * 5 + image + b"tail"), 5)
    entries = list(container.entries)
    assert {entry.path: entry.open().read(0, entry.size) for entry in entries} == {name.decode(): data for _, name, data in PARTS}
    assert [entry.detail["flash_address"] for entry in entries] == ["0x9f050000", "0x9f150000", "0x9f250000"]
    assert (container.size, container.problems, container.detail["version"]) == (len(image), [], VERSION.decode())
    assert container.detail["integrity_detail"] == "header CRC32 right, CRC32 of all sections right, image CRC32 right"


def test_a_signature_is_told():
    container = UBNT.open(Memory(ubnt(signed=True)), 0)
    assert (container.detail["integrity"], container.size) == ("signature", len(ubnt(signed=True)))
    assert "RSA-2048 signature (not verified)" in container.detail["integrity_detail"]


def test_a_changed_byte_breaks_the_crc_of_its_section_and_of_the_image():
    image = bytearray(ubnt())
    image[268 + 56 + 10] ^= 1
    assert UBNT.open(Memory(image), 0).problems == ["kernel: wrong CRC32", "wrong image CRC32"]


def test_a_wrong_header_is_refused():
    image = bytearray(ubnt())
    image[20] ^= 1
    with pytest.raises(FormatError):
        UBNT.open(Memory(image), 0)


def test_a_cut_image_gives_what_is_there_and_says_so():
    image = ubnt()[: 268 + 56 + 500]
    container = UBNT.open(Memory(image), 0)
    assert contents(container) == {"kernel": b"K" * 500}
    assert (container.size, bool(container.problems)) == (len(image), True)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(ubnt(signed=True), 60):
        exercise(UBNT, data)
