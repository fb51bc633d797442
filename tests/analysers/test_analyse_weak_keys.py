"""Weak keys: size, exponent, the broken generator, primes that are close or shared."""

from __future__ import annotations

import math

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.signing import P, Q
from support.trees import firmware_of

from fwcheck.analysers import weak_keys
from fwcheck.model import Device, Finding


def prime_above(number: int) -> int:
    number += 2
    while pow(2, number - 1, number) != 1 or pow(3, number - 1, number) != 1:
        number += 2
    return number


def pem(modulus: int, exponent: int = 65537) -> bytes:
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def found(*files: bytes) -> list[Finding]:
    tree: dict[str, bytes | str] = {f"/etc/keys/{number}.pub": content for number, content in enumerate(files)}
    return list(weak_keys.analyse(firmware_of(tree), Device()))


def test_a_sound_key_says_nothing() -> None:
    curve = ec.derive_private_key(5, ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert found(pem(P * Q), curve, b"no key") == []


@pytest.mark.parametrize(("bits", "severity"), [(1024, "medium"), (1023, "high")])
def test_a_short_key(bits: int, severity: str) -> None:
    modulus = (1 << bits - 1) | 1 << 300 | 0x10001
    (one,) = found(pem(modulus))
    assert (one.rule, one.verdict, one.severity.value) == ("CRY-002", "concern", severity)
    assert one.location.path == "/etc/keys/0.pub"


def test_two_keys_that_share_a_prime() -> None:
    other = prime_above(Q)
    keys = found(pem(P * Q), pem(P * other))
    assert [(each.rule, each.severity.value) for each in keys] == [("CRY-003", "critical")] * 2
    assert [each.location.path for each in keys[0].witnesses] == ["/etc/keys/1.pub"]
    assert found(pem(P * Q), pem(P * Q)) == []  # the same key twice


def test_numbers_that_share_small_factors_alone_share_no_prime() -> None:
    assert {each.rule for each in found(pem(P * Q), pem(3 * 5 * (1 << 2047) + 15), pem(15 * ((1 << 2046) + 7)))} <= {"CRY-002"}


def test_primes_side_by_side() -> None:
    (one,) = found(pem(P * prime_above(P)))
    assert (one.rule, "side by side" in one.title) == ("CRY-003", True)


@pytest.mark.parametrize("exponent", [3, 65537])
def test_common_exponents_are_no_weakness(exponent: int) -> None:
    assert found(pem(P * Q, exponent)) == []


def test_old_kinds_of_keys() -> None:
    numbers = dsa.DSAParameterNumbers(P * Q, (1 << 255) | 1, 5)
    old = dsa.DSAPublicNumbers(7, numbers).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    small = ec.derive_private_key(5, ec.SECP192R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = found(old, small)
    assert [(each.rule, each.severity.value) for each in keys] == [("CRY-002", "medium")] * 2
    assert "DSA" in keys[0].title
    assert "EC of 192 bits" in keys[1].title


def test_a_key_of_the_broken_generator() -> None:
    # As it makes primes: a power of 65537 modulo the product of many small primes, plus a multiple of that product.
    product = math.prod(each for each in range(3, 168) if all(each % small for small in range(2, each)))
    half = pow(65537, 1234, product) + product * ((1 << 1023) // product)
    other = pow(65537, 99, product) + product * ((1 << 1023) // product + 12)
    (one,) = found(pem(half * other | 1 if half * other % 2 else (half + product) * other))
    assert one.rule == "CRY-003"
    assert "CVE-2017-15361" in one.title


def test_examples_are_nobodys_key() -> None:
    tree: dict[str, bytes | str] = {"/usr/share/doc/dropbear/README": pem((1 << 1023) | 1 << 300 | 0x10001)}
    assert list(weak_keys.analyse(firmware_of(tree), Device())) == []


def test_constants_of_libraries_are_nobodys_key() -> None:
    assert found(b"\x7fELF" + bytes(60) + pem((1 << 1023) | 1 << 300 | 0x10001)) == []
