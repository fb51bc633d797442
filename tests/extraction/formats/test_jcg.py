"""JCG images: both CRCs, plain images and those combined with a key."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.jcg import FORMATS
from fwcheck.extraction.source import Memory

JCG = FORMATS[0]
UIMAGE = b"\x27\x05\x19\x56" + bytes(8) + struct.pack(">I", 1000) + bytes(48) + b"kernel" * 166 + b"1234"


def jcg(image: bytes = UIMAGE, version: bytes = b"") -> bytes:
    head = struct.pack(">4s32sI64sIHH392sII", b"YSZJ", version, 1, b"", 1500000000, 2, 7, b"", zlib.crc32(image), 0)
    return head[:508] + struct.pack(">I", zlib.crc32(head)) + image


def seeds() -> list[bytes]:
    return [jcg(), jcg(bytes(range(256)) * 4, b"JHR-N805R")]


@pytest.mark.parametrize("behind", [b"", b"tail"])
def test_a_plain_image_is_given_to_its_own_length(behind):
    container = JCG.open(Memory(b"?" * 4 + jcg() + behind), 4)
    (entry,) = container.entries
    assert (entry.role, entry.open().read(0, entry.size)) == ("part", UIMAGE)
    assert (container.size, container.problems, container.detail["release"]) == (len(jcg()), [], "2.7")
    assert container.detail["integrity_detail"] == "header CRC32 right, image CRC32 right"


def test_a_combined_image_is_told():
    (entry,) = JCG.open(Memory(seeds()[1]), 0).entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "exclusive or, JCG")


def test_a_wrong_image_is_told_and_a_wrong_header_refused():
    image = bytearray(jcg())
    image[-1] ^= 1
    assert JCG.open(Memory(image), 0).problems == ["wrong image CRC32"]
    image[10] ^= 1
    with pytest.raises(FormatError):
        JCG.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(jcg(), 60):
        exercise(JCG, data)
