"""PFS: files come out whatever the length of the names, and names cannot climb."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.pfs import FORMATS
from fwcheck.extraction.source import Memory

PFS = FORMATS[0]
FILES = {"web\\index.html": b"<html>" * 30, "etc\\passwd": b"root::0:0::/:\n", "a": b"x"}


def pfs(files: dict[str, bytes], field: int = 28) -> bytes:
    nodes, data = b"", b""
    for number, (name, content) in enumerate(files.items()):
        nodes += name.encode().ljust(field, b"\0") + struct.pack("<III", number, len(data), len(content))
        data += content
    return b"PFS/0.9\0" + bytes(6) + struct.pack("<H", len(files)) + nodes + data


def seeds() -> list[bytes]:
    return [pfs(FILES), pfs(FILES, 16)]


@pytest.mark.parametrize("field", [16, 28, 40, 64])
def test_files_come_out(field):
    image = pfs(FILES, field)
    container = PFS.open(Memory(b"\0" * 8 + image + b"after"), 8)
    found = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert found == {"/" + name.replace("\\", "/"): data for name, data in FILES.items()}
    assert (container.size, container.problems, container.detail["name_field"]) == (len(image), [], field)


def test_names_cannot_climb_and_cuts_are_told():
    container = PFS.open(Memory(pfs({"..\\..\\x": b"1" * 50, "y": b"2" * 50})[:-20]), 0)
    assert [entry.path for entry in container.entries] == ["/x", "/y"]
    assert len(container.problems) == 2


@pytest.mark.parametrize("image", [pfs(FILES)[:40], b"PFS/0.9\0" + bytes(90), b"PFS/0.9\0" + bytes(6) + b"\2\0" + b"\xff" * 400])
def test_other_bytes_are_refused(image):
    with pytest.raises(FormatError):
        PFS.open(Memory(image), 0)
