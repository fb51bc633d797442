"""JN518x images: header, sum and boot block are followed, a certificate is told."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.nxp_jn518x import FORMATS
from fwcheck.extraction.source import Memory

JN = FORMATS[0]
CODE = random.Random(4).randbytes(956)


def image(certificate: int = 0, marker: int = 0x98447902, vector: int = 0x121) -> bytes:
    vectors = [0x04008000, 0x121, 0x131, 0x131, 0, 0, 0]
    vectors.append(-sum(vectors) & 0xFFFFFFFF)
    vectors[1] = vector
    head = struct.pack("<10I", *vectors, marker, 1000)
    out = head + struct.pack("<I", zlib.crc32(head)) + CODE
    out += struct.pack("<8I", 0xBB0110BB, 1, 0x4000, len(out) + 32, 0x90000, certificate, 0, 0x00010002)
    return out + (random.Random(5).randbytes(256) if certificate else b"")


def seeds() -> list[bytes]:
    return [image(), image(1000), image(marker=0x98447903)]


@pytest.mark.parametrize("certificate", [0, 1000])
def test_the_boot_block_gives_the_extent(certificate):
    data = image(certificate)
    container = JN.open(Memory(b"12345" + data + b"\xff" * 30), 5)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size, container.problems) == (data, len(data), [])
    assert (container.detail["version"], container.detail["target_address"]) == ("0x00010002", "0x00004000")
    assert container.detail["integrity"] == ("signature" if certificate else "none")


def test_a_wrong_sum_and_a_missing_boot_block_are_told():
    assert JN.open(Memory(image(vector=0x125)), 0).problems == ["wrong sum of the vectors"]
    assert JN.open(Memory(image()[:700]), 0).problems == ["the boot block is missing"]


@pytest.mark.parametrize("data", [image()[:43], image(marker=0x98447905), image().replace(CODE[:4], b"????")[:40] + bytes(900)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        JN.open(Memory(data), 0)
