"""Huawei HWNP: items with their destinations, every CRC, and the signature item."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.hwnp import FORMATS
from fwcheck.extraction.source import Memory

HWNP = FORMATS[0]
ITEMS = [
    (b"file:/var/UpgradeCheck.xml", b"UPGRDCHECK", b"<upgradecheck/>" * 20),
    (b"flash:kernel", b"KERNEL", b"\x27\x05\x19\x56" + b"kernel" * 200),
    (b"flash:rootfs", b"ROOTFS", b"hsqs" + b"rootfs" * 200),
]
SIGNATURE = (b"file:/var/signinfo", b"SIGNINFO", b"s" * 300)


def hwnp(items=ITEMS, products: bytes = b"494|4B4|;COMMON|CMCC|".ljust(256, b"\0")) -> bytes:
    header = 36 + len(products) + 360 * len(items)
    table, body = b"", b""
    for number, (target, section, data) in enumerate(items):
        table += struct.pack(
            "<4I256s16s64sII", number, zlib.crc32(data), header + len(body), len(data), target, section, b"V1", 0, 0
        )
        body += data
    total = header + len(body)
    tail = struct.pack("<IHHII", len(items), 0, len(products), 360, 0) + products + table
    middle = struct.pack("<II", header, zlib.crc32(tail)) + tail
    return b"HWNP" + struct.pack(">I", total - 76) + struct.pack("<I", zlib.crc32(middle + body)) + middle + body


def seeds() -> list[bytes]:
    return [hwnp(), hwnp([*ITEMS, SIGNATURE])]


def test_items_and_checksums_are_read():
    container = HWNP.open(Memory(b"?" * 4 + hwnp() + b"tail"), 4)
    entries = list(container.entries)
    assert {entry.path: entry.open().read(0, entry.size) for entry in entries} == {
        "UpgradeCheck.xml": ITEMS[0][2], "kernel": ITEMS[1][2], "rootfs": ITEMS[2][2],
    }  # fmt: skip
    assert entries[0].detail["destination"] == "file:/var/UpgradeCheck.xml"
    assert (container.size, container.problems, container.detail["integrity"]) == (len(hwnp()), [], "checksum")
    assert container.detail["integrity_detail"] == "header CRC32 right, package CRC32 right"
    assert container.detail["products"] == "494|4B4|;COMMON|CMCC|"


def test_a_signature_item_is_told():
    assert HWNP.open(Memory(hwnp([*ITEMS, SIGNATURE])), 0).detail["integrity"] == "signature"


def test_a_changed_byte_is_told_by_package_and_item():
    image = bytearray(hwnp())
    image[-1] ^= 1
    container = HWNP.open(Memory(image), 0)
    assert len(list(container.entries)) == 3
    assert container.problems == ["wrong package CRC32", "rootfs: wrong CRC32"]


def test_a_cut_package_is_told_and_a_wrong_header_refused():
    container = HWNP.open(Memory(hwnp()[:-100]), 0)
    assert list(container.entries)[-1].size == len(ITEMS[2][2]) - 100
    image = bytearray(hwnp())
    image[20] = 200
    with pytest.raises(FormatError):
        HWNP.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(hwnp(), 60):
        exercise(HWNP, data)
