"""Tuya KV storage: recognised by its first block; values come out under their names where published keys are asked for."""

from __future__ import annotations

import random
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.tuya_kv import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

KV = FORMATS[0]
ASKED = Limits(published_keys=True)
OWN = bytes(range(100, 116))
SHARED = b"qwertyuiopasdfgh"
VALUES = {
    "gw_bi": b'{"uuid":"u1","auz_key":"A1b2C3d4E5f6","ap_ssid":"SmartLife"}',
    "gw_wsm": b'{"ssid":"net","passwd":"correct-horse"}' * 5,
}


def locked(data: bytes, key: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)


def first(own: bytes = OWN) -> bytes:
    return locked((struct.pack("<II", 0x13579753, sum(own)) + own).ljust(4096, b"\xff"), SHARED)


def block(values: dict[str, bytes], number: int = 1, own: bytes = OWN, flaw: int = 0) -> bytes:
    """A data block: an index page and data pages for each value."""
    pages: list[bytes] = []
    marks = 0
    for name, value in values.items():
        data = [value[at : at + 128].ljust(128, b"\0") for at in range(0, len(value), 128)]
        page = len(pages) + 1
        marks |= 1 << page
        text = name.encode() + b"\0"
        head = struct.pack("<IIHBHIB", 0, len(value), number, page, 1, 7, len(text)) + text
        pages += [(head + struct.pack("<HBB", number, page + 1, page + len(data))).ljust(128, b"\0"), *data]
    pages += [b"\xff" * 128] * (31 - len(pages))
    body = (struct.pack("<HIB", number, 0, 4) + marks.to_bytes(4, "little")).ljust(120, b"\0") + b"".join(pages)
    plain = struct.pack("<II", 0x98761234, sum(body) + flaw & 0xFFFFFFFF) + body
    key = bytes(b"8710"[i & 3] + b"HHRRQbyemofrtytf"[i] + own[i] & 0xFF for i in range(16))
    return locked(plain, key)


def seeds() -> list[bytes]:
    return [first() + block(VALUES) + block({"b": b"3"}, number=2)]


def members(data: bytes, limits: Limits = ASKED) -> dict[str, bytes]:
    container = KV.open(Memory(data), 0, limits)
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries if entry.open is not None}


def test_values_come_out_by_name_where_published_keys_are_asked_for() -> None:
    data = first() + block(VALUES) + b"\xff" * 4096
    assert members(data) == {f"/{name}": value for name, value in VALUES.items()}
    container = KV.open(Memory(data), 0, ASKED)
    assert (container.size, container.problems, container.detail["values"]) == (8192, [], 2)


def test_without_being_asked_it_is_told_as_encrypted() -> None:
    container = KV.open(Memory(first() + block(VALUES)), 0)
    (entry,) = container.entries
    assert (entry.role, entry.size, container.size) == ("encrypted", 8192, 8192)
    assert "correct-horse" not in str(container)


def test_a_copy_of_a_block_and_a_wrong_sum() -> None:
    data = first() + block({"a": b"1" * 200}) + block({"a": b"2" * 200}) + block({"b": b"3"}, number=2, flaw=1)
    assert members(data) == {"/a": b"1" * 200, "/b": b"3"}
    assert KV.open(Memory(data), 0, ASKED).problems == ["wrong sum of a block of the Tuya storage"]


@pytest.mark.parametrize("data", [first()[:-1], first(bytes(16))[:16] + first()[16:], locked(b"\xff" * 4096, SHARED)])
def test_other_blocks_are_refused(data: bytes) -> None:
    with pytest.raises((FormatError, ExtractionError)):
        KV.open(Memory(data), 0)


def test_the_signature_stands_in_the_first_block() -> None:
    (signature,) = KV.signatures
    held = b"".join(bytes([int(each, 16)]) for each in signature.pattern.decode().split("\\x")[1:])
    assert first()[signature.offset :].startswith(held)


def test_mutations_raise_nothing_else() -> None:
    rng = random.Random(3)
    key = bytes(b"8710"[i & 3] + b"HHRRQbyemofrtytf"[i] + OWN[i] & 0xFF for i in range(16))
    plain = Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(block(VALUES))
    for _ in range(200):
        changed = bytearray(plain)
        for _ in range(rng.randrange(1, 12)):
            changed[rng.choice((rng.randrange(8, 32), rng.randrange(128, 200), rng.randrange(4096)))] = rng.randrange(256)
        for value in members(first() + locked(bytes(changed), key)).values():
            assert len(value) <= 64 << 10
