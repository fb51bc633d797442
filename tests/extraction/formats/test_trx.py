"""TRX: partitions lie where the header says, the CRC is checked, and lies stay inside the source."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.trx import FORMATS
from fwcheck.extraction.source import Mapped, Memory

TRX = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"


def trx(parts: list[bytes], version: int = 1, flags: int = 0) -> bytes:
    """An image as OpenWrt's `trx` program and Broadcom's tools lay it out."""
    count = 3 if version == 1 else 4
    at, offsets = 16 + 4 * count, []
    for part in parts:
        offsets.append(at)
        at += len(part)
    body = struct.pack(f"<HH{count}I", flags, version, *(offsets + [0] * count)[:count]) + b"".join(parts)
    return b"HDR0" + struct.pack("<II", len(body) + 12, zlib.crc32(body) ^ 0xFFFFFFFF) + body


def seeds() -> list[bytes]:
    return [trx([b"kernel" * 50, b"rootfs" * 80]), trx([b"a" * 40, b"b" * 50, b"c" * 60, b"d" * 70], version=2)]


def contents(container) -> list[bytes]:
    return [entry.open().read(0, entry.size) for entry in container.entries]


@pytest.mark.parametrize(("version", "count"), [(1, 1), (1, 3), (2, 4), (2, 2)])
def test_partitions_come_out_whole(version, count):
    parts = [bytes([65 + number]) * (1000 * number + 7) for number in range(count)]
    image = trx(parts, version)
    container = TRX.open(Memory(b"\xff" * 32 + image + b"after"), 32)
    assert contents(container) == parts
    assert (container.size, container.problems, container.detail["version"]) == (len(image), [], version)
    assert container.detail["integrity_detail"] == "CRC32 right"


def test_without_offsets_the_rest_is_one_part():
    image = bytearray(trx([b"x" * 100]))
    image[16:28] = bytes(12)
    image[8:12] = struct.pack("<I", zlib.crc32(image[12:]) ^ 0xFFFFFFFF)
    container = TRX.open(Memory(image), 0)
    assert contents(container) == [b"x" * 100]
    assert not container.problems


def test_a_wrong_crc_is_a_problem():
    image = bytearray(trx([b"kernel" * 50, b"rootfs" * 50]))
    image[-1] ^= 1
    assert any("CRC32" in problem for problem in TRX.open(Memory(image), 0).problems)


def test_the_tail_of_asus_is_read():
    tail = bytes([3, 0, 0, 4]) + b"RT-AC87U".ljust(12, b"\0") + bytes(48)
    detail = TRX.open(Memory(trx([b"kernel" * 50, b"rootfs" * 50 + tail])), 0).detail
    assert (detail["asus_product"], detail["asus_version"]) == ("RT-AC87U", "3.0.0.4")
    assert "asus_product" not in TRX.open(Memory(trx([b"kernel" * 50])), 0).detail


def test_a_cut_image_is_told():
    image = trx([b"kernel" * 50, b"rootfs" * 50])[:-20]
    container = TRX.open(Memory(image), 0)
    assert container.size == len(image)
    assert container.problems


def test_chance_hits_are_refused():
    randomness = random.Random(1)
    for _ in range(2000):
        data = b"HDR0" + randomness.randbytes(10) + b"\1\0" + randomness.randbytes(200)
        with pytest.raises(FormatError):
            TRX.open(Memory(data), 0)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4), st.sampled_from([1, 2]))
def test_lying_headers_stay_inside(length, offsets, version):
    data = b"HDR0" + struct.pack("<IIHH4I", length, 0, 0, version, *offsets) + bytes(300)
    try:
        container = TRX.open(Memory(data), 0)
    except ExtractionError:
        return
    assert sum(map(len, contents(container))) <= container.size <= len(data)


def test_truncation_anywhere_raises_nothing_else():
    image = trx([b"kernel" * 50, b"rootfs" * 50])
    for length in range(len(image)):
        try:
            TRX.open(Memory(image[:length]), 0)
        except FormatError:
            continue


@pytest.mark.corpus
def test_a_real_image_is_right_to_the_crc():
    path = CORPUS / "tplink-wr740nv4-webrevert_wr740nv4_webrevert.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = TRX.open(Mapped.open(path), 0)
    assert (container.size, container.detail["integrity_detail"]) == (3932188, "CRC32 right")
