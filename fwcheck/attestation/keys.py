"""Keys that attestations are signed and verified with: Ed25519 (RFC 8032), ECDSA on P-256 and P-384 (FIPS 186-5).

Private keys are PEM (PKCS#8, SEC 1, OpenSSH) or DER; public ones PEM, DER, OpenSSH, or the certificate that holds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

_LIMIT = 64 << 10
_KINDS = "Ed25519, ECDSA P-256 or P-384"

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


class BadKey(ValueError):
    """The file holds no key that is taken; the message is one line."""


def read_private(path: Path, password: str | None = None) -> Private:
    """The private key of a file. Raises BadKey when there is none, or one of a kind that is not taken."""
    raw = _content(path)
    secret = password.encode() if password else None
    loaders = (
        lambda: forms.load_pem_private_key(raw, secret),
        lambda: forms.load_ssh_private_key(raw, secret),
        lambda: forms.load_der_private_key(raw, secret),
    )
    if b"PUBLIC KEY" in raw or b"CERTIFICATE" in raw:
        raise BadKey(f"{path}: is a public key; signing takes the private one")
    key = _first(path, loaders, "private key", protected=b"ENCRYPTED" in raw or secret is not None)
    if isinstance(key, ed25519.Ed25519PrivateKey) or (isinstance(key, ec.EllipticCurvePrivateKey) and _curve(key)):
        return key
    raise BadKey(f"{path}: is a key of another kind; signing takes {_KINDS}")


def read_public(path: Path) -> Public:
    """The public key of a file. Raises BadKey when there is none, or one of a kind that is not taken."""
    raw = _content(path)
    if b"PRIVATE KEY" in raw:
        raise BadKey(f"{path}: is a private key; verifying takes the public one (openssl pkey -in KEY -pubout)")
    loaders = (
        lambda: forms.load_pem_public_key(raw),
        lambda: x509.load_pem_x509_certificate(raw).public_key(),
        lambda: forms.load_ssh_public_key(raw),
        lambda: forms.load_der_public_key(raw),
        lambda: x509.load_der_x509_certificate(raw).public_key(),
    )
    key = _first(path, loaders, "public key", protected=False)
    if isinstance(key, ed25519.Ed25519PublicKey) or (isinstance(key, ec.EllipticCurvePublicKey) and _curve(key)):
        return key
    raise BadKey(f"{path}: is a key of another kind; verifying takes {_KINDS}")


def key_id(key: Public) -> str:
    """SHA-256 of the DER SubjectPublicKeyInfo (RFC 5280), hexadecimal."""
    der = key.public_bytes(forms.Encoding.DER, forms.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def signature(key: Private, message: bytes) -> bytes:
    """Ed25519: 64 bytes. ECDSA: DER, over SHA-256 with P-256 and SHA-384 with P-384."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(_hash(key.curve)))


def fits(key: Public, raw: bytes, message: bytes) -> bool:
    """Whether it is this key's signature of this message."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(raw, message)
        else:
            key.verify(raw, message, ec.ECDSA(_hash(key.curve)))
    except InvalidSignature:
        return False
    return True


def _hash(curve: ec.EllipticCurve) -> hashes.HashAlgorithm:
    return hashes.SHA384() if isinstance(curve, ec.SECP384R1) else hashes.SHA256()


def _curve(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> bool:
    return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_LIMIT + 1)
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}") from error
    if not raw or len(raw) > _LIMIT:
        raise BadKey(f"{path}: is {'empty' if not raw else 'too large for a key'}")
    return raw


def _first(path: Path, loaders: Iterable[Callable[[], Any]], what: str, *, protected: bool) -> Any:
    """What the first loader reads that can."""
    locked = False
    for load in loaders:
        try:
            return load()
        except TypeError:  # a password is missing, or is given for a key that has none
            locked = True
        except (ValueError, UnsupportedAlgorithm):
            continue
    if locked or protected:
        raise BadKey(f"{path}: the password in FWCHECK_KEY_PASSWORD is missing, wrong, or not needed for this key")
    raise BadKey(f"{path}: holds no {what} in PEM, DER or OpenSSH form")
