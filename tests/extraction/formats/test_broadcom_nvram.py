"""Broadcom NVRAM: variables come out as text, the CRC-8 is checked."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.broadcom_nvram import FORMATS
from fwcheck.extraction.source import Memory

NVRAM = FORMATS[0]
VALUES = [b"boardtype=0x0472", b"lan_ipaddr=192.168.1.1", b"http_username=admin", b"http_passwd=admin", b"empty="]


def crc8(data: bytes) -> int:
    """Bit by bit, reflected polynomial 0xab, all ones at first."""
    value = 0xFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xAB if value & 1 else 0)
    return value


def nvram(order: str = "<", values: list[bytes] | None = None) -> bytes:
    body = b"\0".join(values or VALUES) + b"\0\0"
    body += bytes(-len(body) % 4)
    length = 20 + len(body)
    header = struct.pack("<4sIIII", b"FLSH", length, 0x01000100, 0, 0x20)
    word = 0x01000100 | crc8(header[9:] + body)
    return struct.pack(order + "4sIIII", b"FLSH" if order == "<" else b"HSLF", length, word, 0, 0x20) + body


def seeds() -> list[bytes]:
    return [nvram(), nvram(">")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_variables_are_lines_of_text(order):
    image = nvram(order)
    container = NVRAM.open(Memory(b"\xff" * 32 + image + b"\xff" * 64), 32)
    (entry,) = container.entries
    assert (entry.path, entry.role, container.size) == ("nvram", "file", len(image))
    assert entry.open().read(0, entry.size).splitlines() == VALUES
    assert (container.detail["variables"], container.detail["boardtype"]) == (5, "0x0472")
    assert (container.detail["integrity_detail"], container.problems) == ("CRC-8 right", [])


def test_a_wrong_crc_is_told():
    image = nvram().replace(b"admin", b"admim", 1)
    assert NVRAM.open(Memory(image), 0).problems == ["wrong CRC-8 of the variables"]


@pytest.mark.parametrize("image", [b"FLSH" + bytes(60), b"FLSH\x40\0\0\0" + b"text " * 30, nvram()[:19]])
def test_other_bytes_are_refused(image):
    with pytest.raises(FormatError):
        NVRAM.open(Memory(image), 0)
