"""Signatures of firmware formats, verified with a public key that stands in the image itself.

Whether the device trusts that key is not in the image (fuses, a hash in its boot loader): a valid signature tells that the
image is as its signer made it, an invalid one that it was changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

VALID: Final = "valid for the key beside it"
INVALID: Final = "invalid for the key beside it"
IMPOSSIBLE: Final = "impossible key"
_LARGEST_CURVE: Final = 640
UNCHECKED: Final = "not verified"
BAD: Final = frozenset({INVALID, IMPOSSIBLE})


def _checked(check: Callable[[], None]) -> str:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415  # heavy, and few images are signed

    try:
        check()
    except InvalidSignature:
        return INVALID
    except UnsupportedAlgorithm:
        return UNCHECKED
    except (ValueError, TypeError):
        return IMPOSSIBLE
    return VALID


def _hash(digest: bytes) -> HashAlgorithm | None:
    """The hash of the SHA-2 family whose digest is as long as this one."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    every: tuple[HashAlgorithm, ...] = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
    return next((each for each in every if each.digest_size == len(digest)), None)


def rsa_pss(modulus: int, exponent: int, signature: bytes, digest: bytes) -> str:
    """RSA-PSS with SHA-256 and a salt of its length; ``signature`` with its most significant byte first."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils  # noqa: PLC0415

    def check() -> None:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        key.verify(signature, digest, pss, utils.Prehashed(hashes.SHA256()))

    return _checked(check)


def ecdsa(bits: int, point: tuple[int, int], numbers: tuple[int, int], digest: bytes) -> str:
    """ECDSA over the NIST curve of so many bits; the hash is known by the length of its digest."""
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415

    curves: dict[int, ec.EllipticCurve] = {
        curve.key_size: curve for curve in (ec.SECP192R1(), ec.SECP224R1(), ec.SECP256R1(), ec.SECP384R1())
    }
    curve, kind = curves.get(bits), _hash(digest)
    if curve is None or kind is None:
        return UNCHECKED

    def check() -> None:
        key = ec.EllipticCurvePublicNumbers(*point, curve).public_key()
        key.verify(utils.encode_dss_signature(*numbers), digest, ec.ECDSA(utils.Prehashed(kind)))

    return _checked(check)


def encoded_key(key: bytes, signature: bytes, digest: bytes) -> str:
    """A signature by a key in DER (SubjectPublicKeyInfo or PKCS #1): RSA-PSS, ECDSA in DER, or Ed25519 over the digest."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    kind = _hash(digest)
    loaded: list[object] = []
    if _checked(lambda: loaded.append(load_der_public_key(key))) != VALID or kind is None:
        return IMPOSSIBLE if kind is not None else UNCHECKED
    public = loaded[0]
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return rsa_pss(numbers.n, numbers.e, signature, digest)
    if isinstance(public, ec.EllipticCurvePublicKey):
        length = 2 + signature[1] if len(signature) > 1 else 0  # MCUboot pads them with zeros to one length
        return _checked(lambda: public.verify(signature[:length], digest, ec.ECDSA(utils.Prehashed(kind))))
    if isinstance(public, ed25519.Ed25519PublicKey):
        return _checked(lambda: public.verify(signature, digest))
    return UNCHECKED


def two_numbers(r: int, s: int) -> bytes:
    """An ECDSA signature in DER (RFC 3279, Ecdsa-Sig-Value); empty for numbers that are too large for any curve."""
    if max(r, s).bit_length() > _LARGEST_CURVE:
        return b""

    def number(value: int) -> bytes:
        raw = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return b"\x02" + bytes([len(raw)]) + raw

    inner = number(r) + number(s)
    return b"\x30" + (bytes([len(inner)]) if len(inner) < 128 else b"\x81" + bytes([len(inner)])) + inner


def rsa_key(modulus: int, exponent: int) -> bytes:
    """An RSA key as DER SubjectPublicKeyInfo; empty for numbers that are no key."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    return _encoded(lambda: rsa.RSAPublicNumbers(exponent, modulus).public_key())


def ec_key(bits: int, x: int, y: int) -> bytes:
    """A point of the NIST curve of so many bits as DER SubjectPublicKeyInfo; empty for one that is not on it."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    curves: dict[int, ec.EllipticCurve] = {192: ec.SECP192R1(), 224: ec.SECP224R1(), 256: ec.SECP256R1(), 384: ec.SECP384R1()}
    if bits not in curves:
        return b""
    return _encoded(lambda: ec.EllipticCurvePublicNumbers(x, y, curves[bits]).public_key())


def _encoded(make: Callable[[], Any]) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    try:
        der: bytes = make().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return b""
    return der
