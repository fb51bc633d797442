"""OpenPGP keys, armoured and binary: what the first packet says of algorithm, size and whether the secret part is in the clear.

Source: RFC 9580, sections 4.2 (packet headers), 5.5 (key packets), 3.7 (string-to-key; GnuPG's type 101 stands for a key that is
kept elsewhere).
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from itertools import islice
from typing import Any

from fwcheck.inspection import key_material
from fwcheck.inspection.patterns import Pattern, Scan
from fwcheck.model import KeyFact

SHAPES: tuple[Pattern, ...] = (
    # A secret key of version 4, RSA, of 1,024 to 4,096 bits.
    Pattern("key:pgp", rb"(?s)\x95[\x01-\x0c].\x04....[\x01-\x03](?:\x04|\x08|\x0c|\x10)\x00[\x80-\xff]"),
    # Public keys of keyrings (apt's trusted.gpg.d): RSA, Ed25519 as GnuPG has it, ECDSA on a NIST curve.
    Pattern(
        "key:pgp-ring", rb"(?s)(?:\x99[\x01-\x0c].|\xc6[\xc0-\xc8].)\x04....[\x01\x03](?:\x04|\x08|\x0c|\x10)\x00[\x80-\xff]"
    ),
    Pattern("key:pgp-ring-eddsa", rb"(?s)[\x98\xc6]\x33\x04....\x16\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01\x01\x07\x40"),
    Pattern(
        "key:pgp-ring-ecdsa",
        rb"(?s)[\x98\xc6][\x4f-\x93]\x04....\x13[\x05\x08](?:\x2a\x86\x48\xce\x3d\x03\x01\x07|\x2b\x81\x04\x00)",
    ),
)
_RINGS = ("key:pgp-ring", "key:pgp-ring-eddsa", "key:pgp-ring-ecdsa")
_RING_LIMIT = 1 << 20  # bytes of one keyring
_KEYS_LIMIT = 64  # of one keyring
_PACKETS = 4096
_NIST = {bytes.fromhex("2a8648ce3d030107"): "SECP256R1", bytes.fromhex("2b81040022"): "SECP384R1",
         bytes.fromhex("2b81040023"): "SECP521R1"}  # fmt: skip
_SECRET, _PUBLIC, _SECRET_SUB, _PUBLIC_SUB = 5, 6, 7, 14
_RSA, _ELGAMAL, _DSA = {1, 2, 3}, {16}, {17}
_CURVE_NAMES = {22: "Ed25519", 25: "X25519", 26: "X448", 27: "Ed25519", 28: "Ed448"}
_FIXED = {25: 32, 26: 56, 27: 32, 28: 57}  # bytes of the public half
_ELSEWHERE = 101


class _Short(Exception):
    """A field reaches beyond the packet."""


def armoured_key(body: bytes, offset: int) -> KeyFact | None:
    """The key of a PGP KEY BLOCK; ``body`` is its base64 with the checksum, without headers and line ends."""
    return _key(_decoded(body), offset)


def armoured_ring(body: bytes, offset: int) -> Iterator[KeyFact]:
    """The further keys of a PGP PUBLIC KEY BLOCK: subkeys, which sign as well, and other people's."""
    yield from _ring(_decoded(body), offset, moved=0)


def _decoded(body: bytes) -> bytes:
    armour, _, checksum = body.rpartition(b"=")
    try:
        return binascii.a2b_base64(armour if len(checksum) == 4 else body, strict_mode=True)
    except binascii.Error:
        return b""


