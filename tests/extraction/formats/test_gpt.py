"""GPT disks made by sfdisk: names, extents, damage to one of the two tables."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from support.hostile import exercise, mutations, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.gpt import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(GPT,) = FORMATS
SFDISK = shutil.which("sfdisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
MIB = 1 << 20
SCRIPT = """label: gpt
start=2048,size=2048,name="boot"
start=4096,size=4096,name="root fs/../x"
start=10240,size=2048,name="boot"
start=12288,size=1024
"""


def by_hand(sector: int = 512) -> bytes:
    """Two partitions in both tables; 48 sectors."""
    entries = b""
    for n, (first, last, name) in enumerate(((6, 15, "boot"), (16, 31, "root")), 1):
        entries += bytes([n]) * 16 + bytes([n + 16]) * 16 + struct.pack("<QQQ", first, last, 0)
        entries += name.encode("utf-16-le").ljust(72, b"\0")
    entries = entries.ljust(4 * 128, b"\0")

    def header(this: int, other: int, at: int) -> bytes:
        raw = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, this, other, 6, 40, bytes(16), at, 4, 128,
                          zlib.crc32(entries))  # fmt: skip
        return raw[:16] + struct.pack("<I", zlib.crc32(raw)) + raw[20:]

    out = bytearray(48 * sector)
    out[446:462] = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, 47)
    out[510:512] = b"\x55\xaa"
    for at, data in ((1, header(1, 47, 2)), (2, entries), (46, entries), (47, header(47, 1, 46))):
        out[at * sector : at * sector + len(data)] = data
    return bytes(out)


def seeds() -> list[bytes]:
    wiped = bytearray(by_hand())
    wiped[512:1024] = bytes(512)
    return [by_hand(), by_hand(4096), bytes(wiped)]


@pytest.mark.parametrize("sector", [512, 4096])
def test_tables_by_hand_read_as_they_were_written(sector: int) -> None:
    problems, named = parts(by_hand(sector))
    assert problems == []
    assert named == {"boot": (6 * sector, 10 * sector), "root": (16 * sector, 16 * sector)}


@pytest.fixture
def disk(tmp_path: Path) -> bytes:
    if SFDISK is None:
        pytest.skip("sfdisk is not installed")
    path = tmp_path / "disk"
    path.write_bytes(bytes(8 * MIB))
    subprocess.run([SFDISK, "-q", str(path)], input=SCRIPT, text=True, check=True, capture_output=True)
    return path.read_bytes()


def parts(data: bytes, offset: int = 0) -> tuple[list[str], dict[str, tuple[int, int]]]:
    container = GPT.open(Memory(data), offset)
    entries = list(container.entries)
    at = offset
    for entry in entries:
        assert entry.offset == at
        assert entry.kind is NodeKind.REGION
        at += entry.size
    assert at == offset + container.size
    named = {entry.path: (entry.offset or 0, entry.size) for entry in entries if entry.detail}
    return container.problems, named


EXPECTED = {
    "boot": (2048 * 512, 2048 * 512),
    "root_fs_.._x": (4096 * 512, 4096 * 512),
    "boot-3": (10240 * 512, 2048 * 512),
    "partition-4": (12288 * 512, 1024 * 512),
}


def test_partitions_have_their_names_and_every_byte_belongs_somewhere(disk: bytes) -> None:
    assert parts(disk) == ([], EXPECTED)
    assert GPT.open(Memory(disk + b"x" * 5000), 0).size == len(disk)


def test_a_disk_inside_an_image_is_found_at_its_own_offset_only(disk: bytes) -> None:
    image = bytes(8192) + disk
    shifted = {name: (begin + 8192, size) for name, (begin, size) in EXPECTED.items()}
    assert parts(image, 8192) == ([], shifted)
    with pytest.raises(FormatError):  # where the second signature would put it, were these sectors of 4,096 bytes
        GPT.open(Memory(image), 8192 + 512 - 4096)


@pytest.mark.parametrize("at", [512, 512 + 40, 1024 + 60])
def test_a_damaged_primary_table_is_read_from_the_backup(disk: bytes, at: int) -> None:
    broken = bytearray(disk)
    broken[at] ^= 0xFF
    problems, found = parts(bytes(broken))
    assert found == EXPECTED
    assert any("backup" in problem for problem in problems)


def test_damaged_entries_without_a_backup_are_used_and_said(disk: bytes) -> None:
    broken = bytearray(disk[: 7 * MIB])
    broken[1024 + 16] ^= 0xFF
    problems, found = parts(bytes(broken))
    assert set(found) == set(EXPECTED)
    assert any("no sound backup" in problem for problem in problems)
    assert any("are there" in problem for problem in problems)


def test_a_partition_behind_the_last_usable_sector_is_read_as_far_as_the_image_goes(disk: bytes) -> None:
    image = bytearray(disk)
    image[512 + 32 : 512 + 40] = image[512 + 48 : 512 + 56] = (13000).to_bytes(8, "little")
    image[512 + 16 : 512 + 20] = bytes(4)
    image[512 + 16 : 512 + 20] = zlib.crc32(image[512:604]).to_bytes(4, "little")
    assert parts(bytes(image)) == ([], EXPECTED)


def test_sectors_of_4096_bytes(disk: bytes) -> None:
    # sfdisk makes no such table in a file: the same one, laid out anew with its checksum made again.
    big = bytearray(2048 * 4096)
    big[510:512] = b"\x55\xaa"
    header, entries = bytearray(disk[512:604]), bytearray(disk[1024 : 1024 + 128 * 128])
    for at in range(0, 4 * 128, 128):
        for field in (32, 40):
            value = int.from_bytes(entries[at + field : at + field + 8], "little") // 8
            entries[at + field : at + field + 8] = value.to_bytes(8, "little")
    header[32:40] = (2047).to_bytes(8, "little")
    header[48:56] = (2040).to_bytes(8, "little")
    header[88:92] = zlib.crc32(entries).to_bytes(4, "little")
    header[16:20] = bytes(4)
    header[16:20] = zlib.crc32(header).to_bytes(4, "little")
    big[4096:4188], big[8192 : 8192 + len(entries)] = header, entries
    container = GPT.open(Memory(big), 0)
    assert container.detail["sector_size"] == 4096
    assert [entry.path for entry in container.entries if entry.detail] == list(EXPECTED)


@pytest.mark.fuzz
def test_hostile_tables_raise_format_errors_alone(disk: bytes) -> None:
    for cut in truncations(disk, 20):
        exercise(GPT, cut)
    for broken in mutations(disk, 1.5, hot=((512, 604), (1024, 1024 + 512))):
        image = bytearray(broken)
        image[512 + 88 : 512 + 92] = zlib.crc32(image[1024 : 1024 + 128 * 128]).to_bytes(4, "little")
        image[512 + 16 : 512 + 20] = bytes(4)
        image[512 + 16 : 512 + 20] = zlib.crc32(image[512:604]).to_bytes(4, "little")
        exercise(GPT, bytes(image))
