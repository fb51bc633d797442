"""Netgear CHK: parts come out whole and every checksum of the header is recomputed."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.chk import FORMATS
from fwcheck.extraction.source import Memory

CHK = FORMATS[0]
KERNEL = bytes(range(256)) * 9 + b"kernel"
ROOTFS = b"hsqs" + bytes(3000) + b"\xff" * 500


def checksum(data: bytes) -> int:
    """Byte by byte, as the vendor's tool does it."""
    low = high = 0
    for byte in data:
        low = (low + byte) & 0xFFFFFFFF
        high = (high + low) & 0xFFFFFFFF

    def fold(value: int) -> int:
        value = (value & 0xFFFF) + (value >> 16)
        return ((value >> 16) + value) & 0xFFFF

    return fold(high) << 16 | fold(low)


def chk(kernel: bytes = KERNEL, rootfs: bytes = ROOTFS, board: bytes = b"U12H072T00_NETGEAR") -> bytes:
    head = struct.pack(
        ">4sI8s5I", b"*#$^", 40 + len(board), bytes([1, 1, 0, 2, 80, 60, 0, 88]), checksum(kernel), checksum(rootfs),
        len(kernel), len(rootfs), checksum(kernel + rootfs),
    )  # fmt: skip
    return head + struct.pack(">I", checksum(head + bytes(4) + board)) + board + kernel + rootfs


def seeds() -> list[bytes]:
    return [chk(), chk(rootfs=b"")]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("rootfs", [ROOTFS, b""])
def test_parts_and_checksums_of_an_image_are_read(rootfs):
    image = chk(rootfs=rootfs)
    container = CHK.open(Memory(b"?" * 13 + image + b"tail"), 13)
    assert contents(container) == {"kernel": KERNEL} | ({"rootfs": rootfs} if rootfs else {})
    assert (container.size, container.problems) == (len(image), [])
    assert container.detail["board"] == "U12H072T00_NETGEAR"
    assert (container.detail["version"], container.detail["region"]) == ("1.0.2.80_60.0.88", "WW")
    assert (container.detail["integrity"], "wrong" in container.detail["integrity_detail"]) == ("checksum", False)


@pytest.mark.parametrize(("at", "what"), [(100, "kernel"), (-1, "root file system"), (-1, "image")])
def test_a_changed_byte_breaks_the_checksum_of_its_part_and_of_the_image(at, what):
    image = bytearray(chk())
    image[at] ^= 0x40
    assert f"wrong {what} checksum" in CHK.open(Memory(image), 0).problems


def test_a_wrong_header_checksum_is_told_where_the_rest_fits_and_refused_elsewhere():
    image = bytearray(chk())
    image[39] ^= 1
    assert "wrong header checksum" in CHK.open(Memory(image), 0).problems
    image[24:28] = b"\x40\0\0\0"
    with pytest.raises(FormatError):
        CHK.open(Memory(image), 0)


def test_a_cut_image_is_told_and_its_parts_end_with_it():
    image = chk()[:-100]
    container = CHK.open(Memory(image), 0)
    assert (container.size, contents(container)["rootfs"]) == (len(image), ROOTFS[:-100])
    assert container.problems


def test_a_long_image_gives_the_same_sum_as_byte_by_byte():
    kernel = bytes(range(1, 256)) * 9000
    assert not CHK.open(Memory(chk(kernel, b"")), 0).problems


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(chk(), 60):
        exercise(CHK, data)
