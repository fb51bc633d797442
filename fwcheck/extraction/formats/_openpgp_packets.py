"""OpenPGP signatures: packets, armour, and what has to be hashed for them (RFC 9580, sections 4.2, 5.2, 6 and 7; RFC 4880).

A signature of version 4: version, type, algorithm of the key, hash, length and hashed subpackets, length and other subpackets,
the first two bytes of the digest, and the numbers of the signature. Hashed are the message, the packet up to the end of its
hashed subpackets, ``04 FF``, and the length of that. Of type 0 the message is hashed as it is, of type 1 its lines end with
CR LF.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from fwcheck.extraction.formats._signed import two_numbers
from fwcheck.model import SignedBlock

SIGNATURE: Final = 2
HASHES: Final = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
_KEYS: Final[dict[int, Literal["RSA", "ECDSA", "Ed25519"]]] = {1: "RSA", 3: "RSA", 19: "ECDSA", 22: "Ed25519", 27: "Ed25519"}
_BINARY, _TEXT = 0, 1
_MOST: Final = 16  # signatures of one message
_PACKETS: Final = 4096
_ISSUER, _FINGERPRINT = 16, 33
_HEADERS = r"(?:[A-Za-z]{1,20}: [^\n]{0,200}\n){0,8}[ \t]*\r?\n"
_ARMOUR = re.compile(rf"-----BEGIN PGP SIGNATURE-----[ \t]*\r?\n{_HEADERS}([A-Za-z0-9+/=\s]{{1,65536}})-----END PGP SIG")
_CLEAR = re.compile(rf"-----BEGIN PGP SIGNED MESSAGE-----[ \t]*\r?\n{_HEADERS}")
_RSA_STEP: Final = 128  # bytes: signatures are filled up to the next multiple, since zeros in front are left out


class Packet(NamedTuple):
    """One packet: its type, its body, and the offset behind it."""

    kind: int
    body: bytes
    end: int


class PgpSignature(NamedTuple):
    """A signature as far as it can be read. ``trailer``: what is hashed behind the message; empty for unknown versions."""

    type: int
    hash: str
    algorithm: Literal["RSA", "ECDSA", "Ed25519", "unknown"]
    signature: bytes
    trailer: bytes
    start: bytes  # of the digest
    issuer: str


def packets(raw: bytes) -> Iterator[Packet]:
    """The packets of a message one after the other; ends where there is none, and at lengths that are not told."""
    at = 0
    for _ in range(_PACKETS):
        if at + 2 > len(raw) or not raw[at] & 0x80:
            return
        first = raw[at + 1]
        if raw[at] & 0x40:
            kind = raw[at] & 0x3F
            if first < 192:
                begin, size = at + 2, first
            elif first < 224:
                begin, size = at + 3, ((first - 192) << 8) + int.from_bytes(raw[at + 2 : at + 3], "big") + 192
            elif first == 255:
                begin, size = at + 6, int.from_bytes(raw[at + 2 : at + 6], "big")
            else:
                return
        else:
            width = 1 << (raw[at] & 3)
            if width > 4:
                return
            kind, begin = raw[at] >> 2 & 0x0F, at + 1 + width
            size = int.from_bytes(raw[at + 1 : begin], "big")
        if begin + size > len(raw):
            return
        at = begin + size
        yield Packet(kind, raw[begin:at], at)


def dearmoured(text: str) -> bytes:
    """The bytes of the first armoured signature in a text; empty without one."""
    found = _ARMOUR.search(text)
    if found is None:
        return b""
    body = "".join(found[1].split())
    body = body[:-5] if body[-5:-4] == "=" else body
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return b""


def signatures(raw: bytes) -> tuple[PgpSignature, ...]:
    """The signatures in front of or behind a message."""
    found: list[PgpSignature] = []
    for packet in packets(raw):
        if packet.kind == SIGNATURE and len(found) < _MOST:
            found.append(_signature(packet.body))
    return tuple(found)


def _signature(body: bytes) -> PgpSignature:
    unread = PgpSignature(-1, "", "unknown", b"", b"", b"", "")
    if len(body) < 10 or body[0] != 4:
        return unread
    hashed = 6 + int.from_bytes(body[4:6], "big")
    rest = hashed + 2 + int.from_bytes(body[hashed : hashed + 2], "big")
    numbers = body[rest + 2 :]
    if rest + 2 > len(body):
        return unread
    algorithm = _KEYS.get(body[2])
    return PgpSignature(
        type=body[1],
        hash=HASHES.get(body[3], ""),
        algorithm=algorithm or "unknown",
        signature=_encoded(body[2], numbers) if algorithm is not None else b"",
        trailer=body[:hashed] + b"\x04\xff" + hashed.to_bytes(4, "big"),
        start=body[rest : rest + 2],
        issuer=_issuer(body[6:hashed]) or _issuer(body[hashed + 2 : rest]),
    )


def _encoded(algorithm: int, raw: bytes) -> bytes:
    """The numbers of a signature as the library takes them; empty where they do not fit."""
    if algorithm == 27:
        return raw[:64] if len(raw) >= 64 else b""
    first, at = number(raw, 0)
    if algorithm in (1, 3):
        return first.rjust(-(-len(first) // _RSA_STEP) * _RSA_STEP, b"\0")
    second, _ = number(raw, at)
    if not first or not second:
        return b""
    if algorithm == 22:
        return first.rjust(32, b"\0") + second.rjust(32, b"\0") if max(len(first), len(second)) <= 32 else b""
    return two_numbers(int.from_bytes(first, "big"), int.from_bytes(second, "big"))


def number(raw: bytes, at: int) -> tuple[bytes, int]:
    """A number with its length in bits in front, and the offset behind it; empty where it does not fit."""
    size = (int.from_bytes(raw[at : at + 2], "big") + 7) // 8
    end = at + 2 + size
    return (raw[at + 2 : end], end) if 0 < size <= 2048 and end <= len(raw) else (b"", at)


def _issuer(raw: bytes) -> str:
    """The key identifier of the signer, by a subpacket."""
    at = 0
    while at + 2 <= len(raw):
        first = raw[at]
        width = 1 if first < 192 else 2 if first < 255 else 5
        size = int.from_bytes(raw[at + 1 : at + 5], "big")
        size = first if width == 1 else ((first - 192) << 8) + raw[at + 1] + 192 if width == 2 else size
        body = raw[at + width : at + width + size]
        if not body:
            return ""
        if body[0] & 0x7F == _ISSUER and len(body) == 9:
            return body[1:].hex().upper()
        if body[0] & 0x7F == _FINGERPRINT and len(body) == 22:
            return body[14:].hex().upper()
        at += width + size
    return ""


# --------------------------------------------------------------------------- what is hashed

Digest = Callable[[str, bytes], bytes]  # of the message and this trailer, in this hash; empty where it cannot be made


def blocks(found: tuple[PgpSignature, ...], digest: Digest, scheme: str, covers: str) -> tuple[SignedBlock, ...]:
    """Signatures as they are verified: of programs and packages inside the image, which have keys of their own."""
    return tuple(_block(each, digest(each.hash, each.trailer) if _readable(each) else b"", scheme, covers) for each in found)


def _readable(each: PgpSignature) -> bool:
    return each.type in (_BINARY, _TEXT) and bool(each.hash and each.signature and each.trailer)


def _block(each: PgpSignature, digest: bytes, scheme: str, covers: str) -> SignedBlock:
    return SignedBlock(
        scheme=scheme, algorithm=each.algorithm, hash=each.hash, padding="pkcs1v15" if each.algorithm == "RSA" else "",
        signature=each.signature, digest=digest, key_hint=f"key {each.issuer}" if each.issuer else "", covers=covers,
        role="content",
        intact=digest[:2] == each.start if digest else None,
    )  # fmt: skip


def beside(found: tuple[PgpSignature, ...]) -> tuple[SignedBlock, ...]:
    """Signatures in a file of their own: ``message`` is what has to be hashed behind the file that they are over."""
    return tuple(
        SignedBlock(
            scheme="OpenPGP", algorithm=each.algorithm, hash=each.hash, padding="pkcs1v15" if each.algorithm == "RSA" else "",
            signature=each.signature, message=each.trailer, bound=each.start, role="detached",
            key_hint=f"key {each.issuer}" if each.issuer else "", covers="text" if each.type == _TEXT else "file",
        )
        for each in found
    )  # fmt: skip


def clear_text(text: str) -> tuple[str, bytes] | None:
    """A clear-signed message as it is hashed, and its signatures in bytes; None for what is none."""
    head = _CLEAR.match(text)
    end = text.find("\n-----BEGIN PGP SIGNATURE-----", head.end() - 1) if head is not None else -1
    if head is None or end < 0:
        return None
    rows = text[head.end() : end].replace("\r\n", "\n").split("\n") if end >= head.end() else []
    rows = [(row.removeprefix("- ")).rstrip(" \t") for row in rows]
    return "\r\n".join(rows), dearmoured(text[end:])
