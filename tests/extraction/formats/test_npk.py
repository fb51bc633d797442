"""MikroTik NPK: parts, files out of the zlib part, name and version, signatures as they are told."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.npk import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

NPK = FORMATS[0]
SQUASHFS = b"hsqs" + bytes(500)
FILES = [(0o040755, "boot", b""), (0o100755, "boot/kernel", b"\x7fELF" + b"kernel" * 300), (0o120777, "etc/link", b"/bin/sh")]


def piece(kind: int, data: bytes) -> bytes:
    return struct.pack("<HI", kind, len(data)) + data


def files(entries=FILES) -> bytes:
    out = b""
    for mode, name, data in entries:
        out += struct.pack("<H6x5IH", mode, 1600000000, 1600000001, 0, 0, len(data), len(name)) + name.encode() + data
    return piece(4, zlib.compress(out))


def npk(*parts: bytes) -> bytes:
    name = b"routing".ljust(16, b"\0") + bytes([27, ord("f"), 48, 6]) + struct.pack("<III", 1600000000, 0, 0)
    body = piece(1, name) + piece(16, b"mipsbe") + piece(2, b"Dynamic routing") + b"".join(parts)
    return b"\x1e\xf1\xd0\xba" + struct.pack("<I", len(body)) + body


def seeds() -> list[bytes]:
    return [npk(files(), piece(22, bytes(20)), piece(21, SQUASHFS)), npk(files(), piece(9, b"s" * 68), piece(24, b"stable"))]


def test_parts_and_files_are_given():
    image = npk(files(), piece(22, bytes(20)), piece(21, SQUASHFS))
    container = NPK.open(Memory(b"?" * 4 + image + b"tail"), 4)
    entries = {entry.path: entry for entry in container.entries}
    kernel = entries["/boot/kernel"]
    assert (kernel.mode, kernel.mtime, kernel.open().read(0, kernel.size)) == (0o755, 1600000000, FILES[1][2])
    assert (entries["/boot"].kind, entries["/etc/link"].target) == (NodeKind.DIRECTORY, "/bin/sh")
    squashfs = next(entry for entry in entries.values() if entry.role == "part")
    assert squashfs.open().read(0, squashfs.size) == SQUASHFS
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["package"], container.detail["version"]) == ("routing", "6.48.27")
    assert (container.detail["architecture"], container.detail["integrity"]) == ("mipsbe", "none")


def test_a_signature_is_told():
    assert NPK.open(Memory(npk(files(), piece(9, b"s" * 68))), 0).detail["integrity"] == "signature"


def test_names_that_leave_the_root_are_kept_inside_and_told():
    container = NPK.open(Memory(npk(files([(0o100644, "../../etc/passwd", b"x")]))), 0)
    assert "/etc/passwd" in [entry.path for entry in container.entries]
    assert container.problems


def test_a_cut_package_and_unknown_parts_are_told():
    image = npk(files(), piece(21, SQUASHFS))
    assert NPK.open(Memory(image[:-100]), 0).problems
    assert NPK.open(Memory(npk(piece(900, b"x"))), 0).problems
    with pytest.raises(FormatError):
        NPK.open(Memory(b"\x1e\xf1\xd0\xba\x01\0\0\0" + bytes(10)), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(npk(files(), piece(21, SQUASHFS)), 60):
        exercise(NPK, data)
