"""Encrypted D-Link images: told by default, decrypted with published keys where asked for."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dlink_encrypted import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

ENCRPTED, MH01, ALPHA = FORMATS
ASKED = Limits(published_keys=True)
PLAIN = b"UBI#\x01" + b"payload" * 301 + bytes(8)
INNER = b"MH01" + b"firmware" * 299 + bytes(4)
IV = bytes(range(16))


def cbc(plain: bytes, key: bytes, iv: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(plain + bytes(-len(plain) % 16))


def encrpted() -> bytes:
    packed = cbc(PLAIN, b"he9-4+M!)d6=m~we1,q2a3d1n&2*Z^%8", b"J%1iQl8$=lm-;8AE")
    return b"encrpted_img" + struct.pack(">I", len(packed)) + packed


def mh01(phrase: str = "6276ccf4c1d8d6f54b481095e78ff97f", footer: bytes = b"s" * 256) -> bytes:
    salt = b"saltsalt"
    packed = b"Salted__" + salt + cbc(INNER, hashlib.sha256(phrase.encode() + salt).digest()[:16], IV)
    text = IV.hex().encode() + b"\n"
    inner = b"MH01" + struct.pack("<III", len(text), len(packed), 0) + text + packed
    return b"MH01" + struct.pack("<III", len(inner), len(footer), 0) + inner + footer


def alpha() -> bytes:
    """An image of DIR-842: it begins with the bytes by which such images are known."""
    signature = b"wrgac65_dlink.2015_dir842"
    key, iv = (
        bytes(each ^ (at + 1) % 0xFC ^ signature[at % len(signature)] for at, each in enumerate(data))
        for data in (b"xQYoRZeD726UAbRb846kO7TeNw8eZa6u", b"zufEbNF3kUafxFiE")
    )
    meta = b"signature=" + signature + b"\0"
    meta += bytes(-len(meta) % 4)
    body = b"kernel" * 200
    inner = b"type=firmware\0\0\0"
    seal = struct.pack(">IHHI", 0x5EA3A417, 0, len(meta), 0) + meta
    entity = struct.pack(">IHHI", 0x5EA3A417, 0, len(inner), len(body)) + hashlib.md5(body).digest() + inner + body
    return cbc(seal + entity, key, iv)


def seeds() -> list[bytes]:
    return [encrpted(), mh01(), alpha()]


def content(container) -> bytes:
    source = next(iter(container.entries)).open()
    return source.read(0, source.size)


@pytest.mark.parametrize(("format", "image"), [(ENCRPTED, encrpted()), (MH01, mh01()), (ALPHA, alpha())])
def test_images_are_told_to_be_encrypted(format, image):
    container = format.open(Memory(image), 0)
    assert next(iter(container.entries)).role == "encrypted"
    assert (container.size, container.problems) == (len(image), [])


def test_extents_are_exact_where_the_header_tells_them():
    for format, image in ((ENCRPTED, encrpted()), (MH01, mh01())):
        assert format.open(Memory(b"?" * 4 + image + b"tail"), 4).size == len(image)
    assert ALPHA.open(Memory(alpha() + b"tail"), 0).size == len(alpha())


def test_published_keys_give_the_plain_images():
    assert content(ENCRPTED.open(Memory(encrpted()), 0, ASKED)).startswith(PLAIN)
    container = MH01.open(Memory(mh01()), 0, ASKED)
    assert (content(container)[: len(INNER)], container.detail["model"]) == (INNER, "R18")
    assert content(ALPHA.open(Memory(alpha()), 0, ASKED)).startswith(b"\x5e\xa3\xa4\x17")


def test_an_unknown_passphrase_stays_encrypted_and_the_signature_is_told():
    container = MH01.open(Memory(mh01("unknown")), 0, ASKED)
    entries = {entry.path: entry for entry in container.entries}
    assert entries["payload"].role == "encrypted"
    assert entries["signature"].open().read(0, 256) == b"s" * 256
    assert container.detail["integrity"] == "signature"


def test_boards_without_a_known_key_are_named():
    image = bytes.fromhex("3de602633fc185e7d2bf64af29573abd") + bytes(range(200))
    container = ALPHA.open(Memory(image), 0, ASKED)
    (entry,) = container.entries
    assert (entry.role, container.detail["board"], container.size) == ("encrypted", "DIR-868L A", len(image))


@pytest.mark.parametrize("image", [b"encrpted_img\0\0\0\1", b"MH01" + bytes(80), bytes(64)])
def test_nonsense_is_refused(image):
    for format in FORMATS:
        with pytest.raises(FormatError):
            format.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((ENCRPTED, encrpted()), (MH01, mh01()), (ALPHA, alpha())):
        for data in truncations(image, 60):
            exercise(format, data)
