"""HP BDL: packages and texts of printer firmware."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.hp_bdl import FORMATS
from fwcheck.extraction.source import Memory

BDL = FORMATS[0]
PACKAGES = [b"ipkg" + b"a" * 300, b"ipkg" + b"b" * 500]


def bdl() -> bytes:
    texts = (b"2403201_000394", b"HP", b"LaserJet", b"", b"3.9.1", b"394")
    size = struct.calcsize("<4sHHI4sI12s256s256s256s9s256s256s")
    head = struct.pack("<4sHHI4sI12s256s256s256s9s256s256s", b"ibdl", 1, 1, size, b"", len(PACKAGES), b"", *texts)
    at, table = size + 16 * len(PACKAGES), b""
    for each in PACKAGES:
        table += struct.pack("<QQ", at, len(each))
        at += len(each)
    return head + table + b"".join(PACKAGES)


def seeds() -> list[bytes]:
    return [bdl()]


def test_packages_and_texts_are_read():
    container = BDL.open(Memory(b"?" * 4 + bdl() + b"tail"), 4)
    assert [entry.open().read(0, entry.size) for entry in container.entries] == PACKAGES
    assert (container.size, container.problems, container.detail["device"]) == (len(bdl()), [], "LaserJet")
    assert container.detail["version"] == "3.9.1"


def test_a_cut_image_is_told_and_nonsense_refused():
    assert BDL.open(Memory(bdl()[:-100]), 0).problems
    with pytest.raises(FormatError):
        BDL.open(Memory(b"ibdl\1\0\1\0" + bytes(2000)), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(bdl(), 60):
        exercise(BDL, data)
