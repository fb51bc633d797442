"""Btrfs volumes: those of mkfs.btrfs, and a small one laid out here as the kernel's header says."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import subprocess
import zlib
from pathlib import Path

import lzallright
import pytest
import zstandard

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.btrfs import FORMATS
from fwcheck.extraction.source import Mapped, Memory
from fwcheck.model import NodeKind

(BTRFS,) = FORMATS
MKFS = shutil.which("mkfs.btrfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
UUID = bytes(range(16))
NODE = 4096
LOGICAL = 1 << 20  # addresses begin here, and lie 65,536 + 4,096 into the image
BASE = 65536 + 4096
SIZE = 160 << 10
TEXT = b"".join(b"line %d of a text\n" % n for n in range(900))
SMALL = b"small " * 300
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)


def crc32c(data: bytes) -> bytes:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return struct.pack("<I", value ^ 0xFFFFFFFF)


def inode(mode: int, size: int, links: int = 1, device: int = 0) -> bytes:
    head = struct.pack("<QQQQQIIIIQQQ", 1, 1, size, size, 0, links, 7, 8, mode, device, 0, 0)
    return (head.ljust(112, b"\0") + bytes(24) + struct.pack("<QI", 1_600_000_000, 5)).ljust(160, b"\0")


def named(number: int, kind: int, name: bytes, value: bytes = b"", type_: int = 1) -> bytes:
    return struct.pack("<QBQQHHB", number, kind, 0, 1, len(value), len(name), type_) + name + value


def inline(data: bytes, compression: int = 0, unpacked: int | None = None) -> bytes:
    return struct.pack("<QQBBHB", 1, len(data) if unpacked is None else unpacked, compression, 0, 0, 0) + data


def regular(at: int, packed: int, skip: int, length: int, unpacked: int, compression: int = 0, type_: int = 1) -> bytes:
    return struct.pack("<QQBBHBQQQQ", 1, unpacked, compression, 0, 0, type_, at, packed, skip, length)


def lzo(data: bytes) -> bytes:
    out = b""
    for at in range(0, len(data), 4096):
        piece = bytes(lzallright.LZOCompressor().compress(data[at : at + 4096]))
        if 4096 - (4 + len(out)) % 4096 < 4:
            out += bytes(4096 - (4 + len(out)) % 4096)
        out += struct.pack("<I", len(piece)) + piece
    return struct.pack("<I", 4 + len(out)) + out


def volume(*, loop: bool = False, striped: bool = False) -> bytearray:  # noqa: PLR0915  # a list of what lies where
    """Nodes in the first pages behind the superblock, contents behind them."""
    out = bytearray(SIZE)
    nxt = 0

    def put(data: bytes) -> int:
        nonlocal nxt
        out[BASE + nxt : BASE + nxt + len(data)] = data
        first, nxt = LOGICAL + nxt, nxt + len(data) + -len(data) % 4096
        return first

    def node(owner: int, level: int, body: bytes, count: int) -> bytes:
        address = LOGICAL + nxt
        head = bytes(32) + UUID + struct.pack("<QQ", address, 1) + bytes(16) + struct.pack("<QQIB", 1, owner, count, level)
        assert len(head) + len(body) <= NODE
        whole = (head + body).ljust(NODE, b"\0")
        return crc32c(whole[32:]) + whole[4:]

    def leaf(owner: int, items: list[tuple[int, int, int, bytes]]) -> int:
        keys, datas, end = b"", b"", NODE - 101
        for number, kind, offset, data in sorted(items, key=lambda one: one[:3]):
            end -= len(data)
            keys += struct.pack("<QBQII", number, kind, offset, end, len(data))
            datas = data + datas
        room = NODE - 101 - len(keys) - len(datas)
        return put(node(owner, 0, keys + bytes(room) + datas, len(items)))

    chunk = struct.pack("<QQQQIIIHH", SIZE - BASE, 2, 65536, 0x8 if striped else 0x1, 4096, 4096, 4096, 1, 0)
    chunk += struct.pack("<QQ", 1, BASE) + UUID
    squeezed = {1: zlib.compress(TEXT), 2: lzo(TEXT), 3: zstandard.ZstdCompressor().compress(TEXT)}
    length = len(TEXT) + -len(TEXT) % 4096
    files = [
        (256, 1, 0, inode(0o040755, 0)), (257, 1, 0, inode(0o104755, 10, links=2)), (257, 108, 0, inline(b"#!/bin/sh\n")),
        (257, 24, 5, named(0, 0, b"security.capability", CAPABILITY, 8)), (258, 1, 0, inode(0o120777, 4)),
        (258, 108, 0, inline(b"file")), (259, 1, 0, inode(0o020600, 0, device=5 << 20 | 1)), (260, 1, 0, inode(0o040700, 0)),
        (265, 1, 0, inode(0o100600, 20000)),
    ]  # fmt: skip
    data = put(TEXT)
    files.append((265, 108, 4096, regular(data, length, 4096, 4096, length)))
    files.append((265, 108, 12288, regular(0, 0, 0, 4096, 4096)))
    files.append((265, 108, 16384, regular(data, length, 0, 4096, length, type_=2)))
    names = [(257, 1, b"file"), (258, 1, b"link"), (259, 1, b"tty"), (260, 1, b"dir"), (265, 1, b"sparse"), (300, 132, b"snap")]
    for kind, packed in squeezed.items():
        at = put(packed)
        files += [(260 + kind, 1, 0, inode(0o100644, len(TEXT)))]
        files += [(260 + kind, 108, 0, regular(at, len(packed) + -len(packed) % 4096, 0, length, length, kind))]
        names.append((260 + kind, 1, b"packed%d" % kind))
    files += [(266, 1, 0, inode(0o100600, len(SMALL))), (266, 108, 0, inline(zlib.compress(SMALL), 1, len(SMALL)))]
    names.append((266, 1, b"inline"))
    files += [(256, 96, n, named(number, kind, name)) for n, (number, kind, name) in enumerate(names, 2)]
    files.append((260, 96, 2, named(256 if loop else 257, 1, b"again in here")))
    snapshot = leaf(300, [(256, 1, 0, inode(0o040755, 0)), (256, 96, 2, named(257, 1, b"old")), (257, 1, 0, inode(0o100644, 3)),
                          (257, 108, 0, inline(b"old"))])  # fmt: skip
    files.sort(key=lambda one: one[:3])
    half = len(files) // 2
    lower = [(part[0][:3], leaf(5, part)) for part in (files[:half], files[half:])]
    inner = b"".join(struct.pack("<QBQQQ", *key, address, 1) for key, address in lower)
    top = put(node(5, 1, inner, 2))
    roots = [
        (number, 132, 0, bytes(176) + struct.pack("<Q", address) + bytes(255)) for number, address in ((5, top), (300, snapshot))
    ]
    root = leaf(1, roots)
    chunks = leaf(3, [(256, 228, LOGICAL, chunk)])
    assert BASE + nxt <= SIZE
    body = bytearray(4096)
    body[32:48] = UUID
    struct.pack_into("<QQ8sQQQQ", body, 48, 65536, 1, b"_BHRfS_M", 1, root, chunks, 0)
    struct.pack_into("<QQQQIIIII", body, 112, SIZE, SIZE, 6, 1, 4096, NODE, NODE, 4096, 17 + len(chunk))
    struct.pack_into("<QQ", body, 201, 1, SIZE)
    body[299:303] = b"TEST"
    system = struct.pack("<QBQ", 256, 228, LOGICAL) + chunk
    body[811 : 811 + len(system)] = system
    out[65536:69632] = crc32c(bytes(body[32:])) + body[4:]
    return out


def seeds() -> list[bytes]:
    return [bytes(volume())]


def listing(data: bytes | bytearray, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = BTRFS.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def test_files_read_back_as_written() -> None:
    data = volume()
    container, entries = listing(b"front" + data + b"tail", 5)
    assert (container.size, container.problems, container.detail["volume"]) == (SIZE, [], "TEST")
    assert "CRC32C right" in str(container.detail["integrity_detail"])
    assert {"/file", "/link", "/tty", "/dir", "/dir/again in here", "/sparse", "/snap", "/snap/old"} <= set(entries)
    file = entries["/file"]
    assert (file.mode, file.uid, file.gid, file.mtime) == (0o4755, 7, 8, 1_600_000_000)
    assert file.detail == {"security.capability": "cap_net_bind_service+ep", "inode": 257, "links": 2}
    assert content(file) == content(entries["/dir/again in here"]) == b"#!/bin/sh\n"
    assert file.offset is not None
    assert (b"front" + data)[file.offset : file.offset + 10] == b"#!/bin/sh\n"
    assert (entries["/link"].target, entries["/tty"].device) == ("file", "c 5:1")
    for kind in (1, 2, 3):
        assert content(entries[f"/packed{kind}"]) == TEXT
    assert content(entries["/sparse"]) == bytes(4096) + TEXT[4096:8192] + bytes(20000 - 8192)
    assert content(entries["/inline"]) == SMALL
    assert content(entries["/snap/old"]) == b"old"
    assert entries["/snap"].detail == {"subvolume": 300}


@pytest.mark.skipif(MKFS is None, reason="btrfs-progs is not installed")
@pytest.mark.parametrize("options", [(), ("-n", "4096"), ("--csum", "sha256"), ("--mixed",), ("--csum", "blake2")])
def test_a_volume_of_mkfs_btrfs_reads_back(options: tuple[str, ...], tmp_path: Path) -> None:
    tree, image, chance = tmp_path / "tree", tmp_path / "image", random.Random(3)
    (tree / "etc/deep/er").mkdir(parents=True)
    (tree / "etc/shadow").write_bytes(b"root::0:0\n")
    (tree / "etc/shadow").chmod(0o4640)
    (tree / "large").write_bytes(chance.randbytes(3_000_000))
    (tree / "empty").write_bytes(b"")
    (tree / "link").symlink_to("etc/shadow")
    (tree / "many").mkdir()
    for n in range(400):
        (tree / f"many/a file with a long name {n}").write_bytes(b"%d" % n * (n % 9))
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run([str(MKFS), "-q", "-L", "LAB", *options, "--rootdir", str(tree), str(image)], check=True, capture_output=True)
    container = BTRFS.open(Mapped.open(image), 0)
    entries = {entry.path: entry for entry in container.entries}
    assert (container.size, container.problems, container.detail["volume"]) == (128 << 20, [], "LAB")
    assert "right" in str(container.detail["integrity_detail"])
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    assert set(entries) == set(expected)
    for path, original in expected.items():
        entry, info = entries[path], original.lstat()
        assert (entry.mode, entry.mtime) == (stat.S_IMODE(info.st_mode), int(info.st_mtime)), path
        if original.is_symlink():
            assert entry.target == str(original.readlink())
        elif original.is_dir():
            assert entry.kind is NodeKind.DIRECTORY
        else:
            assert content(entry) == original.read_bytes(), path


def test_a_directory_that_contains_itself_ends() -> None:
    container, entries = listing(volume(loop=True))
    assert "/dir" in entries
    assert any("second name" in problem for problem in container.problems)


def test_what_lies_on_other_devices_is_told_and_stays_searchable() -> None:
    container, entries = listing(volume(striped=True))
    assert set(entries) == {"header", "content"}
    assert any("striped" in problem for problem in container.problems)
    assert container.size == SIZE


def test_damage_is_told() -> None:
    data = volume()
    data[65536 + 300] ^= 1
    assert "CRC32C wrong" in listing(data)[0].problems
    container, _ = listing(volume()[: 100 << 10])
    assert any("are there" in problem for problem in container.problems)
    for broken in (b"", bytes(70000), bytes(volume()[:66000])):
        with pytest.raises(FormatError):
            BTRFS.open(Memory(broken), 0)
