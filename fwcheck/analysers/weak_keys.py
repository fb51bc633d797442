"""Weak keys: too short, with a small exponent, made by a broken generator, with primes side by side or shared with another key.

It looks at private keys, at public keys in files of their own, and at certificates. What a key is used for stands in the findings
on keys and certificates; here it is only said that whoever has the public half can compute, or come near to, the private one.

Sources: NIST SP 800-131A rev. 2 and FIPS 186-5 (key sizes, the end of DSA), Nemec et al., "The Return of Coppersmith's Attack"
(2017; CVE-2017-15361), Lenstra et al., "Ron was wrong, Whit is right" (2012), Böck, "Fermat factorization in the wild" (2023;
CVE-2022-26320).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fwcheck.analysers._known import library_test_keys
from fwcheck.analysers._once import once
from fwcheck.analysers._places import EXAMPLE
from fwcheck.analysers._rsa import close_primes, of_broken_generator, sharing
from fwcheck.analysers.rule import rules_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Evidence, Finding, Location, Node, NodeKind, Severity

RULES = rules_of(__name__)
_WEAK = RULES["CRY-002"]
_BROKEN = RULES["CRY-003"]

_LEAST_BITS = {"RSA": 2048, "DSA": 2048, "EC": 224}
_HIGH_BITS = {"RSA": 1024, "DSA": 1024, "EC": 160}  # below: within reach of a few machines
_MOST = 2000  # keys of one image
_BUNDLE = 8  # certificates in one content from which on it is a bundle
_SHARED = 100  # moduli that are searched for common factors: a tenth of a second


class _Key(NamedTuple):
    algorithm: str
    bits: int
    modulus: int  # of RSA; else 0
    exponent: int
    node: Node
    offset: int
    words: str
    own: bool  # no certificate: one that stands in the image for the device or for who may change it
    mark: str  # names the key in a cause

    @property
    def shown(self) -> str:
        return f"{self.words}: {self.algorithm}, {self.bits} bits" + (f", exponent {self.exponent}" if self.modulus else "")


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of every analyser
    """Findings on weak keys."""
    return once(_findings(list(_keys(firmware))))


def _keys(firmware: Firmware) -> Iterator[_Key]:
    seen: set[bytes] = set()
    known = library_test_keys()
    for node, facts in firmware.contents():
        if not (facts.keys or facts.certificates) or node.kind is NodeKind.CONTAINER or len(seen) >= _MOST:
            continue
        if EXAMPLE.search(node.place):
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
                algorithm, bits, modulus, exponent = numbers
                mark = f"{modulus % (1 << 64):x}" if modulus else public[-8:].hex()
                yield _Key(algorithm, bits, modulus, exponent, node, offset, words, own and facts.kind != "elf", mark)


def _numbers(public: bytes) -> tuple[str, int, int, int] | None:
    """Algorithm, size, and of RSA modulus and exponent; None for keys that are weak in no way known here."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # only where an image holds keys
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        key = load_der_public_key(public)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return "RSA", numbers.n.bit_length(), numbers.n, numbers.e
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size, 0, 0
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.curve.key_size, 0, 0
    return None


def _findings(keys: list[_Key]) -> Iterator[Finding]:
    shared = sharing([key.modulus for key in keys if key.modulus][:_SHARED])
    first = {key.modulus: key for key in reversed(keys)}
    for key in keys:
        where = _evidence(key)
        other = first[shared[key.modulus]] if key.modulus in shared else None
        if reason := _broken(key, other):
            yield _BROKEN.finding(
                where,
                f"broken key: {key.mark}",
                title=f"A {key.words} {reason}"[:200],
                witnesses=(_evidence(other),) if other is not None else (),
            )
        elif key.own and (reason := _weakness(key)):
            yield _WEAK.finding(
                where,
                f"weak key: {key.mark}",
                title=f"A {key.words} is {reason}"[:200],
                severity=Severity.HIGH if key.bits < _HIGH_BITS[key.algorithm] or _trivial(key) else Severity.MEDIUM,
            )


def _evidence(key: _Key) -> Evidence:
    return Evidence(location=Location(chain=key.node.chain, path=key.node.path, offset=key.offset), text=key.shown)


def _trivial(key: _Key) -> bool:
    """Whether the exponent makes the key nothing at all."""
    return key.algorithm == "RSA" and key.exponent < 3


def _broken(key: _Key, other: _Key | None) -> str:
    """Why the private half can be computed; empty when no way is known here."""
    if key.algorithm != "RSA":
        return ""
    if other is not None:
        return "shares a prime with another key of the image"
    if of_broken_generator(key.modulus):
        return "comes of a broken generator (CVE-2017-15361)"
    if close_primes(key.modulus):
        return "has primes that lie side by side (as in CVE-2022-26320)"
    return ""


def _weakness(key: _Key) -> str:
    if key.bits < _LEAST_BITS[key.algorithm]:
        return f"{key.algorithm} of {key.bits} bits"
    if _trivial(key):
        return f"RSA with exponent {key.exponent}"
    return "DSA, which is no longer approved for new signatures" if key.algorithm == "DSA" else ""