def keys_of(raw: bytes) -> tuple[bytes, ...]:
    """The public keys of a keyring, binary or armoured, DER SubjectPublicKeyInfo."""
    if b"-----BEGIN PGP PUBLIC KEY BLOCK-----" in raw[:4096]:
        body = raw.partition(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[2].partition(b"-----END PGP PUBLIC KEY BLOCK-----")[0]
        rows = [row.strip() for row in body.splitlines() if b":" not in row]
        raw = _decoded(b"".join(rows))
    first = _key(raw, 0)
    return tuple(each.public for each in (*([first] if first is not None else []), *_ring(raw, 0)) if each.public)


def _ring(raw: bytes, offset: int, *, moved: int = 1) -> Iterator[KeyFact]:
    """The public keys behind the first packet of a keyring."""
    before = 0
    for number, (kind, end) in enumerate(_packets(raw[:_RING_LIMIT])):
        if number and kind in (_PUBLIC, _PUBLIC_SUB):
            found = _key(raw[before:end], offset + moved * before)
            if found is not None and found.public:
                yield found
        before = end


def read(content: bytes, scan: Scan) -> Iterator[KeyFact]:
    """The binary secret keys at the places that ``scan`` found, and the keys of keyrings."""
    yield from _secret(content, scan)
    covered = 0
    for at in sorted({match.start() for shape in _RINGS for match in scan.matches.get(shape, ())}):
        if at < covered:
            continue
        raw = content[at : at + _RING_LIMIT]
        held = list(_packets(raw))
        if len(held) < 2 or held[1][0] not in _BEHIND_A_KEY:
            continue  # a shape of few bytes: what is no keyring does not go on like one
        found = [_key(raw, at), *islice(_ring(raw, at), _KEYS_LIMIT)]
        yield from (each for each in found if each is not None and each.public)
        covered = at + held[-1][1]


_BEHIND_A_KEY = (2, 13, 14, 17, 12)  # signature, user, subkey, attribute, trust


def _secret(content: bytes, scan: Scan) -> Iterator[KeyFact]:
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
    head = _head(raw, 0) if len(raw) >= 16 else None
    return (head[0], raw[head[1] : head[1] + head[2]]) if head is not None else None


def _packets(raw: bytes) -> Iterator[tuple[int, int]]:
    """Kind of each packet, and the offset behind it; ends where there is none."""
    at = 0
    for _ in range(_PACKETS):
        head = _head(raw, at)
        if head is None or head[1] + head[2] > len(raw):
            return
        at = head[1] + head[2]
        yield head[0], at


def _head(raw: bytes, at: int) -> tuple[int, int, int] | None:
    """Kind, beginning and length of the body of the packet at an offset; None where there is none, or its length is not told."""
    if at + 2 > len(raw) or not raw[at] & 0x80:
        return None
    if not raw[at] & 0x40:
        begin = at + 1 + (1 << (raw[at] & 3))
        return (raw[at] >> 2 & 0x0F, begin, int.from_bytes(raw[at + 1 : begin], "big")) if raw[at] & 3 != 3 else None
    kind, first = raw[at] & 0x3F, raw[at + 1]
    if first < 192:
        return kind, at + 2, first
    if first < 224:
        return kind, at + 3, ((first - 192) << 8) + int.from_bytes(raw[at + 2 : at + 3], "big") + 192
    return (kind, at + 6, int.from_bytes(raw[at + 2 : at + 6], "big")) if first == 255 else None


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
        told = key_material.half(_edwards(body[at : at + 32])) if algorithm == 27 else {"algorithm": _CURVE_NAMES[algorithm]}
        at += _FIXED[algorithm]
    else:
        size = body[at]
        curve = body[at + 1 : at + 1 + size]
        (point,), at = _numbers(body, at + 1 + size, 1)
        at += body[at] + 1 if algorithm == 18 and at < len(body) else 0  # how ECDH derives its keys
        told = _on_curve(algorithm, curve, point) or {"algorithm": _CURVE_NAMES.get(algorithm, "EC")}
    usage = body[at] if at < len(body) else 0
    kind = body[at + 2] if usage in {253, 254, 255} and at + 2 < len(body) else 0
    return told, usage, kind


def _on_curve(algorithm: int, curve: bytes, point: int) -> dict[str, Any]:
    """A key that signs: Ed25519 with 0x40 in front of it, or an uncompressed point of a NIST curve; empty for others."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    raw = point.to_bytes((point.bit_length() + 7) // 8, "big")
    if algorithm == 22 and len(raw) == 33 and raw[0] == 0x40:
        return key_material.half(_edwards(raw[1:]))
    if algorithm == 19 and curve in _NIST:
        return key_material.half(ec.EllipticCurvePublicKey.from_encoded_point(getattr(ec, _NIST[curve])(), raw))
    return {}


def _edwards(raw: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    return ed25519.Ed25519PublicKey.from_public_bytes(raw)


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
