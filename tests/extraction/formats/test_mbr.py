"""MBR disks made by sfdisk: primary and logical partitions, gaps, and boot sectors that are no disks."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.mbr import FORMATS
from fwcheck.extraction.source import Memory

(MBR,) = FORMATS
SFDISK = shutil.which("sfdisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
MIB = 1 << 20


def disk(tmp_path: Path, script: str, size: int = 16 * MIB) -> bytes:
    if SFDISK is None:
        pytest.skip("sfdisk is not installed")
    path = tmp_path / "disk"
    path.write_bytes(bytes(size))
    subprocess.run([SFDISK, "-q", str(path)], input="label: dos\n" + script, text=True, check=True, capture_output=True)
    return path.read_bytes()


def by_hand() -> bytes:
    """Two primary partitions, and a logical one in a chain of two extended records; 64 KiB."""

    def entry(kind: int, start: int, sectors: int, status: int = 0) -> bytes:
        return struct.pack("<B3sB3sII", status, b"\0\2\0", kind, b"\0\2\0", start, sectors)

    def table(*entries: bytes) -> bytes:
        return (bytes(446) + b"".join(entries)).ljust(510, b"\0") + b"\x55\xaa"

    out = bytearray(128 * 512)
    out[:512] = table(entry(0x83, 8, 16, 0x80), entry(0x05, 32, 96), entry(0x0C, 24, 8))
    out[32 * 512 : 33 * 512] = table(entry(0x83, 1, 15), entry(0x05, 16, 16))
    out[48 * 512 : 49 * 512] = table(entry(0x82, 1, 15))
    return bytes(out)


def seeds() -> list[bytes]:
    return [by_hand()]


def test_a_table_by_hand_reads_as_it_was_written() -> None:
    container = MBR.open(Memory(by_hand()), 0)
    parts = {entry.path: (entry.offset, entry.size) for entry in container.entries if entry.path.startswith("partition")}
    assert {name: (offset // 512, size // 512) for name, (offset, size) in parts.items() if offset is not None} == {
        "partition-1": (8, 16),
        "partition-3": (24, 8),
        "partition-5": (33, 15),
        "partition-6": (49, 15),
    }
    assert container.problems == []


LOGICAL = "2048,4096,83,*\n6144,,E\n8192,2048,83\n12288,1024,c\n16384,4096,82\n"


def test_primary_and_logical_partitions_and_gaps_cover_the_disk(tmp_path: Path) -> None:
    data = disk(tmp_path, LOGICAL)
    container = MBR.open(Memory(data), 0)
    entries = list(container.entries)
    parts = {entry.path: entry for entry in entries if entry.path.startswith("partition")}
    assert {name: (entry.offset, entry.size, entry.detail["type"]) for name, entry in parts.items()} == {
        "partition-1": (2048 * 512, 4096 * 512, "0x83"),
        "partition-5": (8192 * 512, 2048 * 512, "0x83"),
        "partition-6": (12288 * 512, 1024 * 512, "0x0c"),
        "partition-7": (16384 * 512, 4096 * 512, "0x82"),
    }
    assert parts["partition-1"].detail["active"] == 1
    assert container.problems == []
    at = 0
    for entry in entries:
        assert entry.offset == at
        at += entry.size
        assert entry.role == "meta" or (entry.open is not None and entry.open().size == entry.size)
    assert at == container.size == len(data)


def test_a_last_partition_cut_off_is_said_and_read_as_far_as_it_goes(tmp_path: Path) -> None:
    data = disk(tmp_path, "2048,4096,83\n6144,8192,83\n")[: 8 * MIB // 2]
    container = MBR.open(Memory(data), 0)
    last = list(container.entries)[-1]
    assert (last.path, last.offset, last.size) == ("partition-2", 6144 * 512, len(data) - 6144 * 512)
    assert len(container.problems) == 1
    assert container.size == len(data)


def test_a_fat_boot_sector_is_no_partition_table() -> None:
    sector = bytearray(512)
    sector[0:11] = b"\xeb\x3c\x90mkfs.fat"
    sector[11:22] = bytes((0, 2, 4, 4, 0, 2, 0, 2, 0, 80, 0xF8))
    sector[510:] = b"\x55\xaa"
    with pytest.raises(FormatError):
        MBR.open(Memory(bytes(sector) + bytes(MIB)), 0)


@pytest.mark.parametrize("entry", [(0x80, 0, 10), (0x80, 1, 0), (0x42, 1, 10), (0, 10_000_000, 10)])
def test_impossible_tables_are_rejected(entry: tuple[int, int, int]) -> None:
    status, start, sectors = entry
    sector = bytearray(MIB)
    sector[446:462] = bytes((status, 0, 0, 0, 0x83, 0, 0, 0)) + start.to_bytes(4, "little") + sectors.to_bytes(4, "little")
    sector[510:512] = b"\x55\xaa"
    with pytest.raises(FormatError):
        MBR.open(Memory(sector), 0)


def test_a_chain_of_extended_records_that_bites_its_tail_ends(tmp_path: Path) -> None:
    data = bytearray(disk(tmp_path, LOGICAL))
    second = 6144 * 512 + 462
    link = int.from_bytes(data[second + 8 : second + 12], "little") + 6144
    entry = bytearray(data[second : second + 16])
    entry[8:12] = (link - 6144).to_bytes(4, "little")
    data[link * 512 + 462 : link * 512 + 478] = entry
    container = MBR.open(Memory(data), 0)
    assert any("no end" in problem for problem in container.problems)
