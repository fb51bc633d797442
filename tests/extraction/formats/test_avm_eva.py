"""AVM EVA: the kernel comes out unpacked, CRC and record checksum are recomputed."""

from __future__ import annotations

import lzma
import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.avm_eva import FORMATS
from fwcheck.extraction.source import Memory

EVA = FORMATS[0]
KERNEL = b"Linux version 2.6.39.4 (root@fritz)" * 200


def eva(kernel: bytes = KERNEL) -> bytes:
    stream = lzma.compress(kernel, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 23}])
    packed = stream[13:]
    record = struct.pack("<4I", 0x075A0201, len(packed), len(kernel), zlib.crc32(packed)) + stream[:5] + bytes(3) + packed
    total = len(record) + 0x80002000 + sum(record)
    head = struct.pack("<III", 0xFEED1281, len(record), 0x80002000)
    return head + record + struct.pack("<III", -total & 0xFFFFFFFF, 0, 0x802C0000)


def seeds() -> list[bytes]:
    return [eva(), eva(b"x" * 100)]


def test_the_kernel_comes_out_unpacked():
    container = EVA.open(Memory(b"?" * 4 + eva() + b"tail"), 4)
    (entry,) = container.entries
    content = entry.open()
    assert (content.read(0, content.size), entry.size) == (KERNEL, len(KERNEL))
    assert (container.size, container.problems) == (len(eva()), [])
    assert container.detail["integrity_detail"] == "CRC32 right, record checksum right"
    assert (container.detail["load_address"], container.detail["entry_point"]) == ("0x80002000", "0x802c0000")


def test_a_changed_byte_is_told_by_both():
    image = bytearray(eva())
    image[60] ^= 1
    assert EVA.open(Memory(image), 0).problems == ["wrong CRC32", "wrong record checksum"]


def test_a_cut_image_is_told_and_another_record_refused():
    assert len(EVA.open(Memory(eva()[:-60]), 0).problems) == 1
    image = bytearray(eva())
    image[4] ^= 1
    with pytest.raises(FormatError):
        EVA.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(eva(), 60):
        exercise(EVA, data)
