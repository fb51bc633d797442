"""Xiaomi HDR1 and HDR2: blobs by name, the CRC, the signature as it is told."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.xiaomi import FORMATS
from fwcheck.extraction.source import Memory

XIAOMI = FORMATS[0]
BLOBS = {"uboot.bin": b"U-Boot" * 100, "root.ubi": b"UBI#" + b"ubi" * 303}


def xiaomi(version: int = 1, signed: bool = True) -> bytes:
    table = 16 if version == 1 else 48
    at, offsets, body = table + 32, [], b""
    for name, data in BLOBS.items():
        offsets.append(at + len(body))
        body += struct.pack("<IIIHH32s", 0xBABE, 0x40000, len(data), 6, 0, name.encode()) + data + bytes(-len(data) % 4)
    signature = struct.pack("<I12x", 256 if signed else 0) + (random.Random(4).randbytes(256) if signed else bytes(256))
    middle = struct.pack("<HH", 0, 0x0D) if version == 1 else struct.pack("<I8s8s16x", 0, b"RA70", b"EU")
    rest = middle + struct.pack("<8I", *(offsets + [0] * 8)[:8]) + body + signature
    return b"HDR%d" % version + struct.pack("<II", at + len(body), zlib.crc32(rest) ^ 0xFFFFFFFF) + rest


def seeds() -> list[bytes]:
    return [xiaomi(), xiaomi(2), xiaomi(signed=False)]


@pytest.mark.parametrize(("version", "device"), [(1, "r3g"), (2, "RA70")])
def test_blobs_and_checksum_are_read(version, device):
    image = xiaomi(version)
    container = XIAOMI.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == BLOBS
    assert (container.size, container.problems, container.detail["device"]) == (len(image), [], device)
    assert (container.detail["integrity"], "CRC32 right" in container.detail["integrity_detail"]) == ("signature", True)


def test_zeros_are_no_signature_and_a_wrong_crc_is_told():
    image = bytearray(xiaomi(signed=False))
    assert XIAOMI.open(Memory(image), 0).detail["integrity"] == "checksum"
    image[100] ^= 1
    assert XIAOMI.open(Memory(image), 0).problems == ["wrong CRC32"]


def test_a_cut_image_is_told_and_nonsense_refused():
    assert XIAOMI.open(Memory(xiaomi()[:-600]), 0).problems
    with pytest.raises(FormatError):
        XIAOMI.open(Memory(b"HDR1" + bytes(200)), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(xiaomi(), 60):
        exercise(XIAOMI, data)
