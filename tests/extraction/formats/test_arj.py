"""ARJ archives written after technote.txt and by arj."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.arj import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(ARJ,) = FORMATS
BODY = b"stored content\n"
DOS = ((44 << 9) | (3 << 5) | 7) << 16 | (12 << 11) | (30 << 5) | 5


def header(kind: int, name: bytes, data: bytes = b"", method: int = 0, flags: int = 0, crc: int | None = None) -> bytes:
    crc = zlib.crc32(data) if crc is None else crc
    raw = struct.pack("<BBBBBBBxIIIIHHH", 30, 11, 1, 2, flags, method, kind, DOS, len(data), len(data), crc, 0, 0o640, 0)
    raw += name + b"\0comment\0"
    return b"\x60\xea" + struct.pack("<H", len(raw)) + raw + struct.pack("<IH", zlib.crc32(raw), 0) + data


def arj(*members: bytes) -> bytes:
    return header(2, b"x.arj") + b"".join(members) + b"\x60\xea\0\0"


def archive() -> bytes:
    return arj(
        header(3, b"d"), header(0, b"d/hi", BODY), header(0, b"packed", b"\x99" * 20, 4), header(0, b"secret", b"\x99" * 20, 1, 1)
    )


def seeds() -> list[bytes]:
    return [archive()]


def opened(data: bytes, offset: int = 0):
    container = ARJ.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def test_members_and_extent() -> None:
    data = archive()
    container, entries = opened(b"rubbish!" + data + b"behind", 8)
    assert (container.size, container.problems) == (len(data), [])
    assert (container.detail["name"], container.detail["host"], container.detail["members"]) == ("x.arj", "Unix", 4)
    entry = entries["/d/hi"]
    assert (entry.open().read(0, entry.size), entry.mtime, entry.mode) == (BODY, 1709814610, 0o640)
    assert entries["/d"].kind is NodeKind.DIRECTORY
    with pytest.raises(FormatError, match="method 4 cannot be unpacked"):
        entries["/packed"].open()
    assert (entries["/secret"].role, entries["/secret"].detail["encryption"]) == ("encrypted", "ARJ garble")


def test_a_packed_member() -> None:
    """One block of a code without bits: the same letter over and over."""
    packed = int(f"{7:016b}" + f"{0:010b}" + f"{0:09b}{65:09b}" + f"{0:010b}" + "00", 2).to_bytes(7, "big")
    data = bytearray(header(0, b"x", packed, 1))
    struct.pack_into("<II", data, 20, 7, zlib.crc32(b"A" * 7))
    end = 4 + int.from_bytes(data[2:4], "little")
    struct.pack_into("<I", data, end, zlib.crc32(data[4:end]))
    assert opened(arj(bytes(data)))[1]["/x"].open().read(0, 7) == b"A" * 7


def test_a_wrong_crc_and_a_volume_are_said() -> None:
    with pytest.raises(FormatError, match="CRC32"):
        opened(arj(header(0, b"x", BODY, crc=1)))[1]["/x"].open()
    with pytest.raises(FormatError, match="volume"):
        opened(arj(header(0, b"x", BODY, flags=4)))[1]["/x"].open()


def test_a_cut_archive_keeps_what_stands_before() -> None:
    container, entries = opened(archive()[:-10])
    assert "/d/hi" in entries
    assert container.problems == ["the last member reaches beyond the end"]
    container, _ = opened(archive()[:-4])
    assert "no end mark" in container.problems[0]


@pytest.mark.parametrize("at", [0, 3, 10, 20])
def test_a_damaged_main_header_is_refused(at: int) -> None:
    data = bytearray(archive())
    data[at] ^= 0x40
    with pytest.raises(FormatError):
        ARJ.open(Memory(data), 0)


def test_names_do_not_leave_the_archive() -> None:
    container, entries = opened(arj(header(0, b"..\\..\\etc\\passwd", BODY)))
    assert list(entries) == ["/etc/passwd"]
    assert any("leaves the archive" in line for line in container.problems)


@pytest.mark.parametrize("options", [("-m0",), (), ("-m2",), ("-m3",), ("-gsecret",)])
def test_what_arj_writes(options: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which("arj") is None:
        pytest.skip("arj is not installed")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/hi").write_bytes(b"hi\n")
    big = b"packed " * 400 + random.Random(3).randbytes(700)
    (tmp_path / "big").write_bytes(big)
    subprocess.run(["arj", "a", "-y", *options, "x.arj", "big", "d/hi"], cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "x.arj").read_bytes()
    container, entries = opened(data + b"behind")
    assert (container.size, container.problems) == (len(data), [])
    assert {path: entry.size for path, entry in entries.items()} == {"/big": 3500, "/d/hi": 3}
    if options != ("-gsecret",):
        assert entries["/big"].open().read(0, 3500) == big
    assert (entries["/big"].role == "encrypted") == (options == ("-gsecret",))
