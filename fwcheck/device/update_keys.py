"""Public keys that a user gives to verify updates with: every form in which update tools keep them.

Sources: RFC 7468 (PEM), RFC 5280 (certificates), RFC 4253 (OpenSSH), OpenWrt ``usign`` and OpenBSD signify (``Ed``, 8 bytes of
key number, 32 bytes of Ed25519 key in base64), minisign (the same), AVB ``AvbRSAPublicKeyHeader`` (key size in bits and n0inv
as big-endian 32-bit words, modulus, R²).
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fwcheck.device.signatures import PublicKey

_LIMIT = 1 << 20
_SIGNIFY = re.compile(rb"untrusted comment:[^\n]*\n([A-Za-z0-9+/=]{56})\s*")
_MOST = 64  # keys of one file


class NoKey(ValueError):
    """The file holds no public key that is understood."""


Ring = Callable[[bytes], tuple[bytes, ...]]  # the keys of an OpenPGP keyring, DER


def read(path: Path, ring: Ring = lambda _raw: ()) -> tuple[PublicKey, ...]:
    """The public keys of a file: PEM, DER, certificates, private keys (public half), OpenSSH, usign, minisign, AVB, OpenPGP, raw.

    ``ring`` reads OpenPGP keyrings. Raises OSError when it cannot be read and :class:`NoKey` when it holds none.
    """
    with path.open("rb") as file:
        raw = file.read(_LIMIT)
    return parse(raw, f"--update-key {path.name}", ring)


def parse(raw: bytes, origin: str, ring: Ring = lambda _raw: ()) -> tuple[PublicKey, ...]:
    """The public keys in ``raw``; raises :class:`NoKey`."""
    found = _pem(raw) or _one(raw)
    encoded = list(map(_der, found[:_MOST])) or list(ring(raw)[:_MOST])
    keys = tuple(PublicKey(der=der, origin=origin) for der in dict.fromkeys(filter(None, encoded)))
    if not keys:
        raise NoKey("no public key in it (PEM, DER, OpenSSH, usign, minisign, AVB, OpenPGP or 32 raw bytes of Ed25519)")
    return keys


def _der(key: Any) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    try:
        der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return b""
    return der


def _pem(raw: bytes) -> list[Any]:
    blocks = re.findall(rb"-----BEGIN [A-Z0-9 ]{1,40}-----[^-]{1,65536}-----END [A-Z0-9 ]{1,40}-----", raw)
    return [key for block in blocks[:_MOST] if (key := _loaded(block)) is not None]


def _loaded(block: bytes) -> Any:
    """A key or certificate in PEM, whatever its label; None when it is none."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        if b"CERTIFICATE" in block[:40]:
            return x509.load_pem_x509_certificate(block).public_key()
        if b"PRIVATE" in block[:40]:
            return serialization.load_pem_private_key(block, None).public_key()
        return serialization.load_pem_public_key(block)
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return None


def _one(raw: bytes) -> list[Any]:
    """A file that is one key: DER, OpenSSH, signify, AVB, raw Ed25519."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    tries = (
        lambda: serialization.load_der_public_key(raw),
        lambda: x509.load_der_x509_certificate(raw).public_key(),
        lambda: serialization.load_ssh_public_key(raw),
        lambda: ed25519.Ed25519PublicKey.from_public_bytes(_signify(raw)),
        lambda: _avb(raw),
        lambda: ed25519.Ed25519PublicKey.from_public_bytes(raw),
    )
    for attempt in tries:
        try:
            return [attempt()]
        except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error, struct.error):
            continue
    return []


def _signify(raw: bytes) -> bytes:
    held = _SIGNIFY.fullmatch(raw)
    decoded = base64.b64decode(held[1]) if held is not None else b""
    if len(decoded) != 42 or decoded[:2] not in (b"Ed", b"ED"):
        raise ValueError("no signify key")
    return decoded[10:]


def _avb(raw: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    bits, _ = struct.unpack_from(">II", raw)
    if bits not in (2048, 4096, 8192) or len(raw) != 8 + 2 * bits // 8:
        raise ValueError("no AVB key")
    return rsa.RSAPublicNumbers(65537, int.from_bytes(raw[8 : 8 + bits // 8], "big")).public_key()
