"""Master Boot Images: extent, CRC and signatures. The layouts are those of images that NXP's own tool (nxpimage) writes."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import struct
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.nxp_mbi import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

MBI = FORMATS[0]
CODE = random.Random(11).randbytes(3000)
ROOT, FURTHER = ec.derive_private_key(91, ec.SECP256R1()), ec.derive_private_key(92, ec.SECP384R1())


def crc32_mpeg2(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value


def application(length: int, flags: int, value: int, load: int = 0) -> bytes:
    vectors = [0x20008000, 0x141, 0x151, 0x153, 0x155, 0x157, 0x159, 0, length, flags, value, 0x15B, 0x15D, load, 0x15F, 0x161]
    return struct.pack("<16I", *vectors) + CODE


def crc_image(kind: int = 5) -> bytes:
    data = application(len(CODE) + 64, kind | 0x4000, 0)
    value = crc32_mpeg2(data[:0x28] + data[0x2C:])
    return data[:0x28] + struct.pack("<I", value) + data[0x2C:]


@cache
def certificate() -> tuple[rsa.RSAPrivateKey, bytes]:
    key, name = rsa.generate_private_key(65537, 2048), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    day = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 77, day, day.replace(year=2034)).sign(key, hashes.SHA256())
    return key, made.public_bytes(Encoding.DER)


def rsa_image(kind: int = 4, store: bool = False) -> bytes:
    """Kinds 1 and 3 hold an HMAC, and a key store where asked for, which are put in when all is signed."""
    key, der = certificate()
    der += bytes(-len(der) % 4)
    inserted = b"" if kind == 4 else b"H" * 32 + (b"K" * 1424 if store else b"")
    place = len(CODE) + 64
    table = struct.pack("<I", len(der)) + der
    block = b"cert" + struct.pack("<HH6I", 1, 0, 32, 0, 7, place, 1, len(table)) + table + bytes(128)
    length = place + len(block) + 256 + len(inserted)
    data = application(length, kind | (0x8000 if store else 0), place, 0x80000) + block
    data += key.sign(hashlib.sha256(data).digest(), padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
    return data[:64] + inserted + data[64:]


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers, size = key.public_key().public_numbers(), key.key_size // 8
    return numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")


def ec_image(further: bool = False, offset: bool = True, roots: int = 1) -> bytes:
    key = FURTHER if further else ROOT
    words = struct.pack("<3I", 108, 0, 2) if offset else struct.pack("<HHI", 0x4D43, 0, 2)
    inner = struct.pack("<I", (0 if further else 1 << 31) | roots << 4 | 1)
    inner += bytes(32 * roots if roots > 1 else 0) + point(ROOT)
    inner += words + point(FURTHER) + b"S" * 64 if further else b""
    block = b"chdr" + struct.pack("<HHI", 1, 2, 12 + len(inner)) + inner + b"imgm" + struct.pack("<4I", 0x10000, 3, 20, 0)
    place, size = len(CODE) + 64, key.key_size // 4
    data = application(place + len(block) + size, 0x50404, place) + block
    kind = hashes.SHA384() if further else hashes.SHA256()
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(kind)))
    return data + r.to_bytes(size // 2, "big") + s.to_bytes(size // 2, "big")


def seeds() -> list[bytes]:
    return [crc_image(), rsa_image(), rsa_image(1), rsa_image(3, store=True), ec_image(), ec_image(further=True, roots=4)]


def test_an_image_with_a_crc_is_as_long_as_it_says():
    data = crc_image(2)
    container = MBI.open(Memory(data + b"\xff" * 40), 0)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size) == (data, len(data))
    assert (container.detail["kind"], container.detail["trustzone"]) == ("CRC, loaded into RAM", "disabled")
    assert container.detail["integrity_detail"] == "CRC32 right"


def test_a_wrong_crc_is_no_such_image():
    data = bytearray(crc_image())
    data[500] ^= 1
    with pytest.raises(FormatError):
        MBI.open(Memory(data), 0)


@pytest.mark.parametrize(("kind", "store"), [(4, False), (1, False), (3, True)])
def test_an_rsa_signature_can_be_verified(kind, store):
    data = rsa_image(kind, store)
    container = MBI.open(Memory(data + b"\xff" * 40), 0)
    assert (container.size, container.problems, container.detail["build"]) == (len(data), [], 7)
    assert container.detail["integrity_detail"] == "RSA-2048 signature (not verified)"
    [block] = container.signatures
    public = x509.load_der_x509_certificate(block.carried).public_key()
    public.verify(block.signature, block.digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
    application_, certificates, signature = container.entries
    assert application_.role == ("encrypted" if kind == 3 else "file")
    assert (certificates.offset, signature.offset + signature.size) == (application_.size, len(data))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "ECDSA P-256 signature (valid for the key beside it)"),
        ({"roots": 3}, "ECDSA P-256 signature (valid for the key beside it)"),
        ({"further": True}, "ECDSA P-384 signature (valid for the key beside it)"),
        ({"further": True, "offset": False, "roots": 4}, "ECDSA P-384 signature (valid for the key beside it)"),
    ],
)
def test_an_ecdsa_signature_is_verified(arguments, words):
    data = ec_image(**arguments)
    container = MBI.open(Memory(data), 0)
    assert (container.size, container.problems, container.detail["integrity_detail"]) == (len(data), [], words)
    assert (container.detail["firmware_version"], container.detail["image_version"]) == (3, 5)
    hurt = bytearray(data)
    hurt[700] ^= 1
    assert MBI.open(Memory(hurt), 0).problems == ["signature: invalid for the key beside it"]


def test_a_cut_image_is_told():
    assert any("announced" in each for each in MBI.open(Memory(rsa_image()[:-30]), 0).problems)


def test_it_is_found_before_a_plain_vector_table():
    found = Explorer(Limits()).explore(Memory(crc_image()), ("image",), 0)
    assert [item.node.format for item in found.items if item.node.path == ""] == ["nxp-mbi"]


@pytest.mark.parametrize("kind", [0, 1, 3, 4, 6, 8])
def test_other_vector_tables_are_refused(kind):
    with pytest.raises(FormatError):
        MBI.open(Memory(application(3000, kind, 1000)), 0)
