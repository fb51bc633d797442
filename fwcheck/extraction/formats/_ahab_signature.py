"""The signature block of NXP's AHAB containers (version 0, i.MX8 and i.MX9 without post-quantum keys).

Block: version, u16 length, tag 0x90, u16 offsets of certificate, key table, signature and blob. Key table: tag 0xD7, u16 length,
version 0x42; records of tag 0xE1, u16 length, algorithm (0x21 RSA, 0x22 RSA-PSS, 0x27 ECDSA), hash (0: SHA-256, 1: SHA-384, 2:
SHA-512), size of the key, zero, flags, u16 lengths of two numbers, these with the most significant byte first. Signature:
version, u16 length, tag 0xD8, four bytes, the numbers. Signed is everything from the container's header to the signature; the
hashes of the images are in it. Bits 4 and 5 of the header's flags name the record that signs, unless there is a certificate,
whose key does.
Sources: i.MX8 and i.MX9 reference manuals, NXP AN12312; containers made by NXP's spsdk.
"""

from __future__ import annotations

import struct
from typing import Final, Literal, NamedTuple

from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._signed import ec_key, rsa_key, two_numbers
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_BLOCK: Final = struct.Struct("<BHBHHHH")
_HEAD: Final = struct.Struct("<BHB")
_RECORD: Final = struct.Struct("<BHBBBBBHH")
_HASHES: Final = {0: "sha256", 1: "sha384", 2: "sha512"}
_RSA, _PSS, _ECDSA = 0x21, 0x22, 0x27
_KEYS: Final = 4
_SETS: Final = {1: "NXP", 2: "the maker"}


class _Key(NamedTuple):
    algorithm: Literal["RSA", "ECDSA", "unknown"]
    padding: Literal["", "pkcs1v15", "pss"]
    hash: str
    der: bytes


def container_signature(source: ByteSource, base: int, block: int, flags: int, *, intact: bool | None) -> SignedBlock | None:
    """The signature of the container at ``base`` whose block is so many bytes behind; None where there is none that can be read.

    ``intact``: whether the hashes of its images, which are signed, fit.
    """
    raw = source.peek(base + block, _BLOCK.size)
    if len(raw) < _BLOCK.size:
        return None
    version, _, tag, certificate, table, signature, _ = _BLOCK.unpack(raw)
    place = base + block + signature
    head = source.peek(place, 8)
    if version or tag != 0x90 or not table or not signature or len(head) < 8:
        return None
    _, length, kind = _HEAD.unpack_from(head)
    numbers = source.peek(place + 8, length - 8) if kind == 0xD8 and 8 < length <= 4096 else b""
    key = _used(source, base + block + table, flags >> 4 & 3)
    if not numbers or key is None:
        return None
    half = len(numbers) // 2
    pair = two_numbers(int.from_bytes(numbers[:half], "big"), int.from_bytes(numbers[half:], "big"))
    signer = _SETS.get(flags & 0xF, f"set {flags & 0xF}")
    return SignedBlock(
        scheme="NXP AHAB", algorithm=key.algorithm, hash=key.hash, padding=key.padding,
        signature=pair if key.algorithm == "ECDSA" else numbers, digest=digest(key.hash, source, (base, block + signature)),
        carried=b"" if certificate else key.der, key_hint=f"key {flags >> 4 & 3} of {signer}", intact=intact,
        covers="container header with the hashes of the images" + (", by the key of a certificate" if certificate else ""),
    )  # fmt: skip


def _used(source: ByteSource, at: int, number: int) -> _Key | None:
    """The record of the key table that the header names."""
    head = source.peek(at, 4)
    if head[:1] != b"\xd7" or head[3:] != b"\x42":
        return None
    at += 4
    for each in range(_KEYS):
        raw = source.peek(at, _RECORD.size)
        if len(raw) < _RECORD.size:
            return None
        tag, length, algorithm, hashed, _, _, _, first, second = _RECORD.unpack(raw)
        if tag != 0xE1 or length < _RECORD.size + first + second or hashed not in _HASHES:
            return None
        if each == number:
            numbers = source.peek(at + _RECORD.size, first + second)
            return _key(algorithm, _HASHES[hashed], numbers[:first], numbers[first:])
        at += length
    return None


def _key(algorithm: int, hashed: str, first: bytes, second: bytes) -> _Key:
    one, two = int.from_bytes(first, "big"), int.from_bytes(second, "big")
    if algorithm in (_RSA, _PSS):
        return _Key("RSA", "pss" if algorithm == _PSS else "pkcs1v15", hashed, rsa_key(one, two))
    if algorithm == _ECDSA:
        return _Key("ECDSA", "", hashed, ec_key(8 * len(first), one, two))
    return _Key("unknown", "", hashed, b"")
