"""Buffalo: product and version are read; the image is decrypted only where published keys are asked for."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.buffalo import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

BUFFALO = FORMATS[0]
IMAGE = b"\x27\x05\x19\x56" + b"image" * 300


def rc4(data: bytes, key: bytes) -> bytes:
    """As the vendor's code does it, byte by byte."""
    state, k = list(range(256)), 0
    for i in range(256):
        k = (k + key[i % len(key)] + state[i]) % 256
        state[i], state[k] = state[k], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def buffalo(magic: bytes = b"start", key: bytes = b"Buffalo") -> bytes:
    out, first = magic + b"\0" + b"O", ord("O")
    for text in (b"WZR-HP-G300NH\0", b"1.74\0"):
        packed = rc4(text, bytes([first]) + key)
        out += struct.pack(">I", len(packed)) + packed
        first = packed[0]
    return out + struct.pack(">I", len(IMAGE)) + rc4(IMAGE, bytes([first]) + key) + b"\1\2\3\4"


def seeds() -> list[bytes]:
    return [buffalo(), buffalo(b"asar1")]


@pytest.mark.parametrize("magic", [b"start", b"asar1"])
def test_product_and_version_are_read_and_the_image_is_told_to_be_encrypted(magic):
    image = buffalo(magic)
    container = BUFFALO.open(Memory(b"?" * 4 + image + b"tail"), 4)
    (entry,) = container.entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "RC4, Buffalo")
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["product"], container.detail["version"]) == ("WZR-HP-G300NH", "1.74")


def test_the_published_key_gives_the_image():
    (entry,) = BUFFALO.open(Memory(buffalo()), 0, Limits(published_keys=True)).entries
    content = entry.open()
    assert content.read(0, content.size) == IMAGE


def test_another_key_is_refused_and_a_cut_image_told():
    with pytest.raises(FormatError):
        BUFFALO.open(Memory(buffalo(key=b"Melco")), 0)
    assert len(BUFFALO.open(Memory(buffalo()[:-100]), 0).problems) == 1


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(buffalo(), 60):
        exercise(BUFFALO, data)
