"""Realtek images: header, content and the checksum that makes the sum of all words zero."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.realtek import FORMATS
from fwcheck.extraction.source import Memory

REALTEK = FORMATS[0]
KERNEL = b"\x40\x80\x60\x00" + b"kernel" * 300


def realtek(signature: bytes = b"cs6c", content: bytes = KERNEL, start: int = 0x80500000, burn: int = 0x30000) -> bytes:
    content += bytes(len(content) % 2)
    total = sum(struct.unpack(f">{len(content) // 2}H", content))
    return struct.pack(">4sIII", signature, start, burn, len(content) + 2) + content + struct.pack(">H", -total & 0xFFFF)


def seeds() -> list[bytes]:
    return [realtek(), realtek(b"r6cr", b"hsqs" + bytes(range(200)), 0x130000, 0x130000), realtek(b"boot", KERNEL, 0x80100000, 0)]


@pytest.mark.parametrize(("signature", "name"), [(b"cs6c", "kernel"), (b"r6cr", "rootfs"), (b"boot", "boot"), (b"w6cg", "web")])
def test_content_and_checksum_are_read(signature, name):
    image = realtek(signature)
    container = REALTEK.open(Memory(b"?" * 5 + image + realtek(b"r6cr")), 5)
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries} == {name: KERNEL}
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["load_address"], container.detail["flash_address"]) == ("0x80500000", "0x00030000")
    assert container.detail["integrity_detail"] == "16-bit checksum right"


def test_a_wrong_checksum_is_told_for_a_clear_signature_and_refused_for_a_word():
    image = bytearray(realtek())
    image[30] ^= 1
    container = REALTEK.open(Memory(image), 0)
    assert (container.problems, container.size) == (["wrong 16-bit checksum"], len(image))
    image[:4] = b"boot"
    with pytest.raises(FormatError):
        REALTEK.open(Memory(image), 0)


def test_a_cut_image_is_told():
    image = realtek()[:-200]
    container = REALTEK.open(Memory(image), 0)
    assert (container.size, len(container.problems)) == (len(image), 1)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(realtek(), 60):
        exercise(REALTEK, data)
