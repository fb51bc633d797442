"""ipTIME: both headers, their checksums recomputed by another way."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.iptime import FORMATS
from fwcheck.extraction.source import Memory

ROUTER, NAS = FORMATS
IMAGE = bytes(range(256)) * 5 + b"end"


def crc(data: bytes) -> int:
    value = 0xFFFFFFFF
    for each in data:
        value ^= each
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value


def router(model: bytes = b"ax2004m", image: bytes = IMAGE) -> bytes:
    head = model.ljust(8, b"\0") + b"14_192\0\0" + bytes(32) + struct.pack("<I", len(image))
    gap = bytes(0x800 - 56) if model == b"a6004mx" else b""
    return head + struct.pack("<I", crc(head + bytes(4) + image)) + gap + image


def nas(model: bytes = b"nas1dual", image: bytes = IMAGE) -> bytes:
    total = sum(image)
    check = ((len(model) * 0x19283745 + (0xFFFFFFFF - total)) % 2**32) ^ total
    head = model.ljust(32, b"\0") + b"1.4.48".ljust(32, b"\0") + b"Thu Jan  1 00:00:00 2026\n".ljust(32, b"\0")
    head += struct.pack("<6I", len(image), check, 0x100000, 0x200000, 0x300000, check) + b"EFM_NAS_PKG".ljust(16, b"\0")
    return head.ljust(0x400, b"\0") + image


def seeds() -> list[bytes]:
    return [router(), router(b"a6004mx"), nas()]


@pytest.mark.parametrize(
    ("format", "data", "word"),
    [(ROUTER, router(), "CRC32"), (ROUTER, router(b"a6004mx"), "CRC32"), (NAS, nas(), "checksum")],
)
def test_the_image_comes_out_and_its_checksum_is_recomputed(format, data, word):
    container = format.open(Memory(b"??" + data + b"tail"), 2)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail["integrity_detail"] == f"{word} right"
    # many bytes: the NAS checksum does not see every change of one
    assert format.open(Memory(data[:-900] + bytes(900)), 0).problems == [f"wrong {word}"]
    assert format.open(Memory(data[:-1]), 0).problems == [f"{len(IMAGE)} bytes announced, {len(IMAGE) - 1} there"]


def test_what_the_headers_say_is_told():
    assert ROUTER.open(Memory(router()), 0).detail["version"] == "14_192"
    assert NAS.open(Memory(nas()), 0).detail["rootfs_flash_offset"] == "0x200000"


@pytest.mark.parametrize("format", FORMATS)
def test_other_bytes_are_refused_and_truncation_raises_nothing_else(format):
    with pytest.raises(FormatError):
        format.open(Memory(bytes(4096)), 0)
    for seed in seeds():
        for data in truncations(seed, 40):
            exercise(format, data)
