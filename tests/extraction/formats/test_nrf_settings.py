"""Nordic boot loader settings: only a right CRC makes a page, its banks are told."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.nrf_settings import FORMATS
from fwcheck.extraction.source import Memory

SETTINGS = FORMATS[0]


def page(version: int = 2) -> bytes:
    body = struct.pack("<13I", version, 17, 3, 0, 0, 98032, 0xCAFE, 1, 0, 0, 0, 0, 0x26000).ljust(0x58, b"\0")
    return (struct.pack("<I", zlib.crc32(body)) + body).ljust(4096, b"\xff")


def seeds() -> list[bytes]:
    return [page(), page(1)[:0x5C]]


def test_versions_and_banks_are_read():
    container = SETTINGS.open(Memory(page() + b"next page"), 0)
    detail = container.detail
    assert (container.size, detail["application_version"], detail["boot_loader_version"]) == (4096, 17, 3)
    assert (detail["bank_0"], detail["softdevice_size"]) == ("98032 bytes, CRC32 0x0000cafe, valid application", 0x26000)
    assert "bank_1" not in detail


@pytest.mark.parametrize("data", [page()[:0x5B], page()[:20] + b"\1" + page()[21:], bytes(4096), b"\xff" * 4096])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        SETTINGS.open(Memory(data), 0)
