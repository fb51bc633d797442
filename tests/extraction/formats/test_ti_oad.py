"""TI OAD images: fields are read, the CRC recomputed, a signature segment told."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ti_oad import FORMATS
from fwcheck.extraction.source import Memory

OAD = FORMATS[0]
CODE = random.Random(9).randbytes(700)


def image(chip: bytes = b"CC26x2R1", signed: bool = False, crc: int | None = None, kind: int = 7) -> bytes:
    segments = b""
    if signed:
        fields = struct.pack("<BI8s", 1, 0, b"signer12") + random.Random(1).randbytes(64)
        segments = struct.pack("<BHBI", 3, 0xFFFE, 0xFF, 8 + len(fields)) + fields
    body = segments + struct.pack("<BHBI", 1, 0xFFFE, 0xFF, 8 + len(CODE)) + CODE
    size = 44 + len(body)
    rest = struct.pack(
        "<BBHBBBBIII4sIHH", 3, 1, 0xFFFB, 0xFF, 0xFF, kind, 0, 0xFFFFFFFF, size, 0xA0, b"\0\1\2\3", size - 1, 44, 0xFFFF
    )
    value = zlib.crc32(rest + body) if crc is None else crc
    return chip + struct.pack("<I", value) + rest + body


def seeds() -> list[bytes]:
    return [image(), image(b"cc13x2r1", signed=True), image(b"OAD IMG ", crc=0xFFFFFFFF)]


def test_fields_and_crc_are_read():
    data = image()
    container = OAD.open(Memory(b"abc" + data + b"\xff" * 30), 3)
    detail = container.detail
    assert (container.size, container.problems) == (len(data), [])
    assert (detail["chip"], detail["technologies"], detail["version"]) == ("CC26x2R1", "Zigbee", "00.01.02.03")
    assert (detail["integrity"], detail["integrity_detail"]) == ("checksum", "no signature, CRC32 right")


def test_a_signature_is_told():
    detail = OAD.open(Memory(image(signed=True)), 0).detail
    assert (detail["integrity"], detail["integrity_detail"]) == ("signature", "ECDSA P-256 signature (not verified), CRC32 right")


def test_a_changed_byte_is_told_and_an_unset_crc_is_no_error():
    data = bytearray(image())
    data[-1] ^= 1
    assert OAD.open(Memory(data), 0).problems == ["wrong CRC32"]
    assert OAD.open(Memory(image(crc=0xFFFFFFFF)), 0).problems == []


@pytest.mark.parametrize("data", [image()[:40], image(kind=99), image()[:28] + b"\xff" * 40])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        OAD.open(Memory(data), 0)
