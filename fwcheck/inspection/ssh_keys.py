"""SSH keys (OpenSSH, dropbear, public lines) and the small signing keys of usign, signify and minisign.

Sources: RFC 4253 section 6.6 and RFC 8709 (key blobs), OpenSSH ``PROTOCOL.key``, dropbear ``signkey.c`` (host keys: the public
blob followed by the private numbers), OpenBSD ``signify(1)`` and OpenWrt usign (structures of 42 and 104 bytes in base64).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from fwcheck.inspection import key_material
from fwcheck.inspection.patterns import Pattern, Scan
from fwcheck.model import KeyFact

_NUMBER_LIMIT = 2050  # bytes of one number: 16,384 bits and the sign
_COMMENT_LIMIT = 120

SHAPES: tuple[Pattern, ...] = (
    Pattern(
        "key:dropbear",
        rb"\x00\x00\x00(?:\x07ssh-(?:rsa|dss)\x00\x00|\x0bssh-ed25519\x00\x00\x00\x40|\x13ecdsa-sha2-nistp\d{3}\x00)",
    ),
    Pattern(
        "key:ssh-public",
        rb"(?P<type>ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)[ \t]+"
        rb"(?P<blob>AAAA[A-Za-z0-9+/]{40,4096}={0,3})(?:[ \t]+(?P<comment>[^\r\n\x00\"']{1,120}))?",
        rb"(?:ssh-(?:rsa|dss|ed25519)|nistp\d{3}|openssh\.com)[ \t]+AAAA[A-Za-z0-9+/]{40}",
    ),
    Pattern(
        "key:usign",
        rb"untrusted comment:[ \t]*(?P<comment>[^\r\n\x00]{0,200})\r?\n(?P<blob>[A-Za-z0-9+/]{40,300}={0,2})",
        rb"untrusted comment:",
    ),
)
_CURVES = {b"nistp256": "SECP256R1", b"nistp384": "SECP384R1", b"nistp521": "SECP521R1"}


class _Short(Exception):
    """A field reaches beyond the bytes at hand."""


class _Fields:
    """Length-prefixed fields of RFC 4251, read one after the other. Raises _Short."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def string(self) -> bytes:
        size = int.from_bytes(self._data[self.at : self.at + 4], "big")
        begin, end = self.at + 4, self.at + 4 + size
        if begin > len(self._data) or end > len(self._data) or size > 1 << 16:
            raise _Short
        self.at = end
        return self._data[begin:end]

    def number(self) -> int:
        raw = self.string()
        if not raw or len(raw) > _NUMBER_LIMIT or raw[0] & 0x80:
            raise _Short
        return int.from_bytes(raw, "big")

    def integer(self) -> int:
        if self.at + 4 > len(self._data):
            raise _Short
        self.at += 4
        return int.from_bytes(self._data[self.at - 4 : self.at], "big")


def read(content: bytes, scan: Scan) -> list[KeyFact]:
    """The keys at the places that ``scan`` found."""
    readers: tuple[tuple[str, Callable[[bytes, re.Match[bytes]], KeyFact | None]], ...] = (
        ("key:dropbear", _dropbear),
        ("key:ssh-public", _public_line),
        ("key:usign", _signing_key),
    )
    found = (reader(content, match) for id, reader in readers for match in scan.matches.get(id, ()))
    return [key for key in found if key is not None]


def openssh_key(raw: bytes, offset: int) -> KeyFact | None:
    """The body of an "OPENSSH PRIVATE KEY" block (``PROTOCOL.key``); None when it is none."""
    if not raw.startswith(b"openssh-key-v1\0"):
        return None
    fields = _Fields(raw, 15)
    try:
        cipher, _, _ = fields.string(), fields.string(), fields.string()
        fields.integer()
        blob = fields.string()
        hidden = fields.string()
    except _Short:
        return None
    public = public_of(blob)
    encrypted = cipher != b"none"
    return KeyFact(
        offset=offset,
        container="OpenSSH",
        private=True,
        encrypted=encrypted,
        # Both check numbers agree when the private part is in the clear.
        valid=public is not None and not encrypted and len(hidden) > 8 and hidden[:4] == hidden[4:8],
        comment=cipher.decode("ascii", "replace")[:_COMMENT_LIMIT] if encrypted else "",
        **key_material.half(public),
    )


