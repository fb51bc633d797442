"""Bouffalo boot headers: checksums are recomputed, and the image is where its hash says."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.bouffalo import FORMATS
from fwcheck.extraction.source import Memory

BOUFFALO = FORMATS[0]
CODE = random.Random(8).randbytes(3000)


def summed(magic: bytes, data: bytes) -> bytes:
    return magic + data + struct.pack("<I", zlib.crc32(data))


def header(flags: int = 0, start: int = 0x2000, hashed: bytes | None = None) -> bytes:
    out = b"BFNP" + struct.pack("<I", 1) + summed(b"FCFG", bytes(range(84))) + summed(b"PCFG", bytes(8))
    out += struct.pack("<IIII", flags, len(CODE), 0x21000000, start)
    out += (hashlib.sha256(CODE).digest() if hashed is None else hashed) + bytes(8)
    return out + struct.pack("<I", zlib.crc32(out))


def image(flags: int = 0, start: int = 0x2000, at: int = 0x1000, **fields) -> bytes:
    return header(flags, start, **fields).ljust(at, b"\xff") + CODE


def seeds() -> list[bytes]:
    large = b"BFNP" + struct.pack("<I", 1) + summed(b"FCFG", bytes(84)) + bytes(152)
    return [image(), image(0x5, at=0x2000), large + struct.pack("<I", zlib.crc32(large))]


def test_the_image_is_found_by_its_hash():
    data = image()
    container = BOUFFALO.open(Memory(b"ab" + data + b"\xff" * 99), 2)
    entries = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert entries == {"behind the header": b"\xff" * (0x1000 - 176), "image": CODE}
    assert (container.size, container.problems, container.detail["entry_point"]) == (len(data), [], "0x21000000")
    assert container.detail["integrity_detail"] == "no signature, CRC32 of the header right, sha256 of the image right"


def test_signature_and_encryption_are_told():
    container = BOUFFALO.open(Memory(image(0x5)), 0)
    assert (container.detail["integrity"], container.detail["encrypted"]) == ("signature", "AES-128")
    assert [entry.role for entry in container.entries] == ["part", "encrypted"]


def test_a_changed_image_is_told():
    container = BOUFFALO.open(Memory(image()[:-1] + b"?"), 0)
    assert (container.size, container.problems) == (176, ["wrong sha256 of the image"])


def test_an_ignored_hash_is_no_error():
    container = BOUFFALO.open(Memory(image(1 << 17)), 0)
    assert (container.problems, container.detail["integrity"]) == ([], "checksum")


def test_a_larger_header_is_its_own_extent():
    container = BOUFFALO.open(Memory(seeds()[2] + bytes(500)), 0)
    assert (container.size, container.detail["header_size"]) == (256, 256)


@pytest.mark.parametrize("data", [header()[:170], header()[:-1] + b"?", b"BFNP" + bytes(300)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        BOUFFALO.open(Memory(data), 0)
