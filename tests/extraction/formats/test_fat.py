"""FAT volumes: those of mkfs.fat and mtools, and those laid out in tests/support/fat_images.py."""

from __future__ import annotations

import calendar
import os
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from support.fat_images import volume

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.fat import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(FAT,) = FORMATS
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
FILES = {
    "passwd": b"root::0:0\n",
    "A long name with \u00e4\u00f6\u00fc and \u65e5\u672c.conf": bytes(range(256)) * 9,
    "empty": b"",
    "sub dir/inner file": b"inner" * 700,
}


def seeds() -> list[bytes]:
    return [
        bytes(volume(FILES)),
        bytes(volume(FILES, sector=4096, clusters=10)),
        bytes(volume(FILES, bits=32, scatter=True, clusters=90)),
        bytes(volume(FILES, bits=16, clusters=4200)[:49152]),
    ]


def listing(data: bytes | bytearray, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = FAT.open(Memory(data), offset)
    entries = list(container.entries)
    assert len({entry.path for entry in entries}) == len(entries)
    return container, {entry.path: entry for entry in entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


@pytest.mark.parametrize("bits", [12, 16, 32])
@pytest.mark.parametrize("scatter", [False, True])
@pytest.mark.parametrize("sector", [512, 4096])
def test_every_width_reads_back_as_written(bits: int, scatter: bool, sector: int) -> None:
    clusters = {12: 100, 16: 4200, 32: 120}[bits]
    data = volume(FILES, bits=bits, scatter=scatter, sector=sector, clusters=clusters)
    container, entries = listing(b"rubbish" + data + b"tail", 7)
    assert container.size == len(data)
    assert container.format == f"fat{bits}"
    assert container.detail["label"] == "LABEL"
    assert container.problems == []
    assert set(entries) == {*(f"/{path}" for path in FILES), "/sub dir"}
    for path, expected in FILES.items():
        assert content(entries[f"/{path}"]) == expected
    assert entries["/passwd"].mtime == calendar.timegm((2024, 2, 29, 13, 14, 16))
    assert entries["/sub dir"].kind is NodeKind.DIRECTORY
    assert (entries["/passwd"].offset is not None) == (len(FILES["passwd"]) > 0)


@pytest.mark.parametrize(("bits", "options"), [(12, ("-s", "8")), (16, ("-S", "1024")), (32, ("-s", "1", "-R", "64"))])
def test_volumes_of_mkfs_fat_and_mtools_read_back(bits: int, options: tuple[str, ...], tmp_path: Path) -> None:
    tools = {name: shutil.which(name, path=PATHS) for name in ("mkfs.fat", "mcopy", "mmd", "mdel", "mattrib")}
    if not all(tools.values()):
        pytest.skip("dosfstools or mtools is not installed")
    image, chance = tmp_path / "image", random.Random(bits)
    size = {12: 2048, 16: 20480, 32: 40960}[bits]
    subprocess.run([str(tools["mkfs.fat"]), "-C", "-F", str(bits), "-n", "DATA", *options, str(image), str(size)], check=True,
                   capture_output=True)  # fmt: skip
    expected: dict[str, bytes] = {}

    def put(path: str, data: bytes) -> None:
        (tmp_path / "one").write_bytes(data)
        subprocess.run([str(tools["mcopy"]), "-i", str(image), str(tmp_path / "one"), f"::{path}"], check=True)
        expected[path] = data

    subprocess.run([str(tools["mmd"]), "-i", str(image), "::/EFI", "::/EFI/Boot"], check=True)
    put("/first.bin", chance.randbytes(9000))
    put("/EFI/Boot/bootx64.efi", chance.randbytes(70_000))
    subprocess.run([str(tools["mdel"]), "-i", str(image), "::/first.bin"], check=True)
    del expected["/first.bin"]
    put("/READ.ME", b"upper case")
    put("/lower.txt", b"lower case")
    put("/fragmented file over the hole.bin", chance.randbytes(300_000))
    subprocess.run([str(tools["mattrib"]), "-i", str(image), "+r", "+h", "::/READ.ME"], check=True)
    container, entries = listing(image.read_bytes())
    assert container.size == image.stat().st_size
    assert container.problems == []
    assert container.detail["label"] == "DATA"
    assert set(entries) == {*expected, "/EFI", "/EFI/Boot"}
    for path, data in expected.items():
        assert content(entries[path]) == data, path
    assert entries["/READ.ME"].mode == 0o444
    assert entries["/READ.ME"].detail["attributes"] == "hidden"


def test_a_damaged_first_table_is_replaced_by_the_second() -> None:
    data = volume(FILES)
    data[512:1024] = bytes(512)
    container, entries = listing(data)
    assert any("second was read" in problem for problem in container.problems)
    assert content(entries["/sub dir/inner file"]) == FILES["sub dir/inner file"]


def test_chains_that_loop_cross_or_end_early_are_told() -> None:
    # 32 bits: the cells can be set by hand. Clusters 2, 3 are the root; 4 is passwd; 5 and on the long name.
    data = volume(FILES, bits=32, clusters=90)
    table = 32 * 512
    for cell, value, said in ((5, 5, "shares"), (5, 4, "shares"), (6, 0x0FFFFFFF, "too early"), (6, 0, "which is none")):
        broken = bytearray(data)
        struct.pack_into("<I", broken, table + cell * 4, value)
        container, entries = listing(broken)
        assert any(said in problem for problem in container.problems), said
        assert content(entries["/passwd"]) == FILES["passwd"]


def test_a_directory_chain_that_meets_itself_ends() -> None:
    data = volume(FILES, bits=32, clusters=90)
    struct.pack_into("<I", data, 32 * 512 + 3 * 4, 2)
    container, entries = listing(data)
    assert "/passwd" in entries
    assert any("shares" in problem for problem in container.problems)


def test_a_truncated_volume_gives_what_is_there() -> None:
    data = volume(FILES, clusters=2000)
    container, entries = listing(data[:20000])
    assert container.size == 20000
    assert any("are there" in problem for problem in container.problems)
    assert content(entries["/passwd"]) == FILES["passwd"]
    with pytest.raises(Truncated):
        FAT.open(Memory(data[:1500]), 0)


def test_a_long_name_with_the_checksum_of_another_entry_is_not_used() -> None:
    data = volume(FILES)
    at = data.index(b"FILE0000")
    data[at - 32 + 13] ^= 1
    assert "/FILE0000" in listing(data)[1]


def test_names_that_lead_out_are_told_and_left_out() -> None:
    container, entries = listing(volume({"a/b": b"x", "../x": b"y"}))
    assert set(entries) == {"/a", "/a/b"}
    assert any("impossible name" in problem for problem in container.problems)


@pytest.mark.parametrize(
    "patch", [(11, b"\0\3"), (13, b"\3"), (14, b"\0\0"), (16, b"\7"), (21, b"\1"), (22, b"\0\0"), (512, bytes(1024))]
)
def test_boot_sectors_with_impossible_fields_are_rejected(patch: tuple[int, bytes]) -> None:
    data = volume(FILES)
    data[patch[0] : patch[0] + len(patch[1])] = patch[1]
    with pytest.raises(FormatError):
        FAT.open(Memory(data), 0)
