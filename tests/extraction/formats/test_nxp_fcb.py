"""FlexSPI configuration blocks: what they say of the flash, and the image behind them."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.nxp_fcb import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

FCB = FORMATS[0]
CODE = random.Random(12).randbytes(2000)


def block(kind: int = 1, pads: int = 4) -> bytes:
    out = bytearray(512)
    out[:8] = b"FCFB\0\x04\x01V"
    out[0x44:0x47] = bytes([kind, pads, 6])
    struct.pack_into("<I", out, 0x50, 8 << 20)
    struct.pack_into("<II", out, 0x1C0, 256, 4096)
    return bytes(out)


def image() -> bytes:
    """A Master Boot Image with a CRC, computed bit by bit."""
    vectors = [0x20008000, 0x141, 0x151, 0x153, 0x155, 0x157, 0x159, 0, len(CODE) + 64, 5, 0, 0x15B, 0x15D, 0, 0x15F, 0x161]
    data, value = struct.pack("<16I", *vectors) + CODE, 0xFFFFFFFF
    for byte in data[:0x28] + data[0x2C:]:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return data[:0x28] + struct.pack("<I", value) + data[0x2C:]


def seeds() -> list[bytes]:
    return [block().ljust(0xC00, b"\xff") + image(), block(2, 1)]


def test_the_flash_is_described():
    container = FCB.open(Memory(b"\xff" * 1024 + block() + b"\xff" * 64), 1024)
    assert (container.size, container.problems) == (512, [])
    assert container.detail | {"version": "1.4.0", "device": "serial NOR", "pads": 4, "flash_size": 8 << 20} == container.detail
    assert (container.detail["page_size"], container.detail["sector_size"]) == (256, 4096)


@pytest.mark.parametrize(("at", "distance"), [(0x400, 0xC00), (0, 0x1000)])
def test_the_boot_image_behind_it_is_found(at, distance):
    flash = b"\xff" * at + block().ljust(distance, b"\xff") + image() + b"\xff" * 5000
    found = Explorer(Limits()).explore(Memory(flash), ("flash",), 0)
    formats = [item.node.format for item in found.items if item.node.path == ""]
    assert formats == ["nxp-fcb", "nxp-mbi"]
    assert FCB.open(Memory(flash), at).size == distance + len(image())


@pytest.mark.parametrize("data", [block(pads=3), block(kind=9), block()[:500], b"FCFB" + bytes(600)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        FCB.open(Memory(data), 0)
