"""MCUboot: payload, version and TLVs are read, the hash is recomputed, only a signature TLV makes an image signed."""

from __future__ import annotations

import hashlib
import lzma
import random
import struct
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.mcuboot import FORMATS
from fwcheck.extraction.formats.mcuboot_trailer import FORMATS as TRAILERS
from fwcheck.extraction.source import Memory

MCUBOOT = FORMATS[0]
TRAILER = TRAILERS[0]
PAYLOAD = random.Random(1).randbytes(3001)


def image(
    tlvs: list[tuple[int, bytes]] = (),
    protected: list[tuple[int, bytes]] = (),
    flags: int = 0,
    header: int = 512,
    body: bytes = PAYLOAD,
    sign=lambda _: [],
) -> bytes:
    def area(magic: int, entries: list[tuple[int, bytes]]) -> bytes:
        packed = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in entries)
        return struct.pack("<HH", magic, len(packed) + 4) + packed

    inner = area(0x6908, protected) if protected else b""
    out = struct.pack("<IIHHIIBBHI", 0x96F3B83D, 0, header, len(inner), len(body), flags, 1, 2, 3, 4).ljust(header, b"\0")
    out += body + inner
    digest = hashlib.sha256(out).digest()
    return out + area(0x6907, [(0x10, digest), *tlvs, *sign(digest)])


def signers() -> dict[str, tuple[int, object]]:
    """For each kind of key: the TLV of its signature, and what makes the TLVs for a digest."""
    rsa_key = rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    p256, edwards = ec.derive_private_key(77, ec.SECP256R1()), ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    return {
        "RSA-2048 PSS": (rsa_key, 0x20, lambda digest: rsa_key.sign(digest, pss, utils.Prehashed(hashes.SHA256()))),
        "ECDSA P-256": (p256, 0x22, lambda digest: p256.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))) + b"\0\0"),
        "Ed25519": (edwards, 0x24, edwards.sign),
    }


def seeds() -> list[bytes]:
    packed = lzma.compress(PAYLOAD, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 131072}])
    sizes = [(0x70, struct.pack("<I", len(PAYLOAD)))]
    return [
        image([(0x01, bytes(32)), (0x22, b"\x30" * 70)], [(0x50, bytes(4)), (0x40, bytes(12))]),
        image([(0x31, bytes(24))], flags=4, header=32),
        image([], sizes, flags=0x400, header=32, body=b"\x0c\x5d" + packed),
    ]


def payload(container) -> bytes:
    (entry,) = container.entries
    return entry.open().read(0, entry.size)


def test_a_hash_alone_is_no_signature():
    data = image()
    container = MCUBOOT.open(Memory(b"\xff" * 32 + data + b"\xff" * 99), 32)
    assert (payload(container), container.size, container.problems) == (PAYLOAD, len(data), [])
    assert (container.detail["version"], container.detail["integrity"]) == ("1.2.3+4", "hash")
    assert container.detail["integrity_detail"] == "sha256 right, no signature"


def test_signature_key_hash_and_protected_values_are_told():
    data = image([(0x01, b"\x22" * 32), (0x22, b"\x30" * 70)], [(0x50, struct.pack("<I", 9))])
    detail = MCUBOOT.open(Memory(data), 0).detail
    assert (detail["integrity"], detail["key_hash"], detail["security_counter"]) == ("signature", "22" * 32, 9)
    assert detail["integrity_detail"] == "ECDSA P-256 signature (not verified), sha256 right"
    assert "development_key" not in detail


def test_a_published_development_key_is_recognised():
    known = bytes.fromhex("fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994")
    detail = MCUBOOT.open(Memory(image([(0x01, known), (0x20, bytes(range(256)))])), 0).detail
    assert "root-rsa-2048.pem" in detail["development_key"]


def test_a_changed_byte_breaks_the_hash_and_is_told():
    data = bytearray(image())
    data[700] ^= 1
    container = MCUBOOT.open(Memory(data), 0)
    assert container.problems == ["the sha256 in the TLV area does not match the image"]


def test_the_hash_of_an_encrypted_image_is_not_called_wrong():
    data = bytearray(image([(0x32, b"\x01" * 113)], flags=4))
    data[700] ^= 1
    container = MCUBOOT.open(Memory(data), 0)
    assert (container.problems, container.detail["encryption"]) == ([], "ECIES P-256")
    assert "cannot be checked" in container.detail["integrity_detail"]


def test_an_encrypted_payload_is_told_with_its_scheme():
    [entry] = MCUBOOT.open(Memory(image([(0x33, bytes(80))], flags=8)), 0).entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "AES-256-CTR, MCUboot (key: ECIES X25519)")


