"""HiSilicon packages: images come out with their addresses; only a right CRC-16 makes a package."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.hisilicon_fwpkg import FORMATS
from fwcheck.extraction.source import Memory

FWPKG = FORMATS[0]
IMAGES = [(b"loaderboot_sign.bin", b"\x11" * 300, 0, 0), (b"application_sign.bin", b"\x22" * 900, 0x90115000, 1)]


def xmodem(data: bytes) -> int:
    """CRC-16, bit by bit: x^16 + x^12 + x^5 + 1, nothing inverted."""
    register = 0
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ (0x1021 if register & 0x8000 else 0)) & 0xFFFF
    return register


def package(long: bool = False) -> bytes:
    size = 12 + (260 + 284 * len(IMAGES) if long else 52 * len(IMAGES))
    table, body = (b"all in one".ljust(260, b"\0") if long else b""), b""
    for name, content, address, kind in IMAGES:
        fields = (size + len(body), len(content), address, 0x1000, kind)
        table += struct.pack("<260s6I", name, *fields, 0) if long else struct.pack("<32s5I", name, *fields)
        body += content + bytes(16)
    rest = struct.pack("<HI", len(IMAGES), size + len(body)) + table
    return struct.pack("<IH", 0xEFBEADD0 if long else 0xEFBEADDF, xmodem(rest)) + rest + body


def seeds() -> list[bytes]:
    return [package(), package(long=True)]


@pytest.mark.parametrize("long", [False, True])
def test_images_come_out(long):
    data = package(long)
    container = FWPKG.open(Memory(b"\xff" * 5 + data + b"\xff" * 5), 5)
    entries = list(container.entries)
    assert [entry.open().read(0, entry.size) for entry in entries] == [content for _, content, *_ in IMAGES]
    assert [entry.path for entry in entries] == ["loaderboot_sign.bin", "application_sign.bin"]
    assert entries[1].detail == {"flash_address": "0x90115000", "flash_size": 0x1000, "type": "flash"}
    assert (container.size, container.problems) == (len(data), [])


def test_a_cut_package_is_told_and_a_wrong_crc_is_refused():
    container = FWPKG.open(Memory(package()[:-200]), 0)
    assert container.problems
    data = bytearray(package())
    data[20] ^= 1
    with pytest.raises(FormatError):
        FWPKG.open(Memory(data), 0)
