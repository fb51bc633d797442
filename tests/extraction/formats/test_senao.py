"""Senao and EnGenius images: the pattern is taken off, header checksum and MD5 are recomputed."""

from __future__ import annotations

import hashlib
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.senao import FORMATS
from fwcheck.extraction.source import Memory

SENAO = FORMATS[0]
IMAGE = b"\x27\x05\x19\x56" + b"image" * 200 + bytes(64)


def senao(image: bytes = IMAGE, magic: int = 0x12345678, more: bytes = b"") -> bytes:
    fields = (0, 0x101, 0x47, b"1.2.3", 2, len(image) + len(more), 0, hashlib.md5(image).digest(), b"")
    head = struct.pack(">III16sIII16s32s", *fields)
    total = sum(head) + sum(struct.pack(">I", magic))
    mixed = bytes(each ^ magic >> at % 8 & 0xFF for at, each in enumerate(image))
    return head + struct.pack(">II", total, magic) + more + mixed


ENGENIUS = b"all\0\0\0\0\0" + struct.pack(">7I", 1, 2, 3, 0x0CAFE, 1, 2, 3) + struct.pack(">I", 6) + b"EWS360"


def seeds() -> list[bytes]:
    return [senao(), senao(magic=0xDEADBEEF), senao(more=ENGENIUS)]


@pytest.mark.parametrize("magic", [0x12345678, 0xDEADBEEF])
def test_the_image_comes_out_without_its_pattern(magic):
    image = senao(magic=magic)
    container = SENAO.open(Memory(b"?" * 4 + image + b"tail"), 4)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.problems, container.detail["type"]) == (len(image), [], "kernel")
    assert container.detail["integrity_detail"] == "header checksum right, MD5 right"


def test_the_fields_of_engenius_are_passed_over():
    container = SENAO.open(Memory(senao(more=ENGENIUS)), 0)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.detail["model"], container.size) == ("EWS360", len(senao(more=ENGENIUS)))


def test_a_long_image_keeps_the_pattern_over_chunks():
    image = bytes(range(251)) * 9000
    (entry,) = SENAO.open(Memory(senao(image)), 0).entries
    content = entry.open()
    assert content.read(0, content.size) == image


def test_a_wrong_md5_is_told_and_a_wrong_header_refused():
    image = bytearray(senao())
    image[-1] ^= 1
    assert SENAO.open(Memory(image), 0).problems == ["wrong MD5"]
    assert SENAO.open(Memory(image[:-9]), 0).size == len(image) - 9
    image[13] ^= 1
    with pytest.raises(FormatError):
        SENAO.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(senao(), 60):
        exercise(SENAO, data)
