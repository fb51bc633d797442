"""Public keys that are built into a boot loader's code: in DER as MCUboot has them, or as the bare numbers of a point on P-256.

MCUboot's keys are RSAPublicKey (PKCS #1) or SubjectPublicKeyInfo in DER, as ``imgtool getpub`` writes them. ESP-IDF's second
stage (Secure Boot V1) holds x and y with the most significant byte first, the loader of the nRF5 SDK (``dfu_public_key.c``) with
the least significant first; both in 64 bytes at an address that four divides. Nothing announces such a key, but of random numbers
none solves the equation of the curve. Its generator, which every library for it holds, does, and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from fwcheck.extraction.formats._signed import ec_key
from fwcheck.extraction.source import ByteSource

_DER = re.compile(
    rb"(?s)\x30\x82[\x01-\x04].\x02\x82[\x01-\x04]\x01\x00[\x80-\xff]"  # RSAPublicKey
    rb"|\x30\x82..\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82"  # SubjectPublicKeyInfo: RSA
    rb"|\x30[\x50-\x7f]\x30[\x10-\x14]\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06"  # EC
    rb"|\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"  # Ed25519
)
_P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_GENERATOR: Final = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_LOADER: Final = 256 << 10  # bytes of the largest boot loader that is looked at
_SMALL: Final = 96 << 10  # bytes of the largest one whose every word is tried as the beginning of a point
_MOST: Final = 8
_CANDIDATES: Final = 64


class LoaderKeys(NamedTuple):
    """Public keys in a loader's code, DER SubjectPublicKeyInfo, and where in the code each stands."""

    keys: tuple[bytes, ...] = ()
    places: tuple[int, ...] = ()

    @property
    def detail(self) -> dict[str, str | int]:
        """As a field of a container; none without keys."""
        return {"built_in_keys": " ".join(f"0x{each:x}" for each in self.places)} if self.keys else {}


def keys_of_loader(source: ByteSource, offset: int, size: int) -> LoaderKeys:
    """The public keys in the code at ``offset``; none for code that is too large for a boot loader."""
    if not 256 <= size <= _LOADER:
        return LoaderKeys()
    raw = source.peek(offset, size)
    found: dict[bytes, int] = {}
    for key, at in (*_written(raw), *_bare(raw)):
        if len(found) < _MOST:
            found.setdefault(key, at)
    return LoaderKeys(tuple(found), tuple(found.values()))


def _written(raw: bytes) -> Iterator[tuple[bytes, int]]:
    """Keys in DER."""
    for count, hit in enumerate(_DER.finditer(raw)):
        if count >= _CANDIDATES:
            return
        begin = hit.start()
        long = raw[begin + 1] == 0x82
        end = begin + (4 + int.from_bytes(raw[begin + 2 : begin + 4], "big") if long else 2 + raw[begin + 1])
        if end <= len(raw) and (key := _encoded(raw[begin:end])):
            yield key, begin


def _encoded(der: bytes) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # heavy, and few loaders hold a key
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key  # noqa: PLC0415

    try:
        return load_der_public_key(der).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return b""


def _bare(raw: bytes) -> Iterator[tuple[bytes, int]]:
    """Points of P-256 in 64 bytes, in both orders of bytes."""
    count = 0
    for at in range(0, len(raw) - 63 if len(raw) <= _SMALL else 0, 4):
        first, second = raw[at : at + 32], raw[at + 32 : at + 64]
        for order in ("little", "big"):
            x, y = int.from_bytes(first, order), int.from_bytes(second, order)
            if (y * y - x * x * x + 3 * x - _B) % _P or x >= _P or y >= _P or x == _GENERATOR:
                continue
            yield ec_key(256, x, y), at
            count += 1
            if count >= _MOST:
                return
