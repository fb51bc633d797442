"""AHAB containers of i.MX8 and i.MX9, built as NXP's spsdk builds them (tried by hand): signed, changed, foreign."""

from __future__ import annotations

import hashlib
import random
import struct
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from support.signed import fingerprint, flipped, only, pem, report, rsa_of

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.formats.imx import FORMATS
from fwcheck.extraction.source import Memory

AHAB = next(each for each in FORMATS if each.name == "imx-ahab")
IMAGE = random.Random(8).randbytes(5000)
KEYS = [ec.derive_private_key(900 + number, ec.SECP384R1()) for number in range(4)]
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def record(key: Key) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        number = key.public_key().public_numbers()
        one, two, algorithm, hashed = number.n.to_bytes(256, "big"), number.e.to_bytes(4, "big"), 0x22, 0
    else:
        point = key.public_key().public_numbers()
        one, two, algorithm, hashed = point.x.to_bytes(48, "big"), point.y.to_bytes(48, "big"), 0x27, 1
    return struct.pack("<BHBBBBBHH", 0xE1, 12 + len(one) + len(two), algorithm, hashed, 2, 0, 0, len(one), len(two)) + one + two


def container(keys: list[Key], used: int = 1, signer: Key | None = None) -> bytes:
    table = b"".join(record(each) for each in keys)
    table = struct.pack("<BHB", 0xD7, 4 + len(table), 0x42) + table
    block, place = 0x90, 16 + len(table) + -len(table) % 8
    size = 256 if isinstance(keys[used], rsa.RSAPrivateKey) else 96
    image = struct.pack("<IIQQII", 0x2000, len(IMAGE), 0x1FFC0000, 0x1FFC0000, 0x113, 0)
    image += hashlib.sha384(IMAGE).digest().ljust(64, b"\0") + bytes(32)
    length = block + place + 8 + size
    head = struct.pack("<BHBIHBBHH", 0, length, 0x87, 0x2 | used << 4, 1, 1, 1, block, 0) + image
    head += struct.pack("<BHBHHHHI", 0, length - block, 0x90, 0, 16, place, 0, 0) + table + bytes(-len(table) % 8)
    key = signer or keys[used]
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(head, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    else:
        numbers = utils.decode_dss_signature(key.sign(head, ec.ECDSA(hashes.SHA384())))
        signature = b"".join(each.to_bytes(48, "big") for each in numbers)
    return (head + struct.pack("<BHBI", 0, 8 + size, 0xD8, 0) + signature).ljust(0x2000, b"\0") + IMAGE


@pytest.mark.parametrize("keys", [KEYS, [rsa_of(2048), rsa_of(2048)]])
def test_the_key_that_the_header_names_verifies_the_container(keys: list[Key], tmp_path: Path) -> None:
    raw = container(keys)
    found = only(report(raw, tmp_path))
    assert (found.state, found.scheme, found.key_from) == ("valid", "NXP AHAB", "carried with the signature")
    assert found.key == fingerprint(keys[1])
    assert only(report(raw, tmp_path, pem(keys[1]))).key_from.startswith("--update-key")
    assert only(report(raw, tmp_path, pem(ec.derive_private_key(3, ec.SECP384R1())))).state == "unverified"


@pytest.mark.parametrize(("at", "what"), [(0x2010, "image"), (8, "header"), (0x100, "key table"), (0x258 + 20, "signature")])
def test_a_changed_byte_is_told(at: int, what: str, tmp_path: Path) -> None:
    raw = container(KEYS)
    if what == "image":  # the only image would make it no container at all
        raw = raw[:0x30] + bytes([raw[0x30] ^ 1]) + raw[0x31:]
        with pytest.raises(ExtractionError):
            AHAB.open(Memory(raw), 0)
        return
    assert only(report(flipped(raw, at), tmp_path)).state == "invalid", what


def test_another_key_signed_it(tmp_path: Path) -> None:
    assert only(report(container(KEYS, signer=KEYS[2]), tmp_path)).state == "invalid"


def test_mutations_end_and_raise_nothing_else() -> None:
    seed, choose = container(KEYS), random.Random(5)
    begin = time.process_time()
    for _ in range(1500):
        raw = bytearray(seed)
        for _ in range(choose.randint(1, 4)):
            raw[choose.randrange(0x300)] = choose.randrange(256)
        try:
            AHAB.open(Memory(bytes(raw)), 0)
        except ExtractionError:
            continue
    assert time.process_time() - begin < 10
