"""Amlogic blocks: BL2 with random bytes in front, images of a FIP, signed and encrypted ones."""

from __future__ import annotations

import hashlib
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.amlogic import FORMATS
from fwcheck.extraction.source import Memory

AMLOGIC = FORMATS[0]
CODE = b"\x1f\x20\x03\xd5" * 300


def block(kind: int = 0, signature: int = 32, key: bytes = b"") -> bytes:
    payload = 64 + signature + len(key)
    size, covered = payload + len(CODE), payload + len(CODE) - 96
    head = struct.pack("<4sIBBBBI", b"@AML", size, 64, 0, 1, 0, 0x42424200)
    head += struct.pack("<IIII", kind, 64, signature, 96)
    head += struct.pack("<IIII", 0, 64 + signature, len(key), covered)
    head += struct.pack("<IIII", 0, payload, len(CODE), 0)
    rest = bytes(signature - 32) + key + CODE
    return head + hashlib.sha256(head + rest).digest() + rest


BL2 = block(signature=512, key=b"k" * 3504)


def seeds() -> list[bytes]:
    return [block(), b"\x42" * 16 + BL2, block(kind=1, signature=512), block(kind=3, signature=512)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_the_payload_of_an_image_is_given_and_its_digest_recomputed():
    container = AMLOGIC.open(Memory(b"?" * 20 + block() + b"tail"), 20)
    assert contents(container) == {"payload": CODE}
    assert (container.size, container.before, container.problems) == (len(block()), 0, [])
    assert (container.detail["version"], container.detail["integrity_detail"]) == ("1.0", "SHA-256 right")


def test_random_bytes_in_front_of_a_bl2_belong_to_it():
    container = AMLOGIC.open(Memory(b"\x42" * 16 + BL2), 16)
    assert contents(container) == {"key": b"k" * 3504, "payload": CODE}
    assert (container.before, container.size) == (16, len(BL2))


@pytest.mark.parametrize(("kind", "role"), [(1, "part"), (3, "encrypted")])
def test_signed_and_encrypted_blocks_are_told(kind, role):
    container = AMLOGIC.open(Memory(block(kind=kind, signature=512)), 0)
    assert [entry.role for entry in container.entries] == [role]
    assert container.detail["integrity"] == "signature"
    assert "not verified" in str(container.detail["integrity_detail"])


@pytest.mark.parametrize("at", [12, -1])
def test_a_changed_header_or_payload_is_told(at):
    image = bytearray(block())
    image[at] ^= 1
    assert AMLOGIC.open(Memory(image), 0).problems == ["wrong SHA-256"]


@pytest.mark.parametrize("at", [8, 20, 44, 52, 56])
def test_ranges_outside_of_the_block_are_refused(at):
    image = bytearray(block())
    image[at + 1] = 0xFF
    if at == 8:
        image[8] = 32
    with pytest.raises(FormatError):
        AMLOGIC.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(BL2, 60):
        exercise(AMLOGIC, data)
