"""Moxa firmware: the firmware section and the files of the web pages."""

from __future__ import annotations

import gzip
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.moxa_frm import FORMATS
from fwcheck.extraction.source import Memory

MOXA = FORMATS[0]
FIRMWARE = b"firmware" * 200
FILES = {"/index.htm": b"<html>" * 50, "/main.js": gzip.compress(b"var a;" * 90, mtime=0)}


def moxa(second: bool = False) -> bytes:
    table, body = b"", b""
    for path, data in FILES.items():
        table += struct.pack("<48s8sII", path.lstrip("/").encode(), b"", len(data), 0x100 + 64 * len(FILES) + len(body))
        body += data
    counts = (0, len(FILES)) if second else (len(FILES), 0)
    fields = (b"NPort 5110", b"", 1600000000, 0, 0, 0x100, len(table), 64, counts[0], len(body), 0, counts[1], len(table), 0)
    web = struct.pack("<32s4sIIIIIHHIHHII", *fields).ljust(0x100, b"\0") + table + body
    head = b"*FRM\0\0\0\1" + struct.pack("<IHH", 96 + len(FIRMWARE) + len(web), 96, 2)
    sections = struct.pack("<8I", 1, 96, len(FIRMWARE), 0, 2, 96 + len(FIRMWARE), len(web), 0)
    return head.ljust(64, b"\0") + sections + FIRMWARE + web


def seeds() -> list[bytes]:
    return [moxa(), moxa(second=True)]


@pytest.mark.parametrize("second", [False, True])
def test_firmware_and_files_are_given(second):
    image = moxa(second)
    container = MOXA.open(Memory(b"?" * 4 + image + b"tail"), 4)
    entries = {entry.path: entry for entry in container.entries}
    assert {path: entry.open().read(0, entry.size) for path, entry in entries.items()} == {"firmware": FIRMWARE} | FILES
    assert (entries["/main.js"].role, entries["/index.htm"].role) == ("part", "file")
    assert (container.size, container.problems) == (len(image), [])


def test_a_cut_image_is_told_and_nonsense_refused():
    container = MOXA.open(Memory(moxa()[:-60]), 0)
    assert "firmware" in [entry.path for entry in container.entries]
    assert container.problems
    with pytest.raises(FormatError):
        MOXA.open(Memory(b"*FRM\0\0\0\1" + struct.pack("<IHH", 90, 96, 2) + bytes(100)), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(moxa(), 60):
        exercise(MOXA, data)
