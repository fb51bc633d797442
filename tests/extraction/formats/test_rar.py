"""RAR 4 and 5 written after their specifications: extents are exact, stored members are read, the others are told."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.rar import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(RAR,) = FORMATS
BODY = b"stored content\n"
DOS = ((44 << 9) | (3 << 5) | 7) << 16 | (12 << 11) | (30 << 5) | 5


def four(kind: int, flags: int, fields: bytes = b"", data: bytes = b"") -> bytes:
    rest = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest + data


def file4(name: bytes, data: bytes, method: int = 0x30, flags: int = 0, crc: int | None = None, mode: int = 0o100640) -> bytes:
    crc = zlib.crc32(data) if crc is None else crc
    fields = struct.pack("<IIBIIBBHI", len(data), len(data), 3, crc, DOS, 29, method, len(name), mode) + name
    return four(0x74, 0x8000 | flags, fields, data)


def rar4(*blocks: bytes, flags: int = 0) -> bytes:
    return b"Rar!\x1a\x07\x00" + four(0x73, flags, bytes(6)) + b"".join(blocks) + four(0x7B, 0x4000)


def number(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def five(kind: int, flags: int = 0, fields: bytes = b"", extra: bytes = b"", data: bytes = b"") -> bytes:
    flags |= (1 if extra else 0) | (2 if data else 0)
    head = number(kind) + number(flags) + (number(len(extra)) if extra else b"") + (number(len(data)) if data else b"")
    raw = head + fields + extra
    raw = number(len(raw)) + raw
    return struct.pack("<I", zlib.crc32(raw)) + raw + data


def file5(
    name: bytes, data: bytes, method: int = 0, extra: bytes = b"", crc: int | None = None, mode: int = 0o100640, flags: int = 0
) -> bytes:
    crc = zlib.crc32(data) if crc is None else crc
    directory = mode & 0o170000 == 0o040000
    fields = number(6 | directory) + number(len(data)) + number(mode) + struct.pack("<II", 1_700_000_000, crc)
    fields += number(method << 7) + number(1) + number(len(name)) + name
    return five(2, flags, fields, extra, data)


def record(kind: int, data: bytes) -> bytes:
    raw = number(kind) + data
    return number(len(raw)) + raw


def rar5(*blocks: bytes) -> bytes:
    return b"Rar!\x1a\x07\x01\x00" + five(1, 0, number(0)) + b"".join(blocks) + five(5, 0, number(0))


LINK = file5(b"link", b"", extra=record(5, number(1) + number(0) + number(4) + b"d/hi"))
SECRET5 = file5(b"secret", b"\x99" * 32, 3, extra=record(1, number(0)))


def all_four() -> bytes:
    return rar4(
        file4(b"d\\hi", BODY),
        file4(b"packed", b"\x99" * 20, 0x33),
        file4(b"secret", b"\x99" * 32, 0x33, 4),
        file4(b"d", b"", flags=0xE0),
    )


def all_five() -> bytes:
    return rar5(file5(b"d/hi", BODY), file5(b"packed", b"\x99" * 20, 3), SECRET5, LINK, file5(b"d", b"", mode=0o040755))


def seeds() -> list[bytes]:
    return [all_four(), all_five()]


def opened(data: bytes, offset: int = 0):
    container = RAR.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


@pytest.mark.parametrize(("data", "version"), [(all_four(), 4), (all_five(), 5)])
def test_members_and_extent(data: bytes, version: int) -> None:
    container, entries = opened(b"rubbish!" + data + b"behind", 8)
    assert (container.size, container.problems, container.detail["version"]) == (len(data), [], version)
    stored = entries["/d/hi"]
    assert (stored.open().read(0, stored.size), stored.mode) == (BODY, 0o640)
    assert stored.mtime == (1_700_000_000 if version == 5 else 1709814610)
    with pytest.raises(FormatError, match="cannot be unpacked"):
        entries["/packed"].open()
    assert (entries["/secret"].role, entries["/secret"].detail["encryption"][:3]) == ("encrypted", "AES")
    assert entries["/d"].kind is NodeKind.DIRECTORY
    if version == 5:
        assert (entries["/link"].kind, entries["/link"].target) == (NodeKind.SYMLINK, "d/hi")


@pytest.mark.parametrize("data", [rar4(file4(b"x", BODY, crc=1)), rar5(file5(b"x", BODY, crc=1))])
def test_a_wrong_crc_of_a_member_is_said(data: bytes) -> None:
    with pytest.raises(FormatError, match="CRC32"):
        opened(data)[1]["/x"].open()


def test_members_over_several_volumes_are_said() -> None:
    for data in (rar4(file4(b"x", BODY, flags=2)), rar5(file5(b"x", BODY, flags=0x10))):
        for entry in opened(data)[1].values():
            with pytest.raises(FormatError):
                entry.open()


def test_encrypted_headers_reach_to_the_end() -> None:
    data = b"Rar!\x1a\x07\x00" + four(0x73, 0x80, bytes(6)) + b"\x99" * 100
    container, entries = opened(data)
    assert (container.size, container.detail["headers"], len(entries)) == (len(data), "encrypted", 1)
    data = b"Rar!\x1a\x07\x01\x00" + five(4, 0, number(0) * 3 + bytes(16)) + b"\x99" * 100
    container, entries = opened(data)
    assert (container.size, entries["encrypted blocks"].size) == (len(data), 100)


def test_a_cut_and_a_damaged_archive_keep_what_stands_before() -> None:
    for data in (all_four(), all_five()):
        container, entries = opened(data[:-30])
        assert "/d/hi" in entries
        assert container.problems
        with pytest.raises(FormatError):
            RAR.open(Memory(data[:9] + b"\xff" + data[10:]), 0)


def test_names_do_not_leave_the_archive() -> None:
    container, entries = opened(rar4(file4(b"..\\..\\etc\\passwd", BODY)))
    assert list(entries) == ["/etc/passwd"]
    assert any("leaves the archive" in line for line in container.problems)