def public_of(blob: bytes) -> Any:
    """The public key object of a blob (RFC 4253, section 6.6); None when the library does not know it."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # 50 ms, paid by the first key alone
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key  # noqa: PLC0415

    try:
        name = _Fields(blob).string()
        if name == b"ssh-dss":  # newer libraries no longer read it
            return _dss(_Fields(blob, len(name) + 4))
        return load_ssh_public_key(name + b" " + base64.b64encode(blob))
    except (_Short, ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _public_line(_content: bytes, match: re.Match[bytes]) -> KeyFact | None:
    try:
        blob = base64.b64decode(match["blob"] + b"=" * (-len(match["blob"]) % 4), validate=True)
        name = _Fields(blob).string()
    except (binascii.Error, _Short):
        return None
    if name != match["type"]:
        return None
    comment = (match["comment"] or b"").decode("utf-8", "replace").strip()[:_COMMENT_LIMIT]
    public = public_of(blob)
    if public is not None:
        return key_material.public_fact(public, match.start(), "SSH public", comment)
    algorithm = "DSA" if name == b"ssh-dss" else "unknown"
    return KeyFact(offset=match.start(), container="SSH public", algorithm=algorithm, comment=comment)


def _dropbear(content: bytes, match: re.Match[bytes]) -> KeyFact | None:
    """A dropbear host key: the public blob, then the private numbers. A bare public blob is no secret and is left out."""
    fields = _Fields(content, match.start())
    try:
        name = fields.string()
        reader = {b"ssh-rsa": _dropbear_rsa, b"ssh-dss": _dropbear_dss, b"ssh-ed25519": _dropbear_ed25519}.get(name, _dropbear_ec)
        return reader(fields, match.start())
    except (_Short, ValueError):
        return None


def _host_key(offset: int, public: Any, algorithm: str, bits: int) -> KeyFact:
    told = {"algorithm": algorithm, "bits": bits} if public is None else key_material.half(public)
    return KeyFact(offset=offset, container="dropbear", private=True, valid=True, **told)


def _dropbear_rsa(fields: _Fields, offset: int) -> KeyFact | None:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    exponent, modulus, private = fields.number(), fields.number(), fields.number()
    if modulus.bit_length() < 512 or not 1 < exponent < modulus or not 1 < private < modulus:
        return None
    # Whatever the factors: the private exponent undoes the public one, or these are not the numbers of one key.
    if pow(pow(2, exponent, modulus), private, modulus) != 2:
        return None
    return _host_key(offset, rsa.RSAPublicNumbers(exponent, modulus).public_key(), "RSA", modulus.bit_length())


def _dropbear_dss(fields: _Fields, offset: int) -> KeyFact | None:
    from cryptography.hazmat.primitives.asymmetric import dsa  # noqa: PLC0415

    p, q, g, public, private = (fields.number() for _ in range(5))
    if p.bit_length() < 512 or not 1 < private < q or pow(g, private, p) != public:
        return None
    try:
        key = dsa.DSAPublicNumbers(public, dsa.DSAParameterNumbers(p, q, g)).public_key()
    except ValueError:
        key = None
    return _host_key(offset, key, "DSA", p.bit_length())


def _dss(fields: _Fields) -> Any:
    from cryptography.hazmat.primitives.asymmetric import dsa  # noqa: PLC0415

    p, q, g, public = (fields.number() for _ in range(4))
    return dsa.DSAPublicNumbers(public, dsa.DSAParameterNumbers(p, q, g)).public_key()


def _dropbear_ed25519(fields: _Fields, offset: int) -> KeyFact | None:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    both = fields.string()
    if len(both) != 64:
        return None
    public = ed25519.Ed25519PrivateKey.from_private_bytes(both[:32]).public_key()
    fits = public.public_bytes(Encoding.Raw, PublicFormat.Raw) == both[32:]
    return _host_key(offset, public, "Ed25519", 256) if fits else None


def _dropbear_ec(fields: _Fields, offset: int) -> KeyFact | None:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    name, point, private = fields.string(), fields.string(), fields.number()
    if name not in _CURVES:
        return None
    curve = getattr(ec, _CURVES[name])()
    if ec.derive_private_key(private, curve).public_key() != ec.EllipticCurvePublicKey.from_encoded_point(curve, point):
        return None
    return _host_key(offset, ec.EllipticCurvePublicKey.from_encoded_point(curve, point), "EC", curve.key_size)


def _signing_key(_content: bytes, match: re.Match[bytes]) -> KeyFact | None:
    """A key of usign or signify: "Ed", 8 bytes of key number, 32 of public key; secret: 104 bytes with the KDF rounds at 4.

    minisign's public keys have signify's layout; its secret ones have 158 bytes and are always under a KDF or in the clear by
    the mark at 2. Signatures (74 bytes) are no keys.
    """
    try:
        raw = base64.b64decode(match["blob"] + b"=" * (-len(match["blob"]) % 4), validate=True)
    except binascii.Error:
        return None
    comment = match["comment"].decode("utf-8", "replace").strip()[:_COMMENT_LIMIT]
    container = "minisign" if "minisign" in comment else "usign"
    secret = len(raw) in {104, 158} and raw[:2] == b"Ed"
    if not secret and not (len(raw) == 42 and raw[:2] == b"Ed"):
        return None
    clear = raw[2:4] == b"\0\0" if len(raw) == 158 else raw[4:8] == b"\0\0\0\0"
    public = _ed25519(raw[10:42] if not secret else raw[72:104] if len(raw) == 104 else b"")
    told = key_material.half(public if clear or not secret else None)
    return KeyFact(
        offset=match.start(),
        container=container,
        private=secret,
        encrypted=secret and not clear,
        valid=public is not None and not (secret and not clear),
        comment=comment,
        **{**told, "algorithm": "Ed25519", "bits": 256},
    )


def _ed25519(raw: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    try:
        return ed25519.Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        return None
