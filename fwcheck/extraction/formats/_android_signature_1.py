"""The signature of Android's verified boot 1.0 behind a boot image.

A DER sequence: format version, X.509 certificate, algorithm, authenticated attributes (target partition, length of the image),
signature, made over the image and the attributes as they are encoded. The certificate that counts is on the device; here the
signature is verified with the one inside. Source: "Signature format" of Android's Verified Boot 1.0 documentation.
"""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.source import ByteSource

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm
    from cryptography.x509 import Certificate

_LIMIT = 1 << 16
_INTEGER, _OCTETS, _OID, _PRINTABLE, _SEQUENCE = 0x02, 0x04, 0x06, 0x13, 0x30
_ALGORITHMS = {
    bytes.fromhex("2a864886f70d010105"): "sha1",
    bytes.fromhex("2a864886f70d01010b"): "sha256",
    bytes.fromhex("2a864886f70d01010d"): "sha512",
}  # RSA, PKCS #1 1.5


class Signature1(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a signature; ``size`` is that of the whole sequence."""

    size: int
    target: str
    length: int
    certificate: bytes
    algorithm: str  # of the hash; empty: another one
    attributes: bytes
    signature: bytes


def _value(raw: bytes, at: int, tag: int) -> tuple[int, int]:
    """Begin and end of the content of the DER value at ``at``; raises FormatError for another tag, or a broken length."""
    if at + 2 > len(raw) or raw[at] != tag:
        raise FormatError("no such DER value")
    size, begin = raw[at + 1], at + 2
    if size >= 0x80:
        count = size & 0x7F
        size, begin = int.from_bytes(raw[begin : begin + count], "big"), begin + count
        if not 1 <= count <= 3:
            raise FormatError("a broken DER length")
    if begin + size > len(raw):
        raise FormatError("a DER value reaches beyond its end")
    return begin, begin + size


def signature_1(source: ByteSource, at: int) -> Signature1 | None:
    """The signature at ``at``; None when there is none."""
    if source.peek(at, 2) != b"\x30\x82":
        return None
    try:
        return _read(source.peek(at, _LIMIT))
    except FormatError:
        return None


def _read(raw: bytes) -> Signature1:
    begin, end = _value(raw, 0, _SEQUENCE)
    _, version = _value(raw, begin, _INTEGER)
    _, certificate = _value(raw, version, _SEQUENCE)
    inside, algorithm = _value(raw, certificate, _SEQUENCE)
    first, last = _value(raw, inside, _OID)
    inside, attributes = _value(raw, algorithm, _SEQUENCE)
    target_at, target = _value(raw, inside, _PRINTABLE)
    length_at, length = _value(raw, target, _INTEGER)
    signature_at, signature = _value(raw, attributes, _OCTETS)
    if signature > end:
        raise FormatError("a signature beyond its sequence")
    return Signature1(
        size=end, target=words(raw[target_at:target])[:64], length=int.from_bytes(raw[length_at:length], "big"),
        certificate=raw[version:certificate], algorithm=_ALGORITHMS.get(raw[first:last], ""),
        attributes=raw[algorithm:attributes], signature=raw[signature_at:signature],
    )  # fmt: skip


def signer(one: Signature1) -> dict[str, str | int]:
    """Who signed, as far as the certificate can be read."""
    certificate = _certificate(one)
    detail: dict[str, str | int] = {"signature_target": one.target} if one.target else {}
    detail["certificate"] = hashlib.sha256(one.certificate).hexdigest()
    if certificate is not None:
        try:
            text = certificate.subject.rfc4514_string()
        except ValueError:
            return detail
        detail["signer"] = "".join(char if char.isprintable() else "?" for char in text)[:200]
    return detail


def verified(source: ByteSource, offset: int, size: int, one: Signature1) -> bool | None:
    """Whether the image of ``size`` bytes at ``offset`` is what was signed; None where that cannot be told."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415  few images need it
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512  # noqa: PLC0415

    certificate = _certificate(one)
    if certificate is None or not one.algorithm:
        return None
    if one.length != size:
        return False
    state = hashlib.new(one.algorithm, usedforsecurity=False)
    for chunk in source.window(offset, size).chunks():
        state.update(chunk)
    state.update(one.attributes)
    kinds: dict[str, HashAlgorithm] = {"sha1": SHA1(), "sha256": SHA256(), "sha512": SHA512()}  # noqa: S303  # as it was signed
    try:
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            return None
        key.verify(one.signature, state.digest(), PKCS1v15(), Prehashed(kinds[one.algorithm]))
    except InvalidSignature:
        return False
    except (ValueError, UnsupportedAlgorithm):
        return None
    return True


def _certificate(one: Signature1) -> Certificate | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  few images need it
    from cryptography.x509 import InvalidVersion, load_der_x509_certificate  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library, about certificates that are not as they should be
            return load_der_x509_certificate(one.certificate)
    except (ValueError, TypeError, InvalidVersion, UnsupportedAlgorithm):
        return None
