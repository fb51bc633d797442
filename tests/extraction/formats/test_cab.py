"""Cabinets of an independent writer and of gcab: MSZIP with its dictionary carried over, stored folders, names, dates."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._cab_folders import checksum
from fwcheck.extraction.formats.cab import FORMATS
from fwcheck.extraction.source import Memory

(CAB,) = FORMATS
BIG = random.Random(5).randbytes(3000) * 25  # more than two blocks, and what repeats lies in the block before
FILES = {"d\\hi.txt": b"hi\n", "big.bin": BIG}


def words(data: bytes) -> int:
    """The checksum as [MS-CAB] writes it, word by word."""
    value = 0
    whole = len(data) & ~3
    for (each,) in struct.iter_unpack("<I", data[:whole]):
        value ^= each
    return value ^ int.from_bytes(data[whole:], "big")


def folder(content: bytes, method: int) -> list[bytes]:
    out, before = [], b""
    for at in range(0, len(content), 32768):
        piece = data = content[at : at + 32768]
        if method == 1:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, 0, before) if before else zlib.compressobj(9, zlib.DEFLATED, -15)
            data = b"CK" + packer.compress(piece) + packer.flush()
        elif method:
            data = bytes(len(piece) // 2)
        sizes = struct.pack("<HH", len(data), len(piece))
        out.append(struct.pack("<I", words(sizes) ^ words(data)) + sizes + data)
        before = piece
    return out


def cabinet(method: int = 1, files: dict[str, bytes] = FILES, reserve: int = 0, index: int = 0) -> bytes:
    blocks = folder(b"".join(files.values()), method)
    extra = struct.pack("<HBB", reserve, 0, 0) + bytes(reserve) if reserve else b""
    listed, at = b"", 0
    for name, data in files.items():
        listed += struct.pack("<IIHHHH", len(data), at, index, (44 << 9) | (3 << 5) | 7, (12 << 11) | (30 << 5) | 5, 0x20)
        listed += name.encode() + b"\0"
        at += len(data)
    begin = 36 + len(extra) + 8
    table = struct.pack("<IHH", begin + len(listed), len(blocks), method)
    body = extra + table + listed + b"".join(blocks)
    flags = 4 if reserve else 0
    return struct.pack("<4s4xI4xI4xBBHHHHH", b"MSCF", 36 + len(body), begin, 3, 1, 1, len(files), flags, 77, 0) + body


def seeds() -> list[bytes]:
    small = {"a": b"abc" * 50, "b": b""}
    return [cabinet(), cabinet(0, small), cabinet(3, small), cabinet(files=small, reserve=20)]


def opened(data: bytes, offset: int = 0):
    container = CAB.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


@pytest.mark.parametrize("method", [0, 1])
@pytest.mark.parametrize("reserve", [0, 20])
def test_files_come_out_as_they_went_in(method: int, reserve: int) -> None:
    data = cabinet(method, reserve=reserve)
    container, entries = opened(b"rubbish!" + data + b"behind", 8)
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail["method"] == ("MSZIP" if method else "stored")
    assert {path: entry.open().read(0, entry.size) for path, entry in entries.items()} == {"/d/hi.txt": b"hi\n", "/big.bin": BIG}
    assert (entries["/d/hi.txt"].mtime, entries["/d/hi.txt"].mode) == (1709814610, 0o644)


def test_lzx_is_listed_and_said() -> None:
    container, entries = opened(cabinet(3))
    assert container.detail["method"] == "LZX"
    with pytest.raises(FormatError, match="LZX cannot be unpacked"):
        entries["/big.bin"].open()


def test_a_wrong_checksum_is_said() -> None:
    data = bytearray(cabinet(0))
    data[-1] ^= 1
    with pytest.raises(FormatError, match="checksum of the block"):
        opened(bytes(data))[1]["/big.bin"].open()


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 4095, 4096, 5000])
def test_the_checksum_is_that_of_the_specification(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert checksum(data) == words(data)


def test_a_cut_cabinet_keeps_what_is_there() -> None:
    data = cabinet(0)[:-40000]
    container, entries = opened(data)
    assert container.size == len(data)
    assert any("truncated" in line for line in container.problems)
    assert any("of which 1 are there" in line for line in container.problems)
    assert entries["/d/hi.txt"].open().read(0, 3) == b"hi\n"


def test_names_and_folders_that_lead_outside() -> None:
    container, entries = opened(cabinet(0, {"..\\..\\etc\\passwd": b"x"}, index=0xFFFD))
    assert (list(entries), entries["/etc/passwd"].open) == (["/etc/passwd"], None)
    assert any("leaves the archive" in line for line in container.problems)


def test_files_that_overlap_are_said() -> None:
    files = {f"f{number}": b"abcd" for number in range(9)}
    data = bytearray(cabinet(0, files))
    for number in range(9):
        at = data.index(b"f%d\0" % number) - 16
        data[at : at + 8] = struct.pack("<II", 36, 0)  # all of the folder
    container, entries = opened(bytes(data))
    assert entries["/f1"].open().size == 36
    assert any("overlap" in line for line in container.problems)
    with pytest.raises(FormatError, match="overlaps"):
        entries["/f8"].open()


@pytest.mark.parametrize(("at", "value"), [(16, 0xFF), (25, 2), (26, 0), (30, 0xFF), (8, 0)])
def test_headers_that_contradict_themselves_are_refused(at: int, value: int) -> None:
    data = bytearray(cabinet(0, {"a": b"abc"}))
    data[at] = value
    with pytest.raises(FormatError):
        CAB.open(Memory(data), 0)


@pytest.mark.parametrize("options", [(), ("-z",)])
def test_what_gcab_writes(options: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which("gcab") is None:
        pytest.skip("gcab is not installed")
    (tmp_path / "big.bin").write_bytes(BIG)
    (tmp_path / "hi.txt").write_bytes(b"hi\n")
    subprocess.run(["gcab", "-c", *options, "x.cab", "hi.txt", "big.bin"], cwd=tmp_path, check=True)
    data = (tmp_path / "x.cab").read_bytes()
    container, entries = opened(data + b"behind")
    assert (container.size, container.problems, container.detail["method"]) == (len(data), [], "MSZIP" if options else "stored")
    assert {path: entry.open().read(0, entry.size) for path, entry in entries.items()} == {"/hi.txt": b"hi\n", "/big.bin": BIG}
