"""btrfs send streams: a tree is replayed from commands that this module writes by the documentation."""

from __future__ import annotations

import struct
import zlib

import pytest
import zstandard
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.btrfs_stream import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

STREAM = FORMATS[0]
TEXT = b"line of text\n" * 40


def crc(data: bytes) -> int:
    value = 0
    for each in data:
        value ^= each
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


def attribute(kind: int, value: bytes | int) -> bytes:
    raw = value if isinstance(value, bytes) else struct.pack("<Q", value)
    return struct.pack("<HH", kind, len(raw)) + raw


def command(kind: int, *attributes: tuple[int, bytes | int], data: bytes = b"", version: int = 1) -> bytes:
    body = b"".join(attribute(*each) for each in attributes)
    if data:
        body += struct.pack("<H", 19) + (struct.pack("<H", len(data)) if version == 1 else b"") + data
    plain = struct.pack("<IHI", len(body), kind, 0)
    return struct.pack("<IHI", len(body), kind, crc(plain + body)) + body


def header(version: int = 1) -> bytes:
    return b"btrfs-stream\0" + struct.pack("<I", version) + command(1, (15, b"rootfs"), (1, b"u" * 16), (2, 7))


def stream(version: int = 1) -> bytes:
    out = header(version)
    out += command(4, (15, b"o257-7-0"), (3, 257)) + command(9, (15, b"o257-7-0"), (16, b"etc"))
    out += command(3, (15, b"o258-7-0"), (3, 258)) + command(9, (15, b"o258-7-0"), (16, b"etc/passwd"))
    out += command(15, (15, b"etc/passwd"), (18, 0), data=TEXT, version=version)
    out += command(15, (15, b"etc/passwd"), (18, 1000), data=b"end", version=version)
    out += command(17, (15, b"etc/passwd"), (4, 1010))
    out += command(18, (15, b"etc/passwd"), (5, 0o100600)) + command(19, (15, b"etc/passwd"), (6, 5), (7, 6))
    out += command(20, (15, b"etc/passwd"), (10, struct.pack("<QI", 1700000000, 0)))
    out += command(8, (15, b"link"), (3, 259), (17, b"etc/passwd")) + command(10, (15, b"hard"), (17, b"etc/passwd"))
    out += command(5, (15, b"console"), (3, 260), (8, 5 << 8 | 1), (5, 0o020600))
    out += command(3, (15, b"gone"), (3, 261)) + command(11, (15, b"gone"))
    if version == 2:
        for name, method, raw in ((b"zlib", 1, zlib.compress(TEXT)), (b"zstd", 2, zstandard.compress(TEXT)), (b"lzo", 3, b"?")):
            out += command(3, (15, name), (3, 262))
            sizes = ((18, 0), (27, 500), (28, len(TEXT)), (29, 13), (30, struct.pack("<I", method)))
            out += command(25, (15, name), *sizes, data=raw, version=2)
    return out + command(21)


def seeds() -> list[bytes]:
    return [stream(), stream(2)]


@pytest.mark.parametrize("version", [1, 2])
def test_the_tree_is_replayed(version):
    data = stream(version)
    container = STREAM.open(Memory(b"??" + data + b"tail"), 2)
    entries = {each.path: each for each in container.entries}
    assert (container.size, container.problems, container.detail["subvolume"]) == (len(data), [], "rootfs")
    packed = {"/zlib", "/zstd", "/lzo"} if version == 2 else set()
    assert set(entries) == {"/etc", "/etc/passwd", "/hard", "/link", "/console"} | packed
    passwd = entries["/etc/passwd"]
    expected = TEXT.ljust(1000, b"\0") + b"end".ljust(10, b"\0")
    assert passwd.open().read(0, 1010) == entries["/hard"].open().read(0, 1010) == expected
    assert (passwd.mode, passwd.uid, passwd.gid, passwd.mtime) == (0o600, 5, 6, 1700000000)
    assert (entries["/link"].target, entries["/console"].device) == ("etc/passwd", "c 5:1")
    assert entries["/etc"].kind is NodeKind.DIRECTORY


def test_packed_extents_come_out_and_lzo_is_refused():
    entries = {each.path: each for each in STREAM.open(Memory(stream(2)), 0).entries}
    assert entries["/zlib"].open().read(0, 500) == entries["/zstd"].open().read(0, 500) == TEXT[13:513]
    with pytest.raises(FormatError):
        entries["/lzo"].open()


def test_a_later_extent_overwrites_an_earlier_one():
    data = header() + command(3, (15, b"f"))
    for at, raw in ((0, b"aaaa"), (2, b"bb"), (1, b"c")):
        data += command(15, (15, b"f"), (18, at), data=raw)
    (entry,) = STREAM.open(Memory(data + command(21)), 0).entries
    assert entry.open().read(0, 4) == b"acbb"


def test_wrong_checksums_cuts_and_names_that_leave_the_root_are_told():
    data = bytearray(stream())
    data[-40] ^= 1
    assert any("wrong CRC32C" in each for each in STREAM.open(Memory(data), 0).problems)
    assert STREAM.open(Memory(stream()[:-5]), 0).problems == ["the stream ends without its last command"]
    outside = header() + command(4, (15, b"../up")) + command(21)
    container = STREAM.open(Memory(outside), 0)
    assert (list(container.entries), len(container.problems)) == ([], 1)
    into_itself = header() + command(4, (15, b"a")) + command(9, (15, b"a"), (16, b"a/b")) + command(21)
    assert list(STREAM.open(Memory(into_itself), 0).entries) == []


def test_other_bytes_are_refused_and_truncation_raises_nothing_else():
    with pytest.raises(FormatError):
        STREAM.open(Memory(b"btrfs-stream\0\1\0\0\0" + bytes(64)), 0)
    for data in truncations(stream(2), 60):
        exercise(STREAM, data)
