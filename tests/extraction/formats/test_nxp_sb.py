"""NXP secure binaries: headers are read, what is encrypted is told from where it begins."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.nxp_sb import FORMATS
from fwcheck.extraction.source import Memory

SB = FORMATS[0]


def sb2(minor: int = 1, blocks: int = 64) -> bytes:
    head = bytes(range(16)) + struct.pack(
        "<I4sBBHIIIIHHHH4sQ", 0, b"STMP", 2, minor, 8, blocks, 20, 0, 0xA0, 6, 8, 5, 1, b"sgtl", 10**6
    )
    return (head + bytes(32)).ljust(blocks * 16, b"\x5a")


def sb3(count: int = 3) -> bytes:
    head = struct.pack("<4sHHIIIQIIII16s", b"sbv3", 1, 3, 0, count, 292, 1700000000, 7, 400, 6, 0x60, b"lamp firmware")
    return head.ljust(400, b"\x11") + b"\x22" * (count * 292)


def seeds() -> list[bytes]:
    return [sb2(), sb2(0), sb3()]


def test_an_sb_2_file_is_told():
    data = sb2()
    container = SB.open(Memory(b"abcd" + data + b"behind"), 4)
    [entry] = container.entries
    assert (container.size, container.problems, entry.role) == (len(data), [], "encrypted")
    assert (entry.offset, entry.size, entry.detail["encryption"]) == (4 + 320, 1024 - 320, "AES-128-CTR, NXP SB 2")
    assert (container.detail["version"], container.detail["integrity"], container.detail["time"]) == (
        "2.1",
        "signature",
        946684801,
    )
    assert SB.open(Memory(sb2(0)), 0).detail["integrity"] == "hash"


def test_an_sb_3_file_is_told():
    data = sb3()
    container = SB.open(Memory(data + b"behind"), 0)
    [entry] = container.entries
    assert (container.size, entry.offset, entry.size) == (len(data), 400, 3 * 292)
    assert (container.detail["description"], container.detail["firmware_version"]) == ("lamp firmware", 7)


def test_a_cut_file_is_told():
    assert SB.open(Memory(sb2()[:900]), 0).problems == ["1024 bytes announced, 900 there"]


@pytest.mark.parametrize("data", [sb2()[:90], sb3()[:59], sb2(blocks=5), sb2().replace(b"sgtl", b"sgtm")])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        SB.open(Memory(data), 0)
