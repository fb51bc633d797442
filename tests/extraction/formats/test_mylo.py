"""MyLoader firmware files with partition table, plain blocks and blocks with a header."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.mylo import FORMATS
from fwcheck.extraction.source import Memory

MYLO = FORMATS[0]
KERNEL, ROOTFS = b"kernel!" * 101, b"hsqs" + b"root" * 200


def headed(data: bytes) -> bytes:
    block = struct.pack("<II", len(data), zlib.crc32(data)) + data
    return block + b"\xff" * (-len(block) % 4)


def table(partitions: dict[str, int]) -> bytes:
    rows = b"".join(struct.pack("<HHIII", 0x8000, 1, address, 0x10000, 0) for address in partitions.values())
    names = b"".join(name.encode().ljust(32, b"\0") for name in partitions)
    return struct.pack("<IIII", 0x20021103, 0, 0, 0) + rows.ljust(128, b"\0") + names.ljust(256, b"\0")


def mylo(blocks: dict[int, bytes]) -> bytes:
    head = b"\0MYL" + struct.pack("<III4HIIII", 0, 0, 0, 0x11F6, 0x0640, 0x11F6, 0x0640, 3, 0x20000, 0x20001, 1)
    descriptors = b"".join(struct.pack("<IIII", 1, address, len(data), 0x10000) for address, data in blocks.items())
    image = bytearray(head + descriptors + bytes(16) + b"".join(blocks.values()))
    image[4:8] = struct.pack("<I", zlib.crc32(image))
    return bytes(image)


def full() -> bytes:
    names = table({"kernel": 0x30000, "rootfs": 0x130000})
    return mylo({0x20000: names, 0x30000: headed(KERNEL), 0x90000: b"", 0x130000: ROOTFS})


def seeds() -> list[bytes]:
    return [full(), mylo({0: ROOTFS})]


def test_blocks_are_given_by_the_names_of_their_partitions():
    container = MYLO.open(Memory(b"?" * 5 + full() + b"tail"), 5)
    contents = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert contents == {"partition-table": contents["partition-table"], "kernel": KERNEL, "rootfs": ROOTFS}
    assert [entry.role for entry in container.entries] == ["meta", "part", "part"]
    assert [entry.detail.get("crc32") for entry in container.entries] == [None, "right", None]
    assert (container.size, container.problems) == (len(full()), [])
    assert (container.detail["device"], container.detail["integrity_detail"]) == ("0x0640", "CRC32 right")


def test_a_block_without_partition_table_is_given_by_its_number():
    assert [entry.path for entry in MYLO.open(Memory(mylo({0: ROOTFS})), 0).entries] == ["block-0"]


def test_wrong_checksums_of_file_and_block_are_told():
    image = bytearray(full())
    image[image.index(KERNEL) + 9] ^= 4
    assert MYLO.open(Memory(image), 0).problems == ["kernel: wrong CRC32", "wrong CRC32"]


def test_a_short_file_is_given_as_far_as_it_goes():
    container = MYLO.open(Memory(full()[:-100]), 0)
    assert (container.size, container.entries[-1].size) == (len(full()) - 100, len(ROOTFS) - 100)
    assert container.problems


def test_a_list_of_blocks_that_does_not_end_is_refused():
    endless = full()[:40] + struct.pack("<IIII", 1, 0, 4, 4) * 100
    with pytest.raises(FormatError):
        MYLO.open(Memory(endless), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(full(), 60):
        exercise(MYLO, data)
