"""Signatures of OpenWrt behind an image: one of usign alone, or a chain of ucert.

A usign signature is two lines of text: a comment, and in base64 ``Ed``, eight bytes of key number and 64 of Ed25519. A chain is a
row of blobs (big-endian; a word whose low 24 bits are the length with this word and bits 24 to 30 a number, padded to 4). Each
holds attribute 0, a usign signature, and in all but the last attribute 1, what is signed: a table ``ucert`` of named values
(number 3 is a text, 4 and 5 are numbers of 64 and 32 bits; behind the word the length of the name in 16 bits, the name and its
zero, padded) with ``certtype`` (1: a key), ``validfrom``, ``expiresat`` and ``pubkey``, a usign key in text. The first signature
is by a key of the device, each further one by the key before, the last one is over the image. Sources: ``ucert.c`` of
openwrt/ucert, ``blob.h`` and ``blobmsg.h`` of libubox.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

import msgspec

_TEXT: Final = re.compile(rb"untrusted comment:[^\n]{0,200}\n([A-Za-z0-9+/=]{100})\s*")
_KEY: Final = re.compile(rb"untrusted comment:[^\n]{0,200}\n([A-Za-z0-9+/=]{56})\s*")
_LINKS: Final = 16
_ATTRIBUTES: Final = 64
_AUTHORITY: Final = 1
_DER: Final = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of Ed25519 in front of the key


class Usign(msgspec.Struct, frozen=True):
    """One signature of usign."""

    number: bytes
    signature: bytes


class Chain(msgspec.Struct, kw_only=True):
    """What a signature behind an image says. ``vouched``: message and signature that tie the first key to one of the device."""

    last: Usign | None = None
    key: bytes = b""  # that the last signature is by, DER, where certificates lead to it
    vouched: tuple[bytes, bytes] = (b"", b"")
    links: int = 0
    expires: int = 0
    broken: str = ""


def usign(raw: bytes) -> Usign | None:
    """The signature in a text of usign or signify; None when it is none."""
    decoded = _decoded(_TEXT, raw)
    return Usign(decoded[2:10], decoded[10:]) if len(decoded) == 74 and decoded[:2] == b"Ed" else None


def chain(raw: bytes) -> Chain:
    """The signature of an image in either form."""
    alone = usign(raw)
    if alone is not None:
        return Chain(last=alone)
    found = Chain()
    for element in _attributes(raw):
        inside = dict(_attributes(element[1]))
        signature = usign(inside.get(0, b""))
        if signature is None or found.last is not None or found.links >= _LINKS:
            break
        if 1 not in inside:
            found.last = signature
        elif not _link(found, inside[1], signature):
            break
    return found


def _link(found: Chain, message: bytes, signature: Usign) -> bool:
    """Takes one certificate into the chain; False where it does not hold."""
    table = next((_named(value) for number, value in _attributes(message) if number & 0x7F), {})
    key = _decoded(_KEY, table.get("pubkey", b"").rstrip(b"\0"))
    if len(key) != 42 or int.from_bytes(table.get("certtype", b""), "big") != _AUTHORITY:
        found.broken = "a certificate without a key"
    elif found.key and not _fits(found.key, message, signature.signature):
        found.broken = "a certificate that is not signed by the key before it"
    if found.broken:
        return False
    if not found.key:
        found.vouched = (message, signature.signature)
    found.key, found.links = _DER + key[10:], found.links + 1
    found.expires = int.from_bytes(table.get("expiresat", b"")[:8], "big")
    return True


def _fits(key: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # heavy, and few images are signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key[len(_DER) :]).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(shape: re.Pattern[bytes], raw: bytes) -> bytes:
    held = shape.fullmatch(raw.rstrip(b"\0"))
    try:
        return base64.b64decode(held[1], validate=True) if held is not None else b""
    except binascii.Error:
        return b""


def _attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of the blobs that lie one behind the other, as far as they fit."""
    at = 0
    for _ in range(_ATTRIBUTES):
        word = int.from_bytes(raw[at : at + 4], "big")
        size = word & 0xFFFFFF
        if size < 4 or at + size > len(raw):
            return
        yield word >> 24 & 0x7F, _without_name(raw[at + 4 : at + size]) if word >> 31 else raw[at + 4 : at + size]
        at += size + -size % 4


def _without_name(raw: bytes) -> bytes:
    """The value of a named blob."""
    begin = 2 + int.from_bytes(raw[:2], "big") + 1
    return raw[begin + -begin % 4 :]


def _named(raw: bytes) -> dict[str, bytes]:
    """The values of a table by their names."""
    found: dict[str, bytes] = {}
    at = 0
    for _ in range(_ATTRIBUTES):
        size = int.from_bytes(raw[at + 1 : at + 4], "big")
        if size < 8 or at + size > len(raw):
            break
        body = raw[at + 4 : at + size]
        name = body[2 : 2 + int.from_bytes(body[:2], "big")].decode("utf-8", "replace")
        found.setdefault(name, _without_name(body))
        at += size + -size % 4
    return found
