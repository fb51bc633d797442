"""Linksys: the CyberTAN header in front of a TRX, and the trailer with the checksum of cksum."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.cybertan import FORMATS
from fwcheck.extraction.source import Memory

CYBERTAN, TRAILER = FORMATS
TRX = b"HDR0" + struct.pack("<I", 600) + bytes(592)
IMAGE = b"\x27\x05\x19\x56" + b"image" * 200


def cybertan(image: bytes = TRX, extra: bytes = b"") -> bytes:
    return struct.pack("<4s4s3B3B4sBBH10s", b"W54G", extra, 7, 5, 31, 4, 21, 1, b"U2ND", 1, 0, 7, b"") + image


def cksum(data: bytes) -> int:
    """Bit by bit, as POSIX describes it."""
    crc, length = 0, len(data)
    while length:
        data += bytes([length & 0xFF])
        length >>= 8
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc ^ 0xFFFFFFFF


def trailer(image: bytes = IMAGE) -> bytes:
    text = f".LINKSYS.01000409{'EA6350':<15}{cksum(image):08X}{'0':<7}{'0':<8}K0000000F0246434"
    return text.encode().ljust(256, b"\0")


def seeds() -> list[bytes]:
    return [cybertan(), cybertan(IMAGE, b"PBOT"), trailer()]


def test_a_header_ends_with_the_trx_behind_it():
    container = CYBERTAN.open(Memory(b"?" * 4 + cybertan() + b"tail"), 4)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == TRX
    assert (container.size, container.detail["board"], container.detail["version"]) == (632, "W54G", "4.21.1")
    assert container.detail["date"] == "2007-05-31"


def test_other_images_reach_to_the_end():
    container = CYBERTAN.open(Memory(cybertan(IMAGE, b"PBOT")), 0)
    assert container.size == 32 + len(IMAGE)


def test_reserved_bytes_that_are_none_are_refused():
    image = bytearray(cybertan())
    image[30] = 1
    with pytest.raises(FormatError):
        CYBERTAN.open(Memory(image), 0)


def test_the_checksum_in_a_trailer_is_recomputed():
    container = TRAILER.open(Memory(IMAGE + trailer()), len(IMAGE))
    assert (container.size, container.problems, container.detail["integrity_detail"]) == (256, [], "cksum right")
    assert (container.detail["model"], container.detail["key"]) == ("EA6350", "K0000000F0246434")
    assert TRAILER.open(Memory(b"!" + IMAGE + trailer()), len(IMAGE) + 1).problems == ["wrong cksum"]
    assert "not recomputed" in TRAILER.open(Memory(IMAGE + trailer() + b"more"), len(IMAGE)).detail["integrity_detail"]


def test_the_program_cksum_agrees(tmp_path):
    if shutil.which("cksum") is None:
        pytest.skip("cksum is not installed")
    (tmp_path / "image").write_bytes(IMAGE)
    out = subprocess.run(["cksum", "image"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert int(out.split()[0]) == cksum(IMAGE)


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((CYBERTAN, cybertan()), (TRAILER, trailer())):
        for data in truncations(image, 60):
            exercise(format, data)
