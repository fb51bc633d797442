"""Secret keys that are written as text: JSON web keys, DNSSEC and TSIG keys, age identities.

Sources: RFC 7517, RFC 7518 section 6 and RFC 8037 (JWK); BIND's private-key-format 1.2 and 1.3; RFC 8945 (TSIG) with the ``key``
clause of named.conf(5); the age specification (``AGE-SECRET-KEY-1`` in the Bech32 of BIP 173).
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from fwcheck.inspection import key_material
from fwcheck.inspection.patterns import Pattern, Scan
from fwcheck.model import KeyFact

SHAPES: tuple[Pattern, ...] = (
    Pattern("key:jwk", rb"\"kty\"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}\"(?P<type>RSA|EC|OKP|oct)\""),
    Pattern("key:age", rb"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}"),
    Pattern(
        "key:dnssec",
        rb"Private-key-format: v1\.[0-9]\r?\nAlgorithm: (?P<number>\d{1,3})[^\r\n]{0,40}\r?\n",
        rb"Private-key-format: v1\.[0-9]",
    ),
    Pattern(
        "key:tsig",
        rb"(?m)^[ \t]*key[ \t]+\"?(?P<name>[\w.-]{1,80})\"?[ \t\r\n]*\{[ \t\r\n]*"
        rb"algorithm[ \t]+\"?(?P<hash>hmac-[a-z0-9-]{3,12})\"?[ \t]*;[ \t\r\n]*"
        rb"secret[ \t]+\"?(?P<secret>[A-Za-z0-9+/]{16,180}={0,2})\"?[ \t]*;",
        rb"algorithm[ \t]+\"?hmac-[a-z0-9-]{3,12}\"?[ \t]*;",
    ),
)
_JWK_LIMIT = 8 << 10
_CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1", "secp256k1": "SECP256K1"}
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DNSSEC_RSA, _DNSSEC_EC, _DNSSEC_EDWARDS, _DNSSEC_MAC = (
    {1, 5, 7, 8, 10},
    {13: "SECP256R1", 14: "SECP384R1"},
    {15, 16},
    range(157, 166),
)
_DNSSEC_LIMIT, _DNSSEC_ROWS = 16 << 10, 24
_LEAST_SECRET = 8  # distinct characters of a secret that is no filler


class _Unfit(Exception):
    """The text is no key, or its parts do not belong together."""


def read(content: bytes, scan: Scan) -> Iterator[KeyFact]:
    """The secret keys at the places that ``scan`` found."""
    readers: tuple[tuple[str, Callable[[bytes, re.Match[bytes]], KeyFact]], ...] = (
        ("key:jwk", _jwk),
        ("key:age", _age),
        ("key:dnssec", _dnssec),
        ("key:tsig", _tsig),
    )
    for id, reader in readers:
        for match in scan.matches.get(id, ()):
            try:
                yield reader(content, match)
            except (_Unfit, ValueError, TypeError, KeyError, RecursionError):
                continue


# --------------------------------------------------------------------------- JWK


def _jwk(content: bytes, match: re.Match[bytes]) -> KeyFact:
    """A JSON web key with its private part. Its members are strings and lists of strings: no braces stand inside."""
    at = content.rfind(b"{", max(match.start() - _JWK_LIMIT, 0), match.start())
    end = content.find(b"}", match.end(), match.end() + _JWK_LIMIT)
    if at < 0 or end < 0 or content.find(b"}", at, match.start()) >= 0:
        raise _Unfit
    held = json.loads(content[at : end + 1])
    comment = held["kid"][:120] if isinstance(held.get("kid"), str) else ""
    if held["kty"] == "oct":
        secret = _bytes(held["k"])
        if len(set(secret)) < _LEAST_SECRET:
            raise _Unfit
        return KeyFact(
            offset=at, container="JWK", algorithm="HMAC", bits=len(secret) * 8, private=True, valid=True, comment=comment
        )
    key = {"RSA": _jwk_rsa, "EC": _jwk_ec, "OKP": _jwk_edwards}[held["kty"]](held)
    return KeyFact(offset=at, container="JWK", private=True, valid=True, comment=comment, **key_material.half(key))


def _bytes(text: object) -> bytes:
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,4096}", text):
        raise _Unfit
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: object) -> int:
    return int.from_bytes(_bytes(text), "big")


def _jwk_rsa(held: dict[str, Any]) -> Any:
    return _rsa(_number(held["n"]), _number(held["e"]), _number(held["d"]))


def _rsa(modulus: int, exponent: int, private: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  # few images hold such keys

    if not (512 <= modulus.bit_length() <= 16384 and 1 < exponent < modulus and 1 < private < modulus):
        raise _Unfit
    if pow(pow(2, exponent, modulus), private, modulus) != 2:
        raise _Unfit
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _jwk_ec(held: dict[str, Any]) -> Any:
    public = _ec(_CURVES[held["crv"]], _number(held["d"]))
    numbers = public.public_numbers()
    if (numbers.x, numbers.y) != (_number(held["x"]), _number(held["y"])):
        raise _Unfit
    return public


def _ec(curve: str, private: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.derive_private_key(private, getattr(ec, curve)()).public_key()


def _jwk_edwards(held: dict[str, Any]) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, x448, x25519  # noqa: PLC0415

    classes: dict[str, Any] = {
        "Ed25519": ed25519.Ed25519PrivateKey,
        "Ed448": ed448.Ed448PrivateKey,
        "X25519": x25519.X25519PrivateKey,
        "X448": x448.X448PrivateKey,
    }
    public = classes[held["crv"]].from_private_bytes(_bytes(held["d"])).public_key()
    if public.public_bytes_raw() != _bytes(held["x"]):
        raise _Unfit
    return public


# --------------------------------------------------------------------------- age


def _age(_content: bytes, match: re.Match[bytes]) -> KeyFact:
    from cryptography.hazmat.primitives.asymmetric import x25519  # noqa: PLC0415

    text = match[0].decode().lower()
    values = [_BECH32.index(each) for each in text[text.rindex("1") + 1 :]]
    human = text[: text.rindex("1")]
    if _checksum([*(ord(each) >> 5 for each in human), 0, *(ord(each) & 31 for each in human), *values]) != 1:
        raise _Unfit
    raw = int("".join(f"{each:05b}" for each in values[:-6]), 2) >> (len(values) - 6) * 5 - 256
    public = x25519.X25519PrivateKey.from_private_bytes(raw.to_bytes(32, "big")).public_key()
    return KeyFact(offset=match.start(), container="age", private=True, valid=True, **key_material.half(public))


def _checksum(values: list[int]) -> int:
    """The polynomial of BIP 173: 1 for a text without a fault."""
    generator = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(generator):
            check ^= term if top >> bit & 1 else 0
    return check


# --------------------------------------------------------------------------- name servers


def _dnssec(content: bytes, match: re.Match[bytes]) -> KeyFact:
    rows = content[match.end() : match.end() + _DNSSEC_LIMIT].decode("ascii", "replace").splitlines()[:_DNSSEC_ROWS]
    fields = dict(row.split(": ", 1) for row in itertools.takewhile(lambda row: ": " in row, rows))
    number = int(match["number"])
    told: dict[str, Any]
    if number in _DNSSEC_RSA:
        values = (int.from_bytes(_base64(fields[name]), "big") for name in ("Modulus", "PublicExponent", "PrivateExponent"))
        told = key_material.half(_rsa(*values))
    elif number in _DNSSEC_EC:
        told = key_material.half(_ec(_DNSSEC_EC[number], int.from_bytes(_base64(fields["PrivateKey"]), "big")))
    elif number in _DNSSEC_EDWARDS:
        told = key_material.half(_edwards(_base64(fields["PrivateKey"])))
    elif number in _DNSSEC_MAC:
        secret = _base64(fields["Key"])
        told = {"algorithm": "HMAC", "bits": len(secret) * 8}
    else:
        raise _Unfit
    return KeyFact(offset=match.start(), container="DNSSEC", private=True, valid=True, **told)


def _edwards(raw: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ed448, ed25519  # noqa: PLC0415

    kind: Any = ed25519.Ed25519PrivateKey if len(raw) == 32 else ed448.Ed448PrivateKey
    return kind.from_private_bytes(raw).public_key()


def _tsig(_content: bytes, match: re.Match[bytes]) -> KeyFact:
    secret = _base64(match["secret"].decode())
    if len(set(secret)) < _LEAST_SECRET or re.fullmatch(rb"[A-Za-z '.,!?\r\n-]+", secret):  # sentences of manuals
        raise _Unfit
    return KeyFact(
        offset=match.start("name"),
        container="TSIG",
        algorithm="HMAC",
        bits=len(secret) * 8,
        private=True,
        valid=True,
        comment=match["name"].decode(),
    )


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        raise _Unfit from None
