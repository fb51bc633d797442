"""MINIX file systems, laid out here as the kernel's header says; empty ones of mkfs.minix, which fsck.minix agrees with."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.minix import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(MINIX,) = FORMATS
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MAGIC = {(1, 14): 0x137F, (1, 30): 0x138F, (2, 14): 0x2468, (2, 30): 0x2478, (3, 60): 0x4D5A}
VARIANTS = [(order, version, name) for order in "<>" for version, name in MAGIC]
LONG = b"".join(b"%07d\n" % n for n in range(2500))  # into the indirect blocks
HUGE = bytes(7 * 1024) + b"single" + bytes((512 + 300) * 1024) + b"double"


def image(order: str = "<", version: int = 1, name: int = 14, block: int = 1024, zones: int = 96, inodes: int = 64) -> bytearray:
    """Inodes: 1 root, 2 directory, 3 file, 4 long file, 5 link, 6 device, 7 empty, 8 sparse file with two levels of pointers."""
    room = 32 if version == 1 else 64
    first = 4 + -(-inodes * room // block)
    out = bytearray(zones * block)
    nxt = first

    def pack(spec: str, *values: int | bytes) -> bytes:
        return struct.pack(order + spec, *values)

    def put(data: bytes) -> int:
        nonlocal nxt
        out[nxt * block : nxt * block + len(data)] = data
        nxt += 1
        return nxt - 1

    pointer = "H" if version == 1 else "I"
    fan = block // struct.calcsize(pointer)

    def zone_list(data: bytes) -> list[int]:
        pieces = [data[at : at + block] for at in range(0, len(data), block)]
        numbers = [put(piece) if any(piece) else 0 for piece in pieces]
        found = (numbers[:7] + [0] * 7)[:7]
        rest = numbers[7:]
        single = rest[:fan]
        found.append(put(pack(f"{len(single)}{pointer}", *single)) if any(single) else 0)
        rest = rest[fan:]
        level = [put(pack(f"{len(part)}{pointer}", *part)) if any(part) else 0 for part in
                 (rest[at : at + fan] for at in range(0, len(rest), fan))]  # fmt: skip
        found.append(put(pack(f"{len(level)}{pointer}", *level)) if level else 0)
        return found if version == 1 else [*found, 0]

    def inode(number: int, mode: int, data: bytes, links: int = 1, device: int = 0) -> None:
        listed = [device] + [0] * (8 if version == 1 else 9) if device else zone_list(data)
        if version == 1:
            raw = pack("HHIIBB9H", mode, 7, len(data), 1_000_000_000, 8, links, *listed)
        else:
            raw = pack("HHHHIIII10I", mode, links, 7, 8, len(data), 1, 1_000_000_000, 2, *listed)
        at = 4 * block + (number - 1) * room
        out[at : at + room] = raw

    def listing(*entries: tuple[bytes, int]) -> bytes:
        return b"".join(pack(f"{'I' if version == 3 else 'H'}{name}s", number, text) for text, number in entries)

    inode(1, 0o040755, listing((b".", 1), (b"..", 1), (b"gone", 0), (b"sub", 2), (b"hello", 3), (b"a" * name, 4), (b"huge", 8)))
    inode(2, 0o040700, listing((b".", 2), (b"..", 1), (b"link", 5), (b"tty", 6), (b"empty", 7), (b"again", 3)))
    inode(3, 0o104640, b"hello world\n", links=2)
    inode(4, 0o100644, LONG)
    inode(5, 0o120777, b"../hello")
    inode(6, 0o020600, b"", device=0x0501)
    inode(7, 0o100600, b"")
    inode(8, 0o100600, HUGE)
    assert nxt <= zones
    if version == 3:
        head = pack("IHHHHHHIIHHHBB", inodes, 0, 1, 1, first, 0, 0, 0x7FFFFFFF, zones, 0x4D5A, 0, block, 0, 0)
    else:
        most = 0x10081C00 if version == 1 else 0x7FFFFFFF
        head = pack("6HIHHI", inodes, zones if version == 1 else 0, 1, 1, first, 0, most, MAGIC[version, name], 1, zones)
    out[1024 : 1024 + len(head)] = head
    return out


def seeds() -> list[bytes]:
    return [bytes(image()[: 90 * 1024]), bytes(image(">", 2, 30)), bytes(image("<", 3, 60))]


def listed(data: bytes | bytearray, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = MINIX.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


@pytest.mark.parametrize(
    ("order", "version", "name", "block"), [*((*one, 1024) for one in VARIANTS), ("<", 3, 60, 4096), (">", 3, 60, 4096)]
)
def test_every_variant_reads_back_as_written(order: str, version: int, name: int, block: int) -> None:
    data = image(order, version, name, block)
    container, entries = listed(b"front" + data + b"tail", 5)
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail["byte_order"] == ("little" if order == "<" else "big")
    long = "/" + "a" * name
    assert set(entries) == {"/sub", "/hello", long, "/huge", "/sub/link", "/sub/tty", "/sub/empty", "/sub/again"}
    hello = entries["/hello"]
    assert (hello.mode, hello.uid, hello.gid, hello.mtime) == (0o4640, 7, 8, 1_000_000_000)
    assert content(hello) == content(entries["/sub/again"]) == b"hello world\n"
    assert hello.offset is not None
    assert (b"front" + data)[hello.offset : hello.offset + 5] == b"hello"
    assert content(entries[long]) == LONG
    assert content(entries["/huge"]) == HUGE
    assert content(entries["/sub/empty"]) == b""
    assert (entries["/sub/link"].target, entries["/sub/tty"].device) == ("../hello", "c 5:1")


@pytest.mark.parametrize(
    ("options", "expected"), [(("-1", "-n", "14"), (1, 14)), (("-1",), (1, 30)), (("-2",), (2, 30)), (("-3",), (3, 60))]
)
def test_a_volume_of_mkfs_minix_opens(options: tuple[str, ...], expected: tuple[int, int], tmp_path: Path) -> None:
    tool = shutil.which("mkfs.minix", path=PATHS)
    if tool is None:
        pytest.skip("mkfs.minix is not installed")
    path = tmp_path / "image"
    path.write_bytes(bytes(512 << 10))
    subprocess.run([tool, *options, str(path)], check=True, capture_output=True)
    from fwcheck.extraction.identify import signatures

    data = path.read_bytes()
    assert any(each.name == "minix" for _, _, each in signatures().at_start(data))
    container, entries = listed(data)
    assert (container.size, container.problems) == (len(data), [])
    assert (container.detail["version"], container.detail["name_length"]) == expected
    assert all(entry.kind is NodeKind.FILE for entry in entries.values())  # .badblocks, if anything


@pytest.mark.parametrize(("order", "version", "name"), VARIANTS)
def test_signatures_announce_every_variant(order: str, version: int, name: int) -> None:
    from fwcheck.extraction.identify import signatures

    hits, _ = signatures().everywhere(Memory(b"x" * 100 + image(order, version, name)))
    assert (100, "minix") in {(offset, each.name) for offset, _, each in hits}


def test_a_directory_that_contains_itself_ends() -> None:
    data = image()
    at = data.index(struct.pack("<H14s", 5, b"link"))
    data[at : at + 2] = struct.pack("<H", 1)
    container, entries = listed(data)
    assert "/sub/link" not in entries
    assert any("second name" in problem for problem in container.problems)


def test_truncated_and_impossible_volumes() -> None:
    data = image()
    container, entries = listed(data[: 40 * 1024])
    assert any("are there" in problem for problem in container.problems)
    assert content(entries["/hello"]) == b"hello world\n"
    with pytest.raises(Truncated):
        MINIX.open(Memory(data[:2048]), 0)
    for at, value in ((1024, b"\xff\xff"), (1028, b"\0"), (1034, b"\1"), (1040, b"\0")):
        broken = image()
        broken[at : at + len(value)] = value
        with pytest.raises(FormatError):
            MINIX.open(Memory(broken), 0)
