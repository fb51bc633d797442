"""romfs images, laid out here as the kernel's documentation says (genromfs is used where it is installed)."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from support.hostile import exercise, mutations, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.romfs import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(ROMFS,) = FORMATS


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def sealed(head: bytearray, at: int) -> bytes:
    total = sum(struct.unpack(f">{len(head) // 4}I", head)) & 0xFFFFFFFF
    head[at : at + 4] = struct.pack(">I", -total & 0xFFFFFFFF)
    return bytes(head)


def file(at: int, name: bytes, kind: int, value: int = 0, data: bytes = b"", *, last: bool = False) -> bytes:
    """A header at ``at`` whose successor follows directly."""
    head = bytearray(struct.pack(">IIII", 0, value, len(data), 0) + padded(name + b"\0"))
    body = padded(data)
    struct.pack_into(">I", head, 0, (0 if last else at + len(head) + len(body)) | kind)
    return sealed(head, 12) + body


def image() -> bytes:
    volume = padded(b"rom\0")
    out = bytearray(16) + volume
    out += file(len(out), b".", 1, 32)
    out += file(len(out), b"..", 0, 32)
    out += file(len(out), b"hello", 2 | 8, data=b"#!/bin/sh\n")
    hello = len(out) - len(file(0, b"hello", 2, data=b"#!/bin/sh\n"))
    out += file(len(out), b"again", 0, hello)
    out += file(len(out), b"link", 3, data=b"hello")
    out += file(len(out), b"tty", 5, 5 << 16 | 1)
    out += file(len(out), b"mtd", 4, 31 << 16 | 2)
    out += file(len(out), b"dir", 1, len(out) + 32, last=True)
    out += file(len(out), b"inner", 2, data=b"x" * 40, last=True)
    used = len(out)
    out += bytes(-len(out) % 1024)
    out[:12] = b"-rom1fs-" + struct.pack(">I", used)
    out[:512] = sealed(out[:512], 12)
    return bytes(out)


def seeds() -> list[bytes]:
    return [image()]


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = ROMFS.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    return source.read(0, source.size)


def test_files_links_and_devices_are_read() -> None:
    container, entries = listing(b"x" * 7 + image(), 7)
    assert container.problems == []
    assert container.detail["label"] == "rom"
    assert set(entries) == {"/hello", "/again", "/link", "/tty", "/mtd", "/dir", "/dir/inner"}
    assert content(entries["/hello"]) == content(entries["/again"]) == b"#!/bin/sh\n"
    assert (entries["/hello"].mode, entries["/dir/inner"].mode) == (0o755, 0o644)
    assert (entries["/link"].kind, entries["/link"].target) == (NodeKind.SYMLINK, "hello")
    assert (entries["/tty"].device, entries["/mtd"].device) == ("c 5:1", "b 31:2")
    assert content(entries["/dir/inner"]) == b"x" * 40


def test_an_image_of_genromfs_reads_back(tmp_path: Path) -> None:
    tool = shutil.which("genromfs")
    if tool is None:
        pytest.skip("genromfs is not installed")
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/b/file").write_bytes(b"content")
    subprocess.run([tool, "-d", str(tmp_path / "tree"), "-f", str(tmp_path / "image")], check=True)
    _, entries = listing((tmp_path / "image").read_bytes())
    assert content(entries["/a/b/file"]) == b"content"


def test_a_chain_that_meets_itself_ends() -> None:
    data = bytearray(image())
    at = data.index(b"mtd\0") - 16
    struct.pack_into(">I", data, at, 32 | 4)
    data[12:16] = bytes(4)
    container, entries = listing(sealed(data[:512], 12) + bytes(data[512:]))
    assert "/mtd" in entries
    assert any("checksum" in problem for problem in container.problems)


@pytest.mark.parametrize("data", [b"", b"-rom1fs-", b"-rom1fs-" + b"\1" * 600])
def test_what_only_looks_like_romfs_is_rejected(data: bytes) -> None:
    with pytest.raises(FormatError):
        ROMFS.open(Memory(data), 0)


@pytest.mark.fuzz
def test_hostile_images_raise_format_errors_alone() -> None:
    data = image()
    for cut in truncations(data, 40):
        exercise(ROMFS, cut)
    for broken in mutations(data, 0.8):
        copy = bytearray(broken)
        copy[:8] = b"-rom1fs-"
        copy[12:16] = bytes(4)
        exercise(ROMFS, sealed(copy[:512], 12) + bytes(copy[512:]))