@pytest.mark.parametrize("kind", ["RSA-2048 PSS", "ECDSA P-256", "Ed25519"])
def test_a_signature_is_verified_with_the_public_key_in_the_image(kind):
    key, tlv, sign = signers()[kind]
    encoded = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    detail = MCUBOOT.open(Memory(image(sign=lambda digest: [(0x02, encoded), (tlv, sign(digest))])), 0).detail
    assert detail["integrity_detail"] == f"{kind} signature (valid for the key beside it), sha256 right"
    assert detail["key_hash"] == hashlib.sha256(encoded).hexdigest()
    container = MCUBOOT.open(Memory(image(sign=lambda digest: [(0x02, encoded), (tlv, sign(digest[::-1]))])), 0)
    assert container.problems == ["signature: invalid for the key beside it"]


def test_dependencies_and_ids_are_told():
    dependency = struct.pack("<B3xBBHI", 1, 2, 0, 5, 9)
    detail = MCUBOOT.open(Memory(image([], [(0x40, dependency), (0x74, b"\xaa" * 16), (0x60, b"\xa0")])), 0).detail
    assert (detail["dependencies"], detail["vendor_id"], detail["boot_record"]) == ("image 1 from 2.0.5+9", "aa" * 16, "a0")


@pytest.mark.parametrize("thumb", [False, True])
def test_a_compressed_payload_is_unpacked(thumb):
    plain = b"\x00\xf0\x00\xf8code" * 500
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 131072}]
    filters = [{"id": lzma.FILTER_ARMTHUMB}, *filters] if thumb else filters
    body = b"\x0c\x5d" + lzma.compress(plain, lzma.FORMAT_RAW, filters=filters)
    data = image([], [(0x70, struct.pack("<I", len(plain)))], flags=0xC00 if thumb else 0x400, body=body)
    [entry] = MCUBOOT.open(Memory(data), 0).entries
    assert (entry.open().read(0, entry.size), entry.size) == (plain, len(plain))


def test_broken_compressed_data_is_an_error_of_the_member():
    [entry] = MCUBOOT.open(Memory(image([], [(0x70, bytes(4))], flags=0x400, body=b"\x0c\x5d\x03" + PAYLOAD)), 0).entries
    with pytest.raises(FormatError):
        entry.open()


def test_a_cut_payload_is_told():
    container = MCUBOOT.open(Memory(image()[:2000]), 0)
    assert (container.size, container.detail["integrity"]) == (2000, "none")
    assert container.problems


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "sha256 right, no signature"),
        (["--key", "key.pem"], "ECDSA P-256 signature (not verified), sha256 right"),
        (
            ["--key", "key.pem", "--public-key-format", "full"],
            "ECDSA P-256 signature (valid for the key beside it), sha256 right",
        ),
        (["--pad", "--confirm"], "sha256 right, no signature"),
    ],
)
def test_images_of_imgtool_are_read(tmp_path, arguments, words):
    pytest.importorskip("imgtool", reason="imgtool is not installed")
    tool = [sys.executable, "-c", "from imgtool.main import imgtool; imgtool()"]
    (tmp_path / "app.bin").write_bytes(PAYLOAD)
    common = ["--header-size", "0x200", "--pad-header", "--align", "4", "--version", "1.2.3", "--slot-size", "0x10000"]
    subprocess.run([*tool, "keygen", "-k", "key.pem", "-t", "ecdsa-p256"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*tool, "sign", *common, *arguments, "app.bin", "out.bin"], cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "out.bin").read_bytes()
    container = MCUBOOT.open(Memory(data), 0)
    assert (payload(container), container.problems) == (PAYLOAD, [])
    if "--pad" in arguments:
        assert container.size < len(data)
        assert set(data[container.size : -32]) == {0xFF}  # the slot up to its trailer
    else:  # a random signature may end in 0xFF: only the file's end says where it ends
        assert container.size == len(data)
    assert container.detail["integrity_detail"] == words
    if "--confirm" in arguments:
        trailer = TRAILER.open(Memory(data), len(data) - 16)
        assert (trailer.size, trailer.before, trailer.detail["image_ok"]) == (16, 32, "set")


@pytest.mark.fuzz
def test_truncation_and_mutations_raise_nothing_else():
    randomness = random.Random(6)
    whole = image([(0x01, bytes(32)), (0x23, bytes(384))], [(0x50, bytes(4))])
    tail = len(whole) - 600
    for number in range(2000):
        data = bytearray(whole)
        for _ in range(randomness.randint(0, 5)):
            data[randomness.randrange(32) if number % 2 else tail + randomness.randrange(600)] = randomness.randrange(256)
        if number % 3 == 0:
            data = data[: randomness.randrange(len(data))]
        try:
            container = MCUBOOT.open(Memory(data), 0)
            assert container.size <= len(data)
            payload(container)
        except ExtractionError:
            continue
    with pytest.raises(FormatError):
        MCUBOOT.open(Memory(whole[:40]), 0)
