"""Ambarella partitions and ROM file systems: contents come out whole, the CRC32 is recomputed, lies stay inside."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ambarella import FORMATS
from fwcheck.extraction.source import Memory

PARTITION, ROMFS = FORMATS
FILES = {"logo.bmp": b"BM" * 700, "config/isp.bin": b"\1\2\3" * 900, "empty": b""}


def partition(data: bytes = b"kernel" * 500) -> bytes:
    head = struct.pack("<7I", zlib.crc32(data), 0x00010003, 0x07E40C1F, len(data), 0xC0100000, 1, 0xA324EB90)
    return head.ljust(256, b"\0") + data


def romfs(files=FILES, fill: bytes = b"\xff") -> bytes:
    table, contents = b"", b""
    start = 2048 + -(-128 * len(files) // 2048) * 2048
    for name, content in files.items():
        table += struct.pack("<116sIII", name.encode(), start + len(contents), len(content), 0x2387AB76)
        contents += content.ljust(-(-len(content) // 2048) * 2048, b"\0")
    head = struct.pack("<II", len(files), 0x66FC328A).ljust(2048, fill)
    return head + table.ljust(start - 2048, b"\0") + contents


def seeds() -> list[bytes]:
    return [partition(), romfs(), romfs({"a": b"x" * 50}, b"\0")]


def test_the_data_of_a_partition_come_out():
    data = partition()
    container = PARTITION.open(Memory(b"\xff" * 30 + data + b"\xff" * 30), 30)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == data[256:]
    assert (container.size, container.detail["integrity_detail"]) == (len(data), "CRC32 right")
    assert (container.detail["version"], container.detail["date"]) == ("1.3", "2020-12-31")


def test_changes_and_cuts_of_a_partition_are_told():
    data = bytearray(partition())
    data[-1] ^= 1
    assert PARTITION.open(Memory(data), 0).problems == ["wrong CRC32"]
    assert PARTITION.open(Memory(data[:-9]), 0).detail["integrity_detail"] == "CRC32 cannot be checked"
    data[99] = 1
    with pytest.raises(FormatError):
        PARTITION.open(Memory(data), 0)


@pytest.mark.parametrize("fill", [b"\xff", b"\0"])
def test_files_come_out(fill):
    data = romfs(fill=fill)
    container = ROMFS.open(Memory(b"\0" * 16 + data), 16)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == {f"/{k}": v for k, v in FILES.items()}
    assert 0 <= len(data) - container.size < 2048


def test_names_that_lead_out_and_files_outside_are_told():
    data = bytearray(romfs({"../../etc/passwd": b"x" * 9, "far": b"y" * 9}))
    struct.pack_into("<I", data, 2048 + 128 + 120, 1 << 31)
    container = ROMFS.open(Memory(data), 0)
    assert [entry.path for entry in container.entries] == ["/etc/passwd", "/far"]
    assert len(container.problems) == 2
    assert container.size <= len(data)


def test_a_list_that_is_none_is_refused():
    with pytest.raises(FormatError):
        ROMFS.open(Memory(romfs()[:2048] + bytes(9000)), 0)
