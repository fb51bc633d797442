"""LHA archives of all header levels, written after header.doc and by jlha."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.lha import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(LHA,) = FORMATS
BODY = b"stored content\n"
DOS = ((44 << 9) | (3 << 5) | 7) << 16 | (12 << 11) | (30 << 5) | 5
TIME = 1709814610


def crc(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def chain(extended: list[bytes], width: int) -> tuple[bytes, bytes]:
    """The size of the first extended header, and all of them with the size of the next behind each."""
    sizes = [len(each) + width for each in extended] + [0]
    first, *rest = (size.to_bytes(width, "little") for size in sizes)
    return first, b"".join(each + size for each, size in zip(extended, rest, strict=True))


def member(
    level: int, name: bytes, data: bytes, method: bytes = b"-lh0-", path: bytes = b"", more: list[bytes] | None = None
) -> bytes:
    sizes = struct.pack("<II", len(data), len(data))
    extended = [*([b"\2" + path] if path else []), *(more or [])]
    if level < 2:
        first, rest = chain(extended, 2)
        if level == 1:
            sizes = struct.pack("<II", len(data) + len(rest), len(data))
        raw = method + sizes + struct.pack("<IBB", DOS, 0x20, level) + bytes([len(name)]) + name + struct.pack("<H", crc(data))
        raw += b"U" + first if level else b""
        return bytes([len(raw), sum(raw) & 0xFF]) + raw + rest + data
    width = 2 if level == 2 else 4
    first, rest = chain([b"\0\0\0", b"\1" + name, *extended], width)
    head = method + sizes + struct.pack("<IBBH", TIME, 0x20, level, crc(data)) + b"U"
    length = 2 + len(head) + (4 if level == 3 else 0) + width + len(rest)
    front = struct.pack("<H", length if level == 2 else 4)
    raw = front + head + (struct.pack("<I", length) if level == 3 else b"") + first + rest
    at = len(raw) - len(rest) + 1
    return raw[:at] + struct.pack("<H", crc(raw)) + raw[at + 2 :] + data


def archive(level: int) -> bytes:
    unix = [b"\x50" + struct.pack("<H", 0o100750), b"\x51" + struct.pack("<HH", 8, 7)] if level else []
    inside = member(level, b"hi", BODY, path=b"d\xff", more=unix) if level else member(level, b"d\\hi", BODY)
    return inside + member(level, b"packed", b"\x99" * 9, b"-lh1-") + b"\0"


def seeds() -> list[bytes]:
    return [*(archive(level) for level in range(4)), member(2, b"x", constant(65, 7), b"-lh5-") + b"\0"]


def opened(data: bytes, offset: int = 0):
    container = LHA.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


@pytest.mark.parametrize("level", range(4))
def test_every_level(level: int) -> None:
    data = archive(level)
    container, entries = opened(b"rubbish!" + data + b"behind", 8)
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail == {"members": 2, "level": level, "method": "-lh0-, -lh1-"}
    entry = entries["/d/hi"]
    assert (entry.open().read(0, entry.size), entry.mtime) == (BODY, TIME)
    assert (entry.mode, entry.uid, entry.gid) == ((0o750, 7, 8) if level else (0o644, 0, 0))
    with pytest.raises(FormatError, match="-lh1- cannot be unpacked"):
        entries["/packed"].open()


def constant(letter: int, count: int) -> bytes:
    """An lh5 block of one literal over and over: every code has no bits."""
    return int(f"{count:016b}" + f"{0:010b}" + f"{0:09b}{letter:09b}" + f"{0:08b}" + "0" * 4, 2).to_bytes(7, "big")


def test_a_block_of_codes_without_bits() -> None:
    data = bytearray(member(0, b"x", constant(65, 50), b"-lh5-") + b"\0")
    struct.pack_into("<I", data, 11, 50)
    struct.pack_into("<H", data, 23, crc(b"A" * 50))
    data[1] = sum(data[2 : data[0] + 2]) & 0xFF
    assert opened(bytes(data))[1]["/x"].open().read(0, 50) == b"A" * 50


def test_links_and_directories() -> None:
    mode = [b"\x50" + struct.pack("<H", 0o120777)]
    data = member(2, b"link|d/hi", b"", b"-lhd-", more=mode) + member(2, b"", b"", b"-lhd-", path=b"d\xff") + b"\0"
    _, entries = opened(data)
    assert (entries["/link"].kind, entries["/link"].target) == (NodeKind.SYMLINK, "d/hi")
    assert entries["/d"].kind is NodeKind.DIRECTORY


@pytest.mark.parametrize("level", range(4))
def test_a_damaged_header_is_refused(level: int) -> None:
    data = bytearray(archive(level))
    data[16] ^= 0xFF
    with pytest.raises(FormatError):
        LHA.open(Memory(data), 0)


def test_a_changed_content_and_a_cut_archive() -> None:
    data = archive(2).replace(b"stored content", b"stored CONTENT")
    with pytest.raises(FormatError, match="CRC-16"):
        opened(data)[1]["/d/hi"].open()
    container, _ = opened(archive(1)[:-4])
    assert container.problems == ["the last member reaches beyond the end"]
    container, _ = opened(archive(1)[:-1] + b"rubbish" * 9)
    assert "no end mark" in container.problems[0]


@pytest.mark.parametrize("method", ["5", "6", "7"])
def test_what_jlha_packs_with_every_method(method: str, tmp_path: Path) -> None:
    if shutil.which("jlha") is None:
        pytest.skip("jlha (jlha-utils) is not installed")
    chance = random.Random(method)
    words = [chance.randbytes(chance.randrange(1, 30)) for _ in range(900)]
    content = b"".join(chance.choice(words) for _ in range(9000)) + bytes(5000)
    (tmp_path / "packed").write_bytes(content)
    subprocess.run(["jlha", f"a2qo{method}", "x.lzh", "packed"], cwd=tmp_path, check=True, capture_output=True)
    container, entries = opened((tmp_path / "x.lzh").read_bytes())
    assert container.detail["method"] == f"-lh{method}-"
    assert entries["/packed"].open().read(0, len(content)) == content


@pytest.mark.parametrize("level", range(3))
def test_what_jlha_writes(level: int, tmp_path: Path) -> None:
    if shutil.which("jlha") is None:
        pytest.skip("jlha (jlha-utils) is not installed")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/hi").write_bytes(b"hi\n")
    (tmp_path / "packed").write_bytes(b"packed " * 500)
    subprocess.run(["jlha", f"a{level}q", "x.lzh", "d/hi", "packed"], cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "x.lzh").read_bytes()
    container, entries = opened(data + b"behind")
    assert (container.size, container.problems, container.detail["level"]) == (len(data), [], level)
    assert [entry.size for entry in entries.values()] == [3, 3500]
    packed = next(entry for path, entry in entries.items() if path.endswith("packed"))
    assert packed.open().read(0, packed.size) == b"packed " * 500
    stored = next(entry for path, entry in entries.items() if path.endswith("hi"))
    assert stored.open().read(0, 3) == b"hi\n"
