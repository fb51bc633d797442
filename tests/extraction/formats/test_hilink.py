"""HiLink images: told by their constant bytes, decrypted only where published keys are asked for."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.hilink import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped, Memory

HILINK = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
ASKED = Limits(published_keys=True)


def uimage(size: int = 5003, name: bytes = b"HLK-RM04") -> bytes:
    data = (b"payload" * 200_000)[:size]
    rest = struct.pack(">5I4B32s", 0, len(data), 0x80000000, 0x80000000, zlib.crc32(data), 5, 5, 2, 3, name)
    return b"\x27\x05\x19\x56" + struct.pack(">I", zlib.crc32(b"\x27\x05\x19\x56" + bytes(4) + rest)) + rest + data


def hilink(plain: bytes) -> bytes:
    def encrypt(data: bytes) -> bytes:
        return Cipher(TripleDES(b"H@L9K*(3" * 3), modes.ECB()).encryptor().update(data)

    whole = len(plain) // 8 * 8
    once = encrypt(plain[:whole]) + plain[whole:]
    end = 3 + (len(once) - 3) // 8 * 8
    return once[:3] + encrypt(once[3:end]) + once[end:]


def seeds() -> list[bytes]:
    return [hilink(uimage()), hilink(uimage(name=b"Linux Kernel Image"))]


@pytest.mark.parametrize("size", [5000, 5001, 5002, 5003, 5007, (1 << 20) + 1000, (1 << 20) - 62, (1 << 20) - 63])
def test_with_the_published_key_the_uimage_comes_out(size):
    image = hilink(uimage(size))
    container = HILINK.open(Memory(image), 0, ASKED)
    (entry,) = container.entries
    content = entry.open()
    assert content.read(0, content.size) == uimage(size)
    assert (entry.role, container.size, container.problems) == ("part", len(image), [])


@pytest.mark.parametrize("name", [b"HLK-RM04", b"Linux Kernel Image"])
def test_without_it_the_image_is_told_to_be_encrypted(name):
    container = HILINK.open(Memory(hilink(uimage(name=name)) + b"tail"), 0)
    (entry,) = container.entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "DES-ECB twice, HiLink")
    assert container.detail["name"] == name.decode()


def test_other_bytes_are_refused():
    image = bytearray(hilink(uimage()))
    image[8] ^= 1
    with pytest.raises(FormatError):
        HILINK.open(Memory(image), 0)


@pytest.mark.corpus
def test_a_real_image_is_decrypted():
    path = CORPUS / "hlk-rm04-183-encrypted_HLK_RM04_v1.83.img"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = HILINK.open(Mapped.open(path), 0, ASKED)
    (entry,) = container.entries
    head = entry.open().read(0, 64)
    assert (container.size, container.detail["name"], head[:4]) == (path.stat().st_size, "HLK-RM02", b"\x27\x05\x19\x56")
    content = entry.open()
    assert zlib.crc32(content.read(64, content.size - 64)) == int.from_bytes(head[24:28], "big")


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(hilink(uimage()), 60):
        exercise(HILINK, data)
