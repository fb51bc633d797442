"""SUOTA images: only a right CRC makes one, encryption is told."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dialog_suota import FORMATS
from fwcheck.extraction.source import Memory

SUOTA = FORMATS[0]
CODE = b"thermostat" * 70


def image(encrypted: int = 0, crc: int | None = None) -> bytes:
    crc = zlib.crc32(CODE) if crc is None else crc
    return struct.pack("<2sBBII16sIB31x", b"\x70\x50", 0xAA, 1, len(CODE), crc, b"v_6.0.14", 1600000000, encrypted) + CODE


def seeds() -> list[bytes]:
    return [image(), image(1)]


def test_header_and_image_are_read():
    data = image()
    container = SUOTA.open(Memory(b"x" + data + b"\xff" * 9), 1)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), entry.role, container.size) == (CODE, "part", len(data))
    assert (container.detail["version"], container.detail["integrity_detail"]) == ("v_6.0.14", "CRC32 right")


def test_encryption_is_told():
    [entry] = SUOTA.open(Memory(image(1)), 0).entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "AES-128-CBC, Dialog SUOTA")


@pytest.mark.parametrize("data", [image(crc=1), image()[:-1], image(3), image()[:63]])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        SUOTA.open(Memory(data), 0)
