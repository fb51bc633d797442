"""F2FS volumes: those of mkfs.f2fs and sload.f2fs, and a small one laid out here as the kernel's header says."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.f2fs import FORMATS
from fwcheck.extraction.source import Mapped, Memory
from fwcheck.model import NodeKind

(F2FS,) = FORMATS
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
UUID = bytes(range(16))
BLOCK = 4096
COUNT = 28
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0)


def sealed(data: bytes, at: int) -> bytes:
    value = zlib.crc32(data[:at], 0xF2F52010 ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def slots(entries: list[tuple[bytes, int]], count: int, begin: int) -> bytes:
    """Directory slots: a bitmap, entries from ``begin`` on, names behind them."""
    bitmap, table, names = bytearray(begin), bytearray(11 * count), bytearray(8 * count)
    at = 0
    for name, number in entries:
        table[11 * at : 11 * at + 11] = struct.pack("<IIHB", 0, number, len(name), 1)
        names[8 * at : 8 * at + len(name)] = name
        for slot in range(at, at + -(-len(name) // 8)):
            bitmap[slot // 8] |= 1 << slot % 8
        at += -(-len(name) // 8)
    return bytes(bitmap + table + names)


def inode(number: int, mode: int, size: int, words: bytes = b"", inline: int = 0, nids: tuple[int, ...] = (), tail: bytes = b"",
          advise: int = 0, links: int = 1) -> bytes:  # fmt: skip
    head = struct.pack("<HBBIIIQQQQQ", mode, advise, inline, 7, 8, links, size, 1, 1, 2, 1_600_000_000)
    body = words.ljust(923 * 4 - len(tail), b"\0") + tail
    whole = head.ljust(360, b"\0") + body + struct.pack("<5I", *(*nids, 0, 0, 0, 0, 0)[:5])
    return whole + struct.pack("<IIIQI", number, number, 0, 1, 0)


def volume(*, loop: bool = False) -> bytearray:
    """Blocks: 0 superblock, 1 to 3 checkpoint with its journal, 4 node table, nodes from 5 on, data from 16 on."""
    out = bytearray(COUNT * BLOCK)
    pieces = {16: b"A" * BLOCK, 17: b"B" * BLOCK, 18: b"end of the file", 19: b"far away"}
    room = 4 * (923 - 50 - 1)
    count = room * 8 // (19 * 8 + 1)
    inner = slots([(b"again", 4), (b"far", 9), (b"a name of several slots", 11), *([(b"up", 3)] if loop else [])], count,
                  room - 19 * count)  # fmt: skip
    root = [(b".", 3), (b"..", 3), (b"file", 4), (b"pieces", 5), (b"link", 6), (b"tty", 7), (b"sub", 8), (b"locked", 12)]
    pieces[20] = slots(root, 214, 30)
    attributes = struct.pack("<6I", 0xF2F52011, 1, 0, 0, 0, 0) + struct.pack("<BBH", 6, 10, 20) + b"capability" + CAPABILITY
    nodes = {
        3: inode(3, 0o040755, BLOCK, struct.pack("<I", 20)),
        4: inode(4, 0o104755, 10, bytes(4) + b"#!/bin/sh\n", 0x03, tail=attributes.ljust(200, b"\0"), links=2),
        5: inode(5, 0o100644, 4 * BLOCK + 15, struct.pack("<5I", 16, 17, 0, 0xFFFFFFFF, 18)),
        6: inode(6, 0o120777, 4, bytes(4) + b"file", 0x02),
        7: inode(7, 0o020600, 0, struct.pack("<I", 0x501)),
        8: inode(8, 0o040700, BLOCK, bytes(4) + inner, 0x04),
        9: inode(9, 0o100600, 924 * BLOCK + 8, nids=(10,)),
        10: struct.pack("<2I", 0, 19).ljust(4072, b"\0") + struct.pack("<IIIQI", 10, 9, 0, 1, 0),
        11: inode(11, 0o100600, 3, bytes(4) + b"abc", 0x02),
        12: inode(12, 0o100600, BLOCK, struct.pack("<I", 16), advise=0x04),
    }
    table = bytearray(BLOCK)
    journal = b""
    for place, (number, raw) in enumerate(nodes.items(), 5):
        pieces[place] = raw
        entry = struct.pack("<BII", 0, number, place)
        if number in (10, 11):
            journal += struct.pack("<I", number) + entry
        table[9 * number : 9 * number + 9] = entry if number not in (10, 11) else struct.pack("<BII", 0, number, 19)
    pieces[4] = bytes(table)
    flags = 0x1 | 0x4
    pack = struct.pack("<QQQ", 7, 0, 0).ljust(132, b"\0") + struct.pack("<III", flags, 3, 1)
    pack = sealed((pack.ljust(156, b"\0") + struct.pack("<III", 64, 64, 4092)).ljust(BLOCK, b"\0"), 4092)
    pieces |= {1: pack, 2: struct.pack("<H", len(journal) // 13) + journal, 3: pack}
    head = struct.pack("<IHHIIIIIIIQ", 0xF2F52010, 1, 15, 9, 3, 12, 9, 1, 1, 3068, COUNT)
    head = head.ljust(76, b"\0") + struct.pack("<6I", 1, 0, 4, 0, 0, 3)
    head = head.ljust(108, b"\0") + UUID + "TEST".encode("utf-16-le")
    out[1024:4096] = sealed(head.ljust(3072, b"\0"), 3068)
    for place, raw in pieces.items():
        out[place * BLOCK : place * BLOCK + len(raw)] = raw
    return out


def seeds() -> list[bytes]:
    return [bytes(volume())]


def listing(data: bytes | bytearray, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = F2FS.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def test_files_read_back_as_written() -> None:
    data = volume()
    container, entries = listing(b"front" + data + b"tail", 5)
    assert (container.size, container.problems, container.detail["volume"]) == (COUNT * BLOCK, [], "TEST")
    assert "CRC32 right" in str(container.detail["integrity_detail"])
    assert set(entries) == {
        "/file", "/pieces", "/link", "/tty", "/sub", "/locked", "/sub/again", "/sub/far", "/sub/a name of several slots",
    }  # fmt: skip
    file = entries["/file"]
    assert (file.mode, file.uid, file.gid, file.mtime) == (0o4755, 7, 8, 1_600_000_000)
    assert file.detail == {"security.capability": "cap_net_admin+ep", "inode": 4, "links": 2}
    assert content(file) == content(entries["/sub/again"]) == b"#!/bin/sh\n"
    assert content(entries["/pieces"]) == b"A" * BLOCK + b"B" * BLOCK + bytes(2 * BLOCK) + b"end of the file"
    assert content(entries["/sub/far"]) == bytes(924 * BLOCK) + b"far away"
    assert content(entries["/sub/a name of several slots"]) == b"abc"
    assert (entries["/link"].target, entries["/tty"].device) == ("file", "c 5:1")
    assert (entries["/locked"].role, entries["/locked"].detail) == ("encrypted", {"encryption": "fscrypt"})


@pytest.mark.parametrize("options", [(), ("-O", "extra_attr,inode_checksum,flexible_inline_xattr,inode_crtime")])
def test_a_volume_of_the_real_tools_reads_back(options: tuple[str, ...], tmp_path: Path) -> None:
    tools = [shutil.which(name, path=PATHS) for name in ("mkfs.f2fs", "sload.f2fs")]
    if not all(tools):
        pytest.skip("f2fs-tools is not installed")
    tree, image, chance = tmp_path / "tree", tmp_path / "image", random.Random(3)
    (tree / "etc/deep/er").mkdir(parents=True)
    (tree / "etc/shadow").write_bytes(b"root::0:0\n")
    (tree / "etc/shadow").chmod(0o640)
    # Beyond the addresses of the inode and of one node; sload.f2fs 1.15 overlooks the room for attributes in the newer form.
    (tree / "large").write_bytes(chance.randbytes(3_000_000 if options else 9_000_000))
    (tree / "empty").write_bytes(b"")
    (tree / "link").symlink_to("etc/shadow")
    (tree / "many").mkdir()
    for n in range(700):
        (tree / f"many/a file with a long name {n}").write_bytes(b"%d" % n * (n % 9))
    with image.open("wb") as file:
        file.truncate(96 << 20)
    subprocess.run([str(tools[0]), "-q", "-l", "LAB", *options, str(image)], check=True, capture_output=True)
    subprocess.run([str(tools[1]), "-f", str(tree), "-t", "/", "-P", str(image)], check=False, capture_output=True)
    container = F2FS.open(Mapped.open(image), 0)
    entries = {entry.path: entry for entry in container.entries}
    assert (container.size, container.problems, container.detail["volume"]) == (96 << 20, [], "LAB")
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    assert set(entries) == set(expected)
    for path, original in expected.items():
        entry, info = entries[path], original.lstat()
        assert entry.mode == stat.S_IMODE(info.st_mode), path
        if original.is_symlink():
            assert entry.target == str(original.readlink())
        elif original.is_dir():
            assert entry.kind is NodeKind.DIRECTORY
        else:
            assert content(entry) == original.read_bytes(), path


def test_a_directory_that_contains_itself_ends() -> None:
    container, entries = listing(volume(loop=True))
    assert "/sub/far" in entries
    assert any("second name" in problem for problem in container.problems)


def test_damage_is_told() -> None:
    data = volume()
    data[1024 + 125] ^= 1
    assert "CRC32 wrong" in listing(data)[0].problems
    data = volume()
    data[3 * BLOCK] ^= 1  # the end of the only checkpoint
    container, entries = listing(data)
    assert set(entries) == {"header", "content"}
    assert any("checkpoint" in problem for problem in container.problems)
    container, _ = listing(volume()[: 22 * BLOCK])
    assert any("are there" in problem for problem in container.problems)
    for broken in (b"", bytes(70000), bytes(volume()[:2000])):
        with pytest.raises(FormatError):
            F2FS.open(Memory(broken), 0)
