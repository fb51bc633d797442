"""DfuSe: elements come out with their addresses, target by target, and the suffix is checked."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dfuse import FORMATS
from fwcheck.extraction.source import Memory

DFUSE = FORMATS[0]
TARGETS = [(0, b"Internal Flash", [(0x08000000, b"boot" * 30), (0x08010000, b"app" * 99)]), (1, b"", [(0x1FFFC000, b"opt")])]


def image(targets: list[tuple[int, bytes, list[tuple[int, bytes]]]] = TARGETS, ended: bool = True) -> bytes:
    body = b""
    for alternate, name, elements in targets:
        inner = b"".join(struct.pack("<II", address, len(data)) + data for address, data in elements)
        body += struct.pack("<6sBI255sII", b"Target", alternate, bool(name), name, len(inner), len(elements)) + inner
    out = struct.pack("<5sBIB", b"DfuSe", 1, len(body) + 11, len(targets)) + body
    if not ended:
        return out
    out += struct.pack("<4H3sB", 0xFFFF, 0xDF11, 0x0483, 0x011A, b"UFD", 16)
    return out + struct.pack("<I", zlib.crc32(out) ^ 0xFFFFFFFF)


def seeds() -> list[bytes]:
    return [image(), image(ended=False)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_elements_come_out_with_their_addresses():
    data = image()
    container = DFUSE.open(Memory(b"ab" + data), 2)
    assert contents(container) == {
        "target-0@0x08000000": b"boot" * 30,
        "target-0@0x08010000": b"app" * 99,
        "target-1@0x1fffc000": b"opt",
    }
    assert (container.size, container.problems, container.detail["target-0"]) == (len(data), [], "Internal Flash")
    assert (container.detail["vendor"], container.detail["integrity_detail"]) == ("0x0483", "CRC32 right")


def test_a_file_without_suffix_has_no_checksum():
    container = DFUSE.open(Memory(image(ended=False)), 0)
    assert (container.detail["integrity"], container.problems) == ("none", [])


def test_a_cut_element_is_told():
    container = DFUSE.open(Memory(image(TARGETS[:1], ended=False)[:-50]), 0)
    assert contents(container)["target-0@0x08010000"] == (b"app" * 99)[:-50]
    assert container.problems[0] == "element at 0x08010000: 297 bytes announced, 247 there"


def test_other_bytes_are_refused():
    with pytest.raises(FormatError):
        DFUSE.open(Memory(b"DfuSe\x01" + bytes(300)), 0)
