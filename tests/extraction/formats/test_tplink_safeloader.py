"""TP-Link SafeLoader: the table leads to every partition, the salted MD5 is recomputed, a signature is told."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.tplink_safeloader import FORMATS
from fwcheck.extraction.source import Memory

SAFELOADER = FORMATS[0]
SALT = bytes.fromhex("7a2b15ed9b98596de504ab44ac2a9f4e")
KERNEL, ROOTFS = b"\x5d" + b"kernel" * 300, b"hsqs" + b"rootfs" * 400
SUPPORT = b"SupportList:\r\n{product_name:RE450,product_ver:3.0.0,special_id:00000000}\r\n{product_name:RE450}\r\n"


def meta(content: bytes) -> bytes:
    return struct.pack(">II", len(content), 0) + content + b"\0"


def safeloader(signed: bool = False) -> bytes:
    version = b"\xff\x01\x02\x03\x20\x19\x03\x07" + struct.pack(">I", 36588)
    table = b"\0\4\0\0partition fs-uboot base 0x00000 size 0x20000\n\0".ljust(0x800, b"\xff")
    parts = {
        "partition-table": table, "soft-version": meta(version), "support-list": meta(SUPPORT), "os-image": KERNEL,
        "file-system": ROOTFS,
    }  # fmt: skip
    base, lines = 0x800, b""
    for name, data in parts.items():
        lines += f"fwup-ptn {name} base 0x{base:05x} size 0x{len(data):05x}\t\r\n".encode()
        base += len(data)
    if signed:
        vendor = b"fw-type:Cloud\n".ljust(0x80, b"\0") + random.Random(5).randbytes(128)
    else:
        vendor = struct.pack(">I", 26) + b"RE450(TP-LINK|UN|...):3.0\n"
    body = vendor.ljust(0x1000, b"\xff") + lines.ljust(0x800, b"\0") + b"".join(parts.values())
    return struct.pack(">I", len(body) + 0x14) + hashlib.md5(SALT + body).digest() + body


def seeds() -> list[bytes]:
    return [safeloader(), safeloader(signed=True)]


def test_partitions_come_out_whole_and_the_md5_is_right():
    image = safeloader()
    container = SAFELOADER.open(Memory(b"?" * 9 + image + b"tail"), 9)
    contents = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert (contents["os-image"], contents["file-system"]) == (KERNEL, ROOTFS)
    assert list(contents) == ["partition-table", "soft-version", "support-list", "os-image", "file-system"]
    assert (container.size, container.problems, container.detail["integrity"]) == (len(image), [], "hash")
    assert container.detail["integrity_detail"] == "MD5 with a public salt right"
    assert container.detail["version"] == "1.2.3 build 20190307 rel 36588"
    assert (container.detail["devices"], container.detail["vendor"]) == (2, "RE450(TP-LINK|UN|...):3.0")


def test_a_signature_behind_the_vendor_text_is_told():
    container = SAFELOADER.open(Memory(safeloader(signed=True)), 0)
    assert (container.detail["integrity"], container.detail["vendor"]) == ("signature", "fw-type:Cloud")
    assert not container.problems


def test_a_changed_byte_and_a_cut_image_are_told():
    image = bytearray(safeloader())
    image[-1] ^= 1
    assert SAFELOADER.open(Memory(image), 0).problems == ["wrong MD5 with a public salt"]
    container = SAFELOADER.open(Memory(image[:-1000]), 0)
    assert container.size == len(image) - 1000
    assert any("file-system" in problem for problem in container.problems)


def test_the_second_line_of_a_table_is_no_header():
    image = safeloader()
    at = image.index(b"fwup-ptn soft-version")
    with pytest.raises(FormatError):
        SAFELOADER.open(Memory(image), at - 0x1014)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(safeloader(), 60):
        exercise(SAFELOADER, data)
