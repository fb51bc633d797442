"""What signs an Allwinner TOC0 image: a certificate with the hash of the firmware, and a key item in which a root key vouches.

The certificate looks like X.509 and is none: four bytes of tag and length around two sequences. The first holds version, serial
number, four empty sequences, the key (an RSA modulus of 256 bytes without a leading zero, an exponent of 3) and the SHA-256 of
the firmware item; the second an RSA-2048 signature. Signed are as many bytes as the first sequence has, from its tag on: its last
four bytes are not covered. The key item: vendor, lengths of modulus and exponent of the root key and of the firmware's, length of
the signature (words, little-endian), both keys in 512 bytes each, 32 unused, then the root key's signature over all before it.
Both signatures are PKCS #1 v1.5 over SHA-256. Source: U-Boot tools/sunxi_toc0.c.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._signed import rsa_key
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_CERTIFICATE: Final = 603
_KEY_ITEM: Final = 1336
_MODULUS, _EXPONENT, _DIGEST, _SIGNATURE = 38, 296, 305, 347  # places in the certificate
_COVERED: Final = 329
_TAGS: Final = ((0, b"\x30\x82"), (4, b"\x30\x82\x01\x49"), (34, b"\x02\x82\x01\x00"), (294, b"\x02\x03"), (303, b"\x02\x20"))
_KEYS_AT, _KEY_SIZE, _SIGNED = 24, 512, 1080  # places in the key item

Place = tuple[int, int]


class Toc0Signature(msgspec.Struct, kw_only=True):
    """What was found: in words, and ready to be verified."""

    words: str = "a certificate of an unknown layout (not verified)"
    blocks: tuple[SignedBlock, ...] = ()
    problems: list[str] = []


def signature(source: ByteSource, items: dict[str, Place]) -> Toc0Signature:
    """The signature of the items whose places (offset, size) are given by their names."""
    at, size = items.get("certificate", (0, 0))
    raw = source.peek(at, min(size, _CERTIFICATE))
    if len(raw) < _CERTIFICATE or any(raw[place : place + len(tag)] != tag for place, tag in _TAGS):
        return Toc0Signature()
    key = rsa_key(int.from_bytes(raw[_MODULUS : _MODULUS + 256], "big"), int.from_bytes(raw[_EXPONENT : _EXPONENT + 3], "big"))
    found = Toc0Signature(words="RSA-2048 signature over the certificate (not verified)")
    right = None
    if (firmware := items.get("firmware")) is not None:
        right = digest("sha256", source, firmware) == raw[_DIGEST : _DIGEST + 32]
        found.words += f", SHA-256 of the firmware {'right' if right else 'wrong'}"
        if not right:
            found.problems = ["the firmware is not the one whose hash stands in the certificate"]
    vouched = _vouched(source, items.get("key"), key)
    found.blocks = (
        SignedBlock(
            scheme="Allwinner TOC0", algorithm="RSA", padding="pkcs1v15", signature=raw[_SIGNATURE:_CERTIFICATE], carried=key,
            digest=digest("sha256", source, (at + 4, _COVERED)), intact=right, vouched=vouched,
            covers="the certificate with the hash of the firmware",
        ),
    )  # fmt: skip
    return found


def _vouched(source: ByteSource, place: Place | None, key: bytes) -> tuple[bytes, ...]:
    """Message and signature of the key item, where it names the key of the certificate."""
    raw = source.peek(*place) if place is not None and place[1] >= _KEY_ITEM else b""
    if len(raw) < _KEY_ITEM:
        return ()
    _, _, _, modulus, exponent, size = struct.unpack_from("<6I", raw)
    if modulus + exponent > _KEY_SIZE or size > _KEY_ITEM - _SIGNED:
        return ()
    numbers = raw[_KEYS_AT + _KEY_SIZE : _KEYS_AT + _KEY_SIZE + modulus + exponent]
    named = rsa_key(int.from_bytes(numbers[:modulus], "big"), int.from_bytes(numbers[modulus:], "big"))
    return (raw[:_SIGNED], raw[_SIGNED : _SIGNED + size]) if named and named == key else ()
