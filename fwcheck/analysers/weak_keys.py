"""Weak RSA keys: too short, with a small exponent, made by a broken generator (ROCA), or sharing a prime with another key.

It looks at private keys, at public keys in files of their own, and at certificates. What a key is used for stands in the findings
on keys and certificates; here it is only said that whoever has the public half can compute, or come near to, the private one.

Sources: NIST SP 800-131A rev. 2 (key sizes), Nemec et al., "The Return of Coppersmith's Attack" (CCS 2017; CVE-2017-15361),
Lenstra et al., "Ron was wrong, Whit is right" (2012).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from fwcheck.analysers._known import library_test_keys
from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Finding, Location, Node, NodeKind, Severity

RULES = rules_of(__name__)
_WEAK = RULES["CRY-002"]
_BROKEN = RULES["CRY-003"]

# Moduli of the broken generator are powers of 65537 modulo each of these primes.
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_LEAST_BITS = 2048
_MOST = 2000  # keys of one image
_BUNDLE = 8  # certificates in one content from which on it is a bundle
_PAIRED = 100  # keys of which each is set against each


class _Key(NamedTuple):
    modulus: int
    exponent: int
    node: Node
    offset: int
    words: str
    own: bool  # no certificate: one that stands in the image for the device or for who may change it


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of every analyser
    """Findings on weak RSA keys."""
    return once(_findings(list(_keys(firmware))))


def _keys(firmware: Firmware) -> Iterator[_Key]:
    seen: set[bytes] = set()
    known = library_test_keys()
    for node, facts in firmware.contents():
        if node.kind is NodeKind.CONTAINER or len(seen) >= _MOST:
            continue
        keys = [key for key in facts.keys if not key.published and key.fingerprint not in known]
        held = [(key.public, key.offset, "private key" if key.private else "public key", True) for key in keys]
        if len(facts.certificates) <= _BUNDLE:  # a bundle of public authorities is looked at by everybody
            certificates = [each for each in facts.certificates if each.key_fingerprint not in known]
            held += [(each.public, each.offset, f"certificate of {each.subject[:80]}", False) for each in certificates]
        for public, offset, words, own in held:
            if not public or public in seen:
                continue
            seen.add(public)
            numbers = _numbers(public)
            if numbers is not None:
                yield _Key(*numbers, node, offset, words, own and facts.kind != "elf")


def _numbers(public: bytes) -> tuple[int, int] | None:
    """Modulus and exponent of an RSA key; None for other keys."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # only where an image holds keys
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        key = load_der_public_key(public)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, rsa.RSAPublicKey):
        return None
    numbers = key.public_numbers()
    return numbers.n, numbers.e


def _findings(keys: list[_Key]) -> Iterator[Finding]:
    shared = _shared([key.modulus for key in keys])
    for key, common in zip(keys, shared, strict=True):
        where = Evidence(
            location=Location(chain=key.node.chain, path=key.node.path, offset=key.offset),
            text=f"{key.words}: RSA, {key.modulus.bit_length()} bits, exponent {key.exponent}",
        )
        if common or _roca(key.modulus):
            reason = "shares a prime with another key of the image" if common else "comes of a broken generator (CVE-2017-15361)"
            yield _BROKEN.finding(where, f"broken key: {key.modulus % (1 << 64):x}", title=f"A {key.words} {reason}"[:200])
        elif key.own and (key.modulus.bit_length() < _LEAST_BITS or key.exponent < 3):
            reason = f"of {key.modulus.bit_length()} bits" if key.exponent >= 3 else f"with exponent {key.exponent}"
            yield _WEAK.finding(
                where,
                f"weak key: {key.modulus % (1 << 64):x}",
                title=f"A {key.words} is RSA {reason}"[:200],
                severity=Severity.HIGH if key.modulus.bit_length() < 1024 or key.exponent < 3 else Severity.MEDIUM,
            )


@cache
def _powers(prime: int) -> frozenset[int]:
    """The powers of 65537 modulo a prime."""
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime - 1))


def _roca(modulus: int) -> bool:
    return all(modulus % prime in _powers(prime) for prime in _ROCA_PRIMES)


def _shared(moduli: list[int]) -> list[bool]:
    """For each modulus whether it has a factor in common with another, different one; each pair costs some 50 microseconds."""
    found = [False] * len(moduli)
    for (one, first), (other, second) in itertools.combinations(list(enumerate(moduli))[:_PAIRED], 2):
        if 1 < math.gcd(first, second) < max(first, second):
            found[one] = found[other] = True
    return found
