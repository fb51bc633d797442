"""littlefs volumes: those of littlefs itself (littlefs-python), and logs laid out here as its SPEC.md says, in both versions."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.littlefs import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(LITTLEFS,) = FORMATS
SIZE = 512


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def log(revision: int, *commits: list[tuple[int, int, bytes]]) -> bytes:
    """A metadata block of version 2: commits of (type, id, data)."""
    out, before = bytearray(struct.pack("<I", revision)), 0xFFFFFFFF
    begin = 0
    for commit in commits:
        for kind, number, data in commit:
            tag = kind << 20 | number << 10 | len(data)
            out += struct.pack(">I", tag ^ before) + data
            before = tag
        # The phase bit makes what stands behind (erased: all ones) an invalid tag.
        padding = -(len(out) + 8) % 16
        tag = 0x500 << 20 | 0x3FF << 10 | 4 + padding
        out += struct.pack(">I", tag ^ before)
        out += crc(bytes(out[begin:])) + b"\xff" * padding
        before, begin = tag, len(out)
    assert len(out) <= SIZE
    return bytes(out.ljust(SIZE, b"\xff"))


def superblock(blocks: int) -> list[tuple[int, int, bytes]]:
    return [(0xFF, 0, b"littlefs"), (0x201, 0, struct.pack("<6I", 0x20001, SIZE, blocks, 255, 0x7FFFFFFF, 1022))]


def skip_list(data: bytes, first: int) -> tuple[list[bytes], int]:
    """The blocks of a file that lie one behind the other from ``first`` on, and the number of the last."""
    blocks: list[bytes] = []
    while data or not blocks:
        index = len(blocks)
        pointers = 0
        if index:
            while index % 2**pointers == 0:
                pointers += 1
        head = b"".join(struct.pack("<I", first + index - 2**skip) for skip in range(pointers))
        blocks.append((head + data[: SIZE - len(head)]).ljust(SIZE, b"\xff"))
        data = data[SIZE - len(head) :]
    return blocks, first + len(blocks) - 1


BIG = bytes(range(251)) * 20


def version_2(state: bytes = b"", tail: int = 4) -> bytearray:
    """Blocks 0, 1: root; 2, 3: its continuation; 4, 5: a directory; 6 and on: a file."""
    content, head = skip_list(BIG, 6)
    blocks = 6 + len(content)
    root = log(
        7,
        [*superblock(blocks), (0x401, 1, b""), (0x001, 1, b"doomed"), (0x201, 1, b"x"), (0x001, 2, b"hello"), (0x201, 2, b"old"),
         (0x601, 0x3FF, struct.pack("<2I", 2, 3))],
        [(0x201, 2, b"new content"), (0x374, 2, struct.pack("<I", 1_700_000_000)), (0x4FF, 1, b"")],
        [(0x401, 2, b""), (0x002, 2, b"sub"), (0x200, 2, struct.pack("<2I", 5, 4))],
    )  # fmt: skip
    older = log(6, superblock(blocks))
    more = log(1, [(0x001, 0, b"last"), (0x201, 0, b""), (0x600, 0x3FF, struct.pack("<2I", tail, 5))])
    inner = log(0xFFFFFFFF, [(0x001, 0, b"stale"), (0x201, 0, b"stale")])  # older than revision 0, which follows it
    newer = log(
        0, [(0x001, 0, b"big"), (0x202, 0, struct.pack("<2I", head, len(BIG))), *([(0x7FF, 0x3FF, state)] if state else [])]
    )
    return bytearray(older + root + b"\xff" * SIZE + more + newer + inner + b"".join(content))


def version_1() -> bytearray:
    content, head = skip_list(BIG, 6)
    blocks = 6 + len(content)

    def directory(revision: int, tail: tuple[int, int], entries: bytes, more: bool = False) -> bytes:
        out = struct.pack("<4I", revision, 16 + len(entries) + 4 | (more << 31), *tail) + entries
        return (out + crc(out)).ljust(SIZE, b"\xff")

    def entry(kind: int, name: bytes, *values: int) -> bytes:
        return bytes([kind, 4 * len(values), 0, len(name)]) + struct.pack(f"<{len(values)}I", *values) + name

    first = directory(3, (2, 3), entry(0x2E, b"littlefs", 2, 3, SIZE, blocks, 0x10007))
    root = directory(9, (0xFFFFFFFF, 0xFFFFFFFF), entry(0x11, b"big", head, len(BIG)) + entry(0x22, b"sub", 4, 5))
    sub = directory(2, (0xFFFFFFFF, 0xFFFFFFFF), entry(0x11, b"empty", 0xFFFFFFFF, 0))
    return bytearray(first * 2 + b"\xff" * SIZE + root + sub * 2 + b"".join(content))


def seeds() -> list[bytes]:
    return [bytes(version_2()), bytes(version_1())]


def listing(data: bytes | bytearray, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = LITTLEFS.open(Memory(data), offset)
    entries = list(container.entries)
    assert len({entry.path for entry in entries}) == len(entries)
    return container, {entry.path: entry for entry in entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def test_a_log_reads_back_as_written() -> None:
    data = version_2()
    container, entries = listing(b"front" + data + b"tail", 5)
    assert (container.size, container.problems) == (len(data), [])
    assert (container.detail["version"], container.detail["block_size"]) == ("2.1", SIZE)
    assert set(entries) == {"/hello", "/sub", "/sub/big", "/last"}
    assert content(entries["/hello"]) == b"new content"
    assert entries["/hello"].mtime == 1_700_000_000
    assert entries["/hello"].offset == (b"front" + data).index(b"new content")
    assert entries["/sub"].kind is NodeKind.DIRECTORY
    assert content(entries["/sub/big"]) == BIG
    assert content(entries["/last"]) == b""


def test_version_1_reads_back_as_written() -> None:
    data = version_1()
    container, entries = listing(b"front" + data, 5)
    assert (container.size, container.problems, container.detail["version"]) == (len(data), [], "1.7")
    assert set(entries) == {"/big", "/sub", "/sub/empty"}
    assert content(entries["/big"]) == BIG


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize(("block", "count"), [(128, 1500), (512, 400), (4096, 64)])
def test_a_volume_of_littlefs_itself_reads_back(version: str, block: int, count: int) -> None:
    littlefs: Any = pytest.importorskip("littlefs", reason="littlefs-python is not installed")
    disk_version = 0x20000 if version == "2.0" else 0x20001
    volume = littlefs.LittleFS(block_size=block, block_count=count, disk_version=disk_version, name_max=64)
    chance = random.Random(block)
    expected: dict[str, bytes] = {}
    volume.makedirs("data/deep/deeper")
    for n in range(60):
        path = chance.choice(["", "data/", "data/deep/", "data/deep/deeper/"]) + f"file number {n}"
        expected["/" + path] = chance.randbytes(chance.choice([0, 3, 60, 700, 3000 if block < 4096 else 9000]))
        with volume.open(path, "wb") as file:
            file.write(expected["/" + path])
    for path in list(expected)[:40:3]:  # removed, renamed and rewritten: logs with a history
        data = expected.pop(path)
        if len(data) % 2:
            volume.remove(path)
        else:
            volume.rename(path, path + " moved")
            expected[path + " moved"] = data
    for path in list(expected)[::4]:
        with volume.open(path, "wb") as file:
            file.write(b"again" * 9)
        expected[path] = b"again" * 9
    volume.setattr("data", "t", struct.pack("<Q", 1_650_000_000))
    image = bytes(volume.context.buffer)
    container, entries = listing(image)
    assert container.problems == []
    assert (container.size, container.detail["version"]) == (block * count, version)
    assert {path for path, entry in entries.items() if entry.kind is NodeKind.FILE} == set(expected)
    for path, data in expected.items():
        assert content(entries[path]) == data, path
    assert entries["/data"].mtime == 1_650_000_000


def test_the_second_superblock_alone_is_enough() -> None:
    data = version_2()
    data[:SIZE] = b"\xff" * SIZE
    image = data + b"x"
    container, entries = listing(image, SIZE)
    assert (container.before, container.size) == (SIZE, len(data) - SIZE)
    assert "/sub/big" in entries
    data = version_2()
    data[SIZE : 2 * SIZE] = b"\xff" * SIZE
    assert listing(data)[0].size == len(data)


def test_a_commit_with_a_wrong_checksum_is_left_out() -> None:
    data = version_2()
    at = data.index(b"sub")
    data[at] ^= 1
    container, entries = listing(data)
    assert "/sub" not in entries
    assert content(entries["/hello"]) == b"new content"
    assert any("left out" in problem for problem in container.problems)


def test_an_interrupted_move_leaves_its_old_place_out() -> None:
    container, entries = listing(version_2(state=struct.pack("<3I", 0x4FF << 20, 2, 3)))
    assert "/last" not in entries
    assert any("moved" in problem for problem in container.problems)


def test_directories_that_contain_each_other_end() -> None:
    data = version_2(tail=0)  # the thread goes round
    at = SIZE * 4
    data[at : at + SIZE] = log(0, [(0x002, 0, b"up"), (0x200, 0, struct.pack("<2I", 0, 1))])
    container, entries = listing(data)
    assert "/sub/up" in entries
    assert any("shares" in problem for problem in container.problems)


def test_truncated_and_impossible_volumes() -> None:
    data = version_2()
    container, entries = listing(data[: SIZE * 7])
    assert any("are there" in problem for problem in container.problems)
    with pytest.raises(FormatError):
        content(entries["/sub/big"])
    for at, value in ((24 + SIZE, b"\1\0\0\0"), (20 + SIZE, b"\0\0\x09"), (8 + SIZE, b"x")):
        broken = version_2()[SIZE:]
        broken[at - SIZE : at - SIZE + len(value)] = value
        with pytest.raises(FormatError):
            LITTLEFS.open(Memory(broken), 0)


def test_names_that_lead_out_are_told_and_left_out() -> None:
    data = bytearray(log(1, [*superblock(2), (0x001, 1, b"../x"), (0x201, 1, b"x"), (0x001, 2, b".."), (0x201, 2, b"y")]) * 2)
    container, entries = listing(data)
    assert entries == {}
    assert sum("impossible name" in problem for problem in container.problems) == 2
