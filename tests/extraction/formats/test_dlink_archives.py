"""D-Link archives: DEAFBEAD with packed files, FPKG and CPKG with all entries."""

from __future__ import annotations

import gzip
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dlink_archives import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

DEAFBEAD, FPKG = FORMATS
FILES = {"/web/index.htm": b"<html>" * 300, "/boot.bin": b"vxworks" * 100}
ENTRIES = [(0x100, b"firmware.img", b"image" * 100), (0x102, b"checksum", b"c" * 20), (0x103, b"signature", b"s" * 128)]


def deafbead(escape: bool = False) -> bytes:
    out = b"\xde\xaf\xbe\xad" + b"\x86" + struct.pack("<H", 3) + b"web"
    for path, data in FILES.items():
        name = (b"..\\" if escape else b"") + path.lstrip("/").replace("/", "\\").encode()
        packed = gzip.compress(data, mtime=0)
        out += b"\x87" + struct.pack("<H", len(name)) + name + struct.pack("<I", len(packed)) + packed
    return out


def fpkg(magic: bytes = b"FPKG", entries=ENTRIES) -> bytes:
    head = magic + b"\1\0\0\0"
    rest = struct.pack(">II", 1, 8) + b"DFL-260E" if magic == b"FPKG" else b""
    out = head + struct.pack(">I", 12 + len(rest)) + rest
    for kind, name, data in entries:
        out += struct.pack(">IHHI16s", 28, kind, 0, len(data), name) + data
    return out


def seeds() -> list[bytes]:
    return [deafbead(), fpkg(), fpkg(b"CPKG")]


def contents(container) -> dict[str, bytes]:
    return {entry.path: (got := entry.open()).read(0, got.size) for entry in container.entries if entry.open}


def test_files_and_directories_of_an_archive_are_given():
    container = DEAFBEAD.open(Memory(b"?" * 4 + deafbead() + b"tail"), 4)
    entries = list(container.entries)
    assert contents(container) == FILES
    assert (entries[0].path, entries[0].kind) == ("/web", NodeKind.DIRECTORY)
    assert [entry.size for entry in entries[1:]] == [len(data) for data in FILES.values()]
    assert (container.size, container.problems) == (len(deafbead()), [])


def test_names_that_leave_the_root_are_kept_inside_and_told():
    container = DEAFBEAD.open(Memory(deafbead(escape=True)), 0)
    assert contents(container) == FILES
    assert container.problems


@pytest.mark.parametrize("magic", [b"FPKG", b"CPKG"])
def test_entries_of_a_package_are_given(magic):
    image = fpkg(magic)
    container = FPKG.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container) == {name.decode(): data for _, name, data in ENTRIES}
    assert (container.size, container.problems, container.detail["integrity"]) == (len(image), [], "signature")
    assert container.detail["model"] == ("DFL-260E" if magic == b"FPKG" else "")


def test_cut_archives_are_told_and_empty_ones_refused():
    assert DEAFBEAD.open(Memory(deafbead()[:-10]), 0).problems
    assert FPKG.open(Memory(fpkg()[:-10]), 0).problems
    for format, image in ((DEAFBEAD, b"\xde\xaf\xbe\xad\x87\0\0"), (FPKG, fpkg(entries=[]))):
        with pytest.raises(FormatError):
            format.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((DEAFBEAD, deafbead()), (FPKG, fpkg())):
        for data in truncations(image, 60):
            exercise(format, data)
