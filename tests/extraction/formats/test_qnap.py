"""QNAP: the trailer says which bytes are encrypted, and they are told as such."""

from __future__ import annotations

import random
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.qnap import FORMATS
from fwcheck.extraction.source import Memory

QNAP = FORMATS[0]
BODY = random.Random(6).randbytes(3000)


def qnap(length: int = 1024) -> bytes:
    return BODY + struct.pack("<6sI16s16s16s16s", b"icpnas", length, b"QNAPNAS", b"4.3.6", b"20190416", b"0923")


def seeds() -> list[bytes]:
    return [qnap(), qnap(len(BODY))]


def test_the_encrypted_bytes_are_told():
    container = QNAP.open(Memory(qnap()), len(BODY))
    (entry,) = container.entries
    assert (entry.role, entry.offset, entry.size, entry.detail["encryption"]) == ("encrypted", 0, 1024, "PC1, QNAP")
    assert (container.size, container.before) == (74, len(BODY))
    assert (container.detail["device"], container.detail["version"]) == ("QNAPNAS", "4.3.6")


@pytest.mark.parametrize("length", [0, len(BODY) + 1])
def test_impossible_lengths_are_refused(length):
    with pytest.raises(FormatError):
        QNAP.open(Memory(qnap(length)), len(BODY))


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(qnap(), 60):
        exercise(QNAP, data, min(len(BODY), len(data)))
