"""QNX: the tree comes out with its metadata, stored, zlib and LZO images alike."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.qnx_ifs import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

STARTUP, IFS = FORMATS
SHELL = b"#!/bin/sh\necho hello\n" * 20
LIBRARY = b"\x7fELF not really" * 60


def ifs(order: str = "<", files: tuple[tuple[str, bytes], ...] = (("proc/boot/sh", SHELL), ("lib/libc.so.3", LIBRARY))) -> bytes:
    """An image as mkifs lays it out: header, directory, files on 4-byte boundaries, the word that makes the sum zero."""

    def row(mode: int, body: bytes, inode: int) -> bytes:
        body += bytes(-(24 + len(body)) % 4)
        return struct.pack(order + "HHIIIII", 24 + len(body), 0, inode, mode, 5, 7, 1_500_000_000) + body

    mount = b"/\0\0\0"
    first = 88 + len(mount)
    header = 0
    for _ in range(2):  # the second time the place of the first file is known
        rows, at, blob = b"", header, b""
        rows += row(0o040755, b"proc\0", 1)
        for number, (name, data) in enumerate(files):
            rows += row(0o100755, struct.pack(order + "II", at + len(blob), len(data)) + name.encode() + b"\0", number + 2)
            blob += data + bytes(-len(data) % 4)
        rows += row(0o120777, struct.pack(order + "HH", 12, 3) + b"lib/libc.so\0so3\0", 60)
        rows += row(0o020600, struct.pack(order + "II", 1, 5 << 10 | 3) + b"dev/ser1\0", 61)
        rows += bytes(4)
        header = first + len(rows)
    size = header + len(blob) + 4
    head = struct.pack(order + "7sBIII4III40xI", b"imagefs", 1 if order == ">" else 0, size, header, first, 0, 0, 0, 0, 0, 0, 0)
    image = head + mount + rows + blob
    total = sum(each[0] for each in struct.iter_unpack(order + "I", image))
    return image + struct.pack(order + "I", -total & 0xFFFFFFFF)


def startup(image: bytes, packing: int = 0, order: str = "<") -> bytes:
    from lzallright import LZOCompressor

    stored = image
    if packing == 1:
        stored = zlib.compress(image)
    elif packing == 2:
        blocks = [bytes(LZOCompressor().compress(image[at : at + 4096])) for at in range(0, len(image), 4096)]
        stored = b"".join(struct.pack(">H", len(block)) + block for block in blocks) + bytes(2)
    size = 256 + 64
    flags = packing << 2 | (2 if order == ">" else 0)
    header = struct.pack(
        order + "IHBBHH10IH", 0x00FF7EEB, 1, flags, 0, 256, 40, 0, 0, 0, 0, 0, size, size + len(stored), 0, len(image), 0, 0
    )
    return header.ljust(256, b"\0") + b"\x0a\x0b\x0c\x0d" * 16 + stored


def seeds() -> list[bytes]:
    return [ifs(), ifs(">"), startup(ifs(), 2), startup(ifs(), 1, ">")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_tree_comes_out(order):
    image = ifs(order)
    container = IFS.open(Memory(b"\xff" * 12 + image + b"after"), 12)
    entries = {entry.path: entry for entry in container.entries}
    assert container.size == len(image)
    shell = entries["/proc/boot/sh"]
    assert shell.open().read(0, shell.size) == SHELL
    assert (shell.mode, shell.uid, shell.gid, shell.mtime) == (0o755, 7, 5, 1_500_000_000)
    assert entries["/proc"].kind is NodeKind.DIRECTORY
    assert (entries["/lib/libc.so"].kind, entries["/lib/libc.so"].target) == (NodeKind.SYMLINK, "so3")
    assert entries["/dev/ser1"].device == "c 5:3"
    assert (container.detail["integrity_detail"], container.problems) == ("sum of words right", [])


@pytest.mark.parametrize("packing", [0, 1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_startup_image_gives_its_file_system(packing, order):
    image = startup(ifs(order), packing, order)
    container = STARTUP.open(Memory(image + b"after"), 0)
    inner = {entry.path: entry for entry in container.entries}["image"].open()
    assert inner.read(0, inner.size) == ifs(order)
    assert container.size == len(image)
    found = Explorer(Limits()).explore(Memory(image), ("image",), 0)
    assert "/proc/boot/sh" in {item.node.path for item in found.items}


def test_a_wrong_sum_is_told():
    image = bytearray(ifs())
    image[image.index(b"echo")] ^= 1
    assert "wrong sum of words" in IFS.open(Memory(image), 0).problems


def test_names_and_places_that_lie():
    image = bytearray(ifs(files=(("../../etc/passwd", b"x" * 40),)))
    at = image.index(b"../../etc")
    container = IFS.open(Memory(image), 0)
    assert "/etc/passwd" in {entry.path for entry in container.entries}
    assert any("leaves the root" in problem for problem in container.problems)
    struct.pack_into("<I", image, at - 8, 1 << 30)
    container = IFS.open(Memory(image), 0)
    assert [entry.open for entry in container.entries if entry.path == "/etc/passwd"] == [None]


def test_other_bytes_are_refused():
    for format, image in (
        (IFS, b"imagefs\0" + bytes(200)),
        (STARTUP, b"\xeb\x7e\xff\0\1\0" + bytes(200)),
        (IFS, b"imagefs is a word"),
    ):
        with pytest.raises(FormatError):
            format.open(Memory(image), 0)
