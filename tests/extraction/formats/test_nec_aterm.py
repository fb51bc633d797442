"""NEC Aterm images: blocks come out, checksums are recomputed by another way."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.nec_aterm import FORMATS
from fwcheck.extraction.source import Memory

ATERM = FORMATS[0]
VERSION = b"VERSION: 1.2.3\n"
KERNEL = bytes(range(256)) * 3 + b"!"


def block(flags: int, data: bytes, load: int = 0) -> bytes:
    fields = (24 + len(data), 24, 0, load, load)
    summed = struct.pack(">5I", *fields) + data + bytes(len(data) % 2)
    total = sum(summed[at] | summed[at + 1] << 8 for at in range(0, len(summed), 2))
    head = struct.pack(">HHII", flags, flags ^ 0xFFFF, fields[0], 24) + struct.pack("<I", 0xFFFF ^ total % 0xFFFF)
    return head + struct.pack(">II", load, load) + data + bytes(-len(data) % 4)


def aterm() -> bytes:
    out = b"USB ATERMWL3050\0" + b"\xff" * 16 + block(0, VERSION) + block(2, KERNEL, 0x80040000) + block(1, b"")
    return out + b"Binary Type1 File END \r\n".rjust(32, b"\xff")


def seeds() -> list[bytes]:
    return [aterm()]


def test_the_blocks_come_out():
    data = aterm()
    container = ATERM.open(Memory(b"??" + data + b"tail"), 2)
    assert [each.open().read(0, each.size) for each in container.entries] == [VERSION, KERNEL]
    assert (container.size, container.problems, container.detail["model"]) == (len(data), [], "WL3050")
    assert container.detail["integrity_detail"] == "checksums right"


def test_a_wrong_checksum_and_a_cut_image_are_told():
    data = bytearray(aterm())
    data[200] ^= 1
    assert ATERM.open(Memory(data), 0).problems == ["wrong checksum of block 1"]
    assert ATERM.open(Memory(aterm()[:-40]), 0).problems == ["the image ends without its type"]


def test_other_bytes_are_refused_and_truncation_raises_nothing_else():
    with pytest.raises(FormatError):
        ATERM.open(Memory(b"USB ATERM" + bytes(200)), 0)
    for data in truncations(aterm(), 40):
        exercise(ATERM, data)
