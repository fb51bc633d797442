"""Broadcom image tag: stock and OpenWrt order of parts, and every CRC that is stored."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.bcm_imagetag import FORMATS
from fwcheck.extraction.source import Memory

TAG = FORMATS[0]
CFE, ROOTFS, KERNEL = b"\x10\0\2\x7b" * 500, b"hsqs" + b"rootfs" * 500, b"\x80\1\0\0" + b"kernel" * 300


def crc(data: bytes) -> int:
    return zlib.crc32(data) ^ 0xFFFFFFFF


def imagetag(order: str = "stock", cfe: bytes = b"", version: bytes = b"6") -> bytes:
    base = 0xBFC10100
    if order == "stock":
        image, kernel, length, body = base, base + len(ROOTFS), len(ROOTFS), ROOTFS + KERNEL
    else:
        image, kernel, length, body = base, base, len(KERNEL) + len(ROOTFS), KERNEL + ROOTFS
    body = cfe + body
    texts = (
        version, b"Broadcom Corporatio", b"ver. 2.0", b"6358", b"96358VW", b"1", str(len(body)).encode(),
        b"3217031168" if cfe else b"0", str(len(cfe)).encode(), str(image).encode(), str(length).encode(),
        str(kernel).encode(), str(len(KERNEL)).encode(), b"0", b"0",
    )  # fmt: skip
    tag = struct.pack("4s20s14s6s16s2s10s12s10s12s10s12s10s2s2s", *texts) + bytes(20) + b"build 1".ljust(30, b"\0") + b"5\0\0\0"
    tag += struct.pack(">I16x3I8x", crc(body[len(cfe) :]), crc(body), crc(ROOTFS), crc(KERNEL))
    return tag + struct.pack(">I16x", crc(tag)) + body


def seeds() -> list[bytes]:
    return [imagetag(), imagetag("openwrt"), imagetag(cfe=CFE, version=b"8")]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        (imagetag(), {"rootfs": ROOTFS, "kernel": KERNEL}),
        (imagetag("openwrt"), {"kernel": KERNEL, "rootfs": ROOTFS}),
        (imagetag(cfe=CFE), {"cfe": CFE, "rootfs": ROOTFS, "kernel": KERNEL}),
    ],
)
def test_parts_and_checksums_are_read(image, parts):
    container = TAG.open(Memory(b"?" * 3 + image + b"tail"), 3)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == parts
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["chip"], container.detail["board"]) == ("6358", "96358VW")
    assert container.detail["integrity_detail"].startswith("header CRC32 right, image CRC32 right")


def test_a_changed_byte_is_told_by_image_and_kernel():
    image = bytearray(imagetag())
    image[-1] ^= 1
    assert TAG.open(Memory(image), 0).problems == ["wrong image CRC32", "wrong kernel CRC32"]


def test_a_wrong_tag_is_refused_and_a_cut_image_told():
    image = bytearray(imagetag())
    container = TAG.open(Memory(image[:-300]), 0)
    assert (container.size, "image CRC32 cannot be checked" in container.detail["integrity_detail"]) == (len(image) - 300, True)
    image[45] ^= 1
    with pytest.raises(FormatError):
        TAG.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(imagetag(), 60):
        exercise(TAG, data)
