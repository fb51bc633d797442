"""ARC archives written after Arcinfo and by arc."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.arc import FORMATS
from fwcheck.extraction.source import Memory

(ARC,) = FORMATS
BODY = b"stored content\n"


def crc(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def member(name: bytes, data: bytes, method: int = 2) -> bytes:
    head = struct.pack(
        "<BB13sIHHH", 0x1A, method, name, len(data), (44 << 9) | (3 << 5) | 7, (12 << 11) | (30 << 5) | 5, crc(data)
    )
    return head + (struct.pack("<I", len(data)) if method != 1 else b"") + data


def archive() -> bytes:
    return member(b"HI.TXT", BODY) + member(b"OLD", BODY, 1) + member(b"PACKED", b"\x99" * 20, 8) + b"\x1a\0"


def seeds() -> list[bytes]:
    return [archive()]


def opened(data: bytes):
    container = ARC.open(Memory(data), 0)
    return container, {entry.path: entry for entry in container.entries}


def test_members_and_extent() -> None:
    container, entries = opened(archive() + b"behind")
    assert (container.size, container.problems) == (len(archive()), [])
    for path in ("/HI.TXT", "/OLD"):
        assert (entries[path].open().read(0, entries[path].size), entries[path].mtime) == (BODY, 1709814610)
    with pytest.raises(FormatError, match="crunched"):
        entries["/PACKED"].open()


def test_a_wrong_crc_is_said() -> None:
    _, entries = opened(archive().replace(b"stored content", b"stored CONTENT"))
    with pytest.raises(FormatError, match="CRC-16"):
        entries["/HI.TXT"].open()


def test_a_cut_archive_keeps_what_stands_before() -> None:
    container, entries = opened(archive()[:-10])
    assert len(entries) == 3
    assert container.problems[0] == "the last member reaches beyond the end"


@pytest.mark.parametrize("data", [member(b"X", BODY)[:-1], b"\x1a\2" + b"X" * 40, b"\x1a\0" * 20, member(b"X", b"")[:20]])
def test_chance_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        ARC.open(Memory(data), 0)


def test_what_arc_writes(tmp_path: Path) -> None:
    if shutil.which("arc") is None:
        pytest.skip("arc is not installed")
    (tmp_path / "tiny").write_bytes(b"abcdefg")
    (tmp_path / "big").write_bytes(b"packed " * 500)
    subprocess.run(["arc", "a", "x.arc", "tiny", "big"], cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "x.arc").read_bytes()
    container, entries = opened(data + b"behind")
    assert container.problems == []
    assert data[: container.size].rstrip(b"\0").endswith(b"\x1a")
    assert {path: entry.size for path, entry in entries.items()} == {"/big": 3500, "/tiny": 7}
    assert entries["/tiny"].open().read(0, 7) == b"abcdefg"
