"""UG files: header and firmware with their sums."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.tuya_ug import FORMATS
from fwcheck.extraction.source import Memory

UG = FORMATS[0]
FIRMWARE = bytes(range(256)) * 5


def ug(firmware: bytes = FIRMWARE, total: int | None = None) -> bytes:
    head = struct.pack(">I12sII", 0x55AA55AA, b"1.3.21", len(firmware), sum(firmware) if total is None else total)
    return head + struct.pack(">II", sum(head), 0xAA55AA55) + firmware


def seeds() -> list[bytes]:
    return [ug(), ug(b"x")]


def test_firmware_and_version_are_read():
    data = ug()
    container = UG.open(Memory(b"?" + data + b"behind"), 1)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size, container.problems) == (FIRMWARE, len(data), [])
    assert (container.detail["version"], container.detail["integrity_detail"]) == ("1.3.21", "sum of all bytes right")


def test_a_wrong_sum_and_a_cut_are_told():
    assert UG.open(Memory(ug(total=3)), 0).problems == ["wrong sum of all bytes"]
    assert UG.open(Memory(ug()[:-1]), 0).problems[0] == "1280 bytes announced, 1279 there"


@pytest.mark.parametrize("data", [ug()[:32], ug()[:31], ug().replace(b"1.3.21", b"1.3.22"), ug(b"")])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        UG.open(Memory(data), 0)
