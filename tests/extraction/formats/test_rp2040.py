"""RP2040 flash: only a boot stage with a right CRC makes one."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.rp2040 import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

RP2040 = FORMATS[0]


def stage() -> bytes:
    code = b"\x00\xb5\x32\x4b\x21\x20" + random.Random(6).randbytes(246)
    value = 0xFFFFFFFF
    for byte in code:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return code + struct.pack("<I", value)


def application() -> bytes:
    default = 0x10000201
    words = [0x20042000, 0x10000301, default, default, 0, 0, 0, 0, 0, 0, 0, default, 0, 0, default, default]
    return struct.pack("<16I", *words) + random.Random(7).randbytes(2000)


def seeds() -> list[bytes]:
    return [stage() + application()]


def test_boot_stage_and_application_come_apart():
    data = stage() + application()
    container = RP2040.open(Memory(data), 0)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == {
        "boot stage": stage(),
        "application": application(),
    }
    assert container.size == len(data)


def test_the_application_is_recognised_as_what_it_is():
    findings = Explorer(DEFAULT).explore(Memory(stage() + application()), ("flash",), 0)
    assert {item.node.format for item in findings.items} >= {"rp2040", "cortex-m"}


@pytest.mark.parametrize("at", [0, 100, 255])
def test_a_wrong_crc_is_refused(at):
    data = bytearray(stage() + application())
    data[at] ^= 1
    with pytest.raises(FormatError):
        RP2040.open(Memory(data), 0)
