"""D-Link SHRS: encrypted unless published keys are asked for; then the plain image and both of its digests are right."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.shrs import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

SHRS = FORMATS[0]
KEY = bytes.fromhex("c05fbf1936c99429ce2a0781f08d6ad8")
IV = bytes.fromhex("67c6697351ff4aec29cdbaabf2fbe346")
PLAIN = b"\x27\x05\x19\x56" + b"uimage" * 333
ASKED = Limits(published_keys=True)


def shrs(plain: bytes = PLAIN) -> bytes:
    encryptor = Cipher(algorithms.AES(KEY), modes.CBC(IV)).encryptor()
    packed = encryptor.update(plain + bytes(-len(plain) % 16))
    digests = b"".join(hashlib.sha512(each).digest() for each in (plain + KEY, plain, packed))
    signatures = random.Random(2).randbytes(1024)
    return struct.pack(">4sII", b"SHRS", len(plain), len(packed)) + IV + digests + bytes(512) + signatures + packed


def seeds() -> list[bytes]:
    return [shrs(), shrs(b"x" * 64)]


def test_the_image_is_told_to_be_encrypted():
    container = SHRS.open(Memory(b"??" + shrs() + b"tail"), 2)
    (entry,) = container.entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "AES-128-CBC, D-Link SHRS")
    assert entry.offset == 2 + 0x6DC
    assert (container.size, container.problems, container.detail["integrity"]) == (len(shrs()), [], "signature")
    assert "SHA-512 of the encrypted image right" in container.detail["integrity_detail"]


@pytest.mark.parametrize("plain", [PLAIN, b"y" * 160])
def test_with_the_published_key_the_plain_image_comes_out(plain):
    container = SHRS.open(Memory(shrs(plain)), 0, ASKED)
    (entry,) = container.entries
    content = entry.open()
    assert content.read(0, content.size) == plain
    assert entry.open().size == entry.size == len(plain)
    assert (entry.role, container.problems) == ("part", [])
    assert "SHA-512 of the plain image with the key right" in container.detail["integrity_detail"]


def test_a_changed_byte_breaks_every_digest():
    image = bytearray(shrs())
    image[-1] ^= 1
    assert SHRS.open(Memory(image), 0).problems == ["wrong SHA-512 of the encrypted image"]
    image = bytearray(shrs())
    image[0x1C] ^= 1
    assert SHRS.open(Memory(image), 0, ASKED).problems == ["wrong SHA-512 of the plain image with the key"]


def test_impossible_lengths_are_refused():
    with pytest.raises(FormatError):
        SHRS.open(Memory(b"SHRS" + struct.pack(">II", 100, 48) + shrs()[12:]), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(shrs(), 60):
        exercise(SHRS, data)
