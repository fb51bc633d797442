"""OpenPGP keys, armoured and binary: what the first packet says of algorithm, size and whether the secret part is in the clear.

Source: RFC 9580, sections 4.2 (packet headers), 5.5 (key packets), 3.7 (string-to-key; GnuPG's type 101 stands for a key that is
kept elsewhere).
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Any

from fwcheck.inspection import key_material
from fwcheck.inspection.patterns import Pattern, Scan
from fwcheck.model import KeyFact

SHAPES: tuple[Pattern, ...] = (
    # A secret key of version 4, RSA, of 1,024 to 4,096 bits.
    Pattern("key:pgp", rb"(?s)\x95[\x01-\x0c].\x04....[\x01-\x03](?:\x04|\x08|\x0c|\x10)\x00[\x80-\xff]"),
)
_SECRET, _PUBLIC, _SECRET_SUB, _PUBLIC_SUB = 5, 6, 7, 14
_RSA, _ELGAMAL, _DSA = {1, 2, 3}, {16}, {17}
_CURVE_NAMES = {22: "Ed25519", 25: "X25519", 26: "X448", 27: "Ed25519", 28: "Ed448"}
_FIXED = {25: 32, 26: 56, 27: 32, 28: 57}  # bytes of the public half
_ELSEWHERE = 101


class _Short(Exception):
    """A field reaches beyond the packet."""


def armoured_key(body: bytes, offset: int) -> KeyFact | None:
    """The key of a PGP KEY BLOCK; ``body`` is its base64 with the checksum, without headers and line ends."""
    armour, _, checksum = body.rpartition(b"=")
    try:
        raw = binascii.a2b_base64(armour if len(checksum) == 4 else body, strict_mode=True)
    except binascii.Error:
        return None
    return _key(raw, offset)


def read(content: bytes, scan: Scan) -> Iterator[KeyFact]:
    """The binary secret keys at the places that ``scan`` found."""
    for match in scan.matches.get("key:pgp", ()):
        found = _key(content[match.start() : match.start() + 8192], match.start())
        # A shape of few bytes: only what reads as a key to its end counts.
        if found is not None and found.private and found.fingerprint:
            yield found


def _key(raw: bytes, offset: int) -> KeyFact | None:
    packet = _packet(raw)
    if packet is None or packet[0] not in {_SECRET, _PUBLIC, _SECRET_SUB, _PUBLIC_SUB}:
        return None
    private = packet[0] in {_SECRET, _SECRET_SUB}
    plain = KeyFact(offset=offset, container="OpenPGP", algorithm="unknown", private=private)
    try:
        told, usage, kind = _read(packet[1])
    except (_Short, ValueError):
        return plain
    if private and usage and kind == _ELSEWHERE:
        return None
    encrypted = private and usage > 0
    valid = bool(told.get("fingerprint")) and not encrypted
    return KeyFact(offset=offset, container="OpenPGP", private=private, encrypted=encrypted, valid=valid, **told)


def _packet(raw: bytes) -> tuple[int, bytes] | None:
    """Kind and body of the first packet."""
    if len(raw) < 16 or not raw[0] & 0x80:
        return None
    if raw[0] & 0x40:
        first = raw[1]
        if first < 192:
            return raw[0] & 0x3F, raw[2 : 2 + first]
        if first < 224:
            return raw[0] & 0x3F, raw[3 : 3 + ((first - 192) << 8) + raw[2] + 192]
        return (raw[0] & 0x3F, raw[6 : 6 + int.from_bytes(raw[2:6], "big")]) if first == 255 else None
    size = 1 << (raw[0] & 3)
    if size > 4:
        return None
    return raw[0] >> 2 & 0x0F, raw[1 + size : 1 + size + int.from_bytes(raw[1 : 1 + size], "big")]


def _read(body: bytes) -> tuple[dict[str, Any], int, int]:
    """The public half, the octet that says how the secret part is kept, and the kind of its string-to-key."""
    if len(body) < 8 or body[0] not in {4, 6}:
        raise _Short
    algorithm, at = body[5], 6 if body[0] == 4 else 10
    if algorithm in _RSA:
        (modulus, exponent), at = _numbers(body, at, 2)
        told = key_material.half(_rsa(modulus, exponent))
    elif algorithm in _DSA | _ELGAMAL:
        numbers, at = _numbers(body, at, 4 if algorithm in _DSA else 3)
        told = {"algorithm": "DSA" if algorithm in _DSA else "ElGamal", "bits": numbers[0].bit_length()}
    elif algorithm in _FIXED:
        told, at = {"algorithm": _CURVE_NAMES[algorithm]}, at + _FIXED[algorithm]
    else:
        size = body[at]
        _, at = _numbers(body, at + 1 + size, 1)
        at += body[at] + 1 if algorithm == 18 and at < len(body) else 0  # how ECDH derives its keys
        told = {"algorithm": _CURVE_NAMES.get(algorithm, "EC")}
    usage = body[at] if at < len(body) else 0
    kind = body[at + 2] if usage in {253, 254, 255} and at + 2 < len(body) else 0
    return told, usage, kind


def _rsa(modulus: int, exponent: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  # few images hold such keys

    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _numbers(body: bytes, at: int, count: int) -> tuple[list[int], int]:
    found = []
    for _ in range(count):
        bits = int.from_bytes(body[at : at + 2], "big")
        end = at + 2 + (bits + 7) // 8
        number = int.from_bytes(body[at + 2 : end], "big")
        if end > len(body) or not 0 < bits <= 16384 or number.bit_length() != bits:
            raise _Short
        found.append(number)
        at = end
    return found, at
