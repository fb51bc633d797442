"""TI certificates: the image or its components behind them, their hashes, the signature, and the key that is none."""

from __future__ import annotations

import hashlib
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from support.hostile import exercise, truncations
from support.signed import SERIAL, certificate, der, integer, oid
from support.signing import key as rsa_key

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ti_x509 import FORMATS
from fwcheck.extraction.source import Memory

(TI,) = FORMATS
IMAGE = random.Random(8).randbytes(3000)
SECOND = random.Random(9).randbytes(700)


def sha512(data: bytes) -> tuple[bytes, bytes]:
    return oid("sha512"), der(4, hashlib.sha512(data).digest())


def system(image: bytes = IMAGE) -> dict[int, bytes]:
    return {3: der(0x30, integer(4)), 34: der(0x30, *sha512(image), integer(len(image)))}


def rom(image: bytes = IMAGE) -> dict[int, bytes]:
    boot = der(0x30, integer(1), integer(16), integer(0), der(4, b"\x41\xc0\0\0"), integer(len(image)))
    return {1: boot, 2: der(0x30, *sha512(image)), 3: der(0x30, integer(1)), 8: der(0x30, integer(0))}


def combined(*pieces: bytes) -> dict[int, bytes]:
    each = [
        der(0x30, integer(1 + at), integer(16), integer(0), der(4, b"\x70\0\0\0"), integer(len(data)), *sha512(data))
        for at, data in enumerate(pieces)
    ]
    return {9: der(0x30, integer(sum(map(len, pieces))), integer(len(pieces)), *each)}


def signed(extensions: dict[int, bytes], key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    plain = certificate(key)
    made = x509.CertificateBuilder(
        plain.issuer, plain.subject, key.public_key(), SERIAL, plain.not_valid_before_utc, plain.not_valid_after_utc
    )
    for number, value in extensions.items():
        kind = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.294.1.{number}"), value)
        made = made.add_extension(kind, critical=False)
    return made.sign(key, hashes.SHA512()).public_bytes(Encoding.DER)


def seeds() -> list[bytes]:
    key = rsa_key()
    return [signed(system(), key) + IMAGE, signed(rom(), key) + IMAGE, signed(combined(IMAGE, SECOND), key) + IMAGE + SECOND]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_certificate_and_image_are_read(number: int) -> None:
    data = seeds()[number]
    container = TI.open(Memory(data + b"behind"), 0)
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail["integrity"] == "signature"
    assert str(container.detail["integrity_detail"]).endswith("hash of the image right")
    first, second = container.entries
    assert (first.path, first.role) == ("certificate", "meta")
    assert second.open().read(0, 3000) == IMAGE
    (block,) = container.signatures
    assert (block.scheme, block.intact) == ("TI X.509", True)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_changed_image_is_told(number: int) -> None:
    data = bytearray(seeds()[number])
    data[data.index(IMAGE) + 9] ^= 1
    container = TI.open(Memory(data), 0)
    assert container.problems
    assert container.signatures[0].intact is False


def test_pieces_in_another_order_are_not_called_wrong() -> None:
    container = TI.open(Memory(signed(combined(IMAGE, SECOND), rsa_key()) + SECOND + IMAGE), 0)
    assert str(container.detail["integrity_detail"]).endswith("not checked")
    assert container.signatures[0].intact is None


def test_a_key_with_exponent_1_is_no_signature() -> None:
    numbers = rsa_key().public_key().public_numbers()
    raw = signed(system(), rsa_key())
    key, weak = (der(0x30, integer(numbers.n), integer(each)) for each in (65537, 1))
    shorter = len(key) - len(weak)
    assert shorter == 2
    # Keep all lengths: the two bytes go into the modulus as leading zeros of its own.
    padded = b"\x30" + key[1:4] + b"\x02" + bytes([weak[5]]) + (len(integer(numbers.n)) - 4 + 2).to_bytes(2, "big")
    padded += bytes(2) + integer(numbers.n)[4:] + integer(1)
    container = TI.open(Memory(raw.replace(key, padded) + IMAGE), 0)
    assert container.signatures == ()
    assert container.detail["integrity"] == "hash"
    assert "exponent 1" in str(container.detail["integrity_detail"])


def test_plain_certificates_are_refused() -> None:
    plain = certificate(rsa_key()).public_bytes(Encoding.DER)
    for data in (plain, plain + IMAGE, signed({}, rsa_key()) + IMAGE, signed(system(b""), rsa_key()) + IMAGE):
        with pytest.raises(FormatError):
            TI.open(Memory(data), 0)


def test_an_encrypted_image_is_told() -> None:
    container = TI.open(Memory(signed(system() | {4: der(0x30, der(4, bytes(16)))}, rsa_key()) + IMAGE), 0)
    assert [each.role for each in container.entries] == ["meta", "encrypted"]


def test_truncations_raise_nothing_else() -> None:
    for data in truncations(seeds()[0], 60):
        exercise(TI, data)
