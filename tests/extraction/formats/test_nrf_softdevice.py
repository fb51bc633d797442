"""SoftDevices: boot record, SoftDevice and application come apart where the information structure says."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.nrf_softdevice import FORMATS
from fwcheck.extraction.source import Memory

SOFTDEVICE = FORMATS[0]
NOISE = random.Random(3).randbytes(0x4000)


def table(base: int) -> bytes:
    default = base + 0x301
    words = [0x20001400, base + 0x201, default, default, 0, 0, 0, 0, 0, 0, 0, default, 0, 0, default, default]
    return struct.pack("<16I", *words)


def softdevice(size: int = 0x4000) -> bytes:
    out = bytearray(NOISE[:size])
    out[:64] = table(0x1000)
    out[0x2000:0x202C] = struct.pack("<B3xIIH2xII20s", 0x2C, 0x51B1E5DB, size + 0x1000, 0xCA, 140, 7002001, b"b" * 20)
    return bytes(out)


def seeds() -> list[bytes]:
    return [table(0).ljust(0x1000, b"\xff") + softdevice() + b"application", softdevice()]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_a_merged_image_comes_apart():
    record = table(0).ljust(0x1000, b"\xff")
    data = record + softdevice() + b"application"
    container = SOFTDEVICE.open(Memory(data), 0)
    assert contents(container) == {"boot record": record, "softdevice": softdevice(), "application": b"application"}
    assert (container.size, container.problems) == (len(data), [])
    assert (container.detail["softdevice"], container.detail["version"]) == ("S140", "7.2.1")
    assert (container.detail["firmware_id"], container.detail["application_address"]) == ("0x00ca", "0x5000")


def test_a_softdevice_alone_is_read():
    assert contents(SOFTDEVICE.open(Memory(softdevice()), 0)) == {"softdevice": softdevice()}


def test_a_cut_softdevice_is_told():
    container = SOFTDEVICE.open(Memory(softdevice()[:0x3000]), 0)
    assert container.problems == ["SoftDevice of 16384 bytes announced, 12288 there"]


@pytest.mark.parametrize(("at", "value"), [(0x2004, b"????"), (0x2008, bytes(4)), (0, bytes(4)), (0x2000, b"\x01")])
def test_other_bytes_are_refused(at, value):
    data = bytearray(softdevice())
    data[at : at + len(value)] = value
    with pytest.raises(FormatError):
        SOFTDEVICE.open(Memory(data), 0)
