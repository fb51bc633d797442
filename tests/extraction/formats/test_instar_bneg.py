"""BNEG updates: both partitions come out whole."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.instar_bneg import FORMATS
from fwcheck.extraction.source import Memory

BNEG = FORMATS[0]


def update(first: bytes = b"kernel" * 99, second: bytes = b"-rom1fs-" * 40) -> bytes:
    return struct.pack("<4s4I", b"BNEG", 4, 3, len(first), len(second)) + first + second


def seeds() -> list[bytes]:
    return [update(), update(second=b"")]


def test_partitions_come_out():
    data = update()
    container = BNEG.open(Memory(b"\xff" * 9 + data + b"\xff" * 9), 9)
    assert [entry.open().read(0, entry.size) for entry in container.entries] == [b"kernel" * 99, b"-rom1fs-" * 40]
    assert (container.size, container.detail["version"], container.problems) == (len(data), "4.3", [])


def test_a_cut_update_is_told():
    container = BNEG.open(Memory(update()[:-100]), 0)
    assert container.problems
    assert [entry.size for entry in container.entries] == [594, 220]


def test_a_partition_that_is_not_there_is_refused():
    with pytest.raises(FormatError):
        BNEG.open(Memory(update()[:300]), 0)
