"""OpenPGP messages (RFC 9580): packets of encrypted, signed, compressed and literal data, binary or armored.

A packet begins with bit 7 set. Bit 6 clear (old): tag in bits 5 to 2, kind of length in bits 1 and 0 (1, 2, 4 octets, or to the
end). Bit 6 set (new): tag in bits 5 to 0, then a length of one octet (below 192), two (below 224), five (255), or partial ones,
powers of two, each followed by the next length.
"""

from __future__ import annotations

import binascii
import bz2
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats._stream import part_name
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined, Memory
from fwcheck.extraction.spool import spool

_PACKETS: Final = 1000
_PARTIALS: Final = 1 << 20
_NESTED: Final = 3
_PIECE: Final = 1 << 16
_OUTPUT: Final = 1 << 20
_ARMOR: Final = 64 << 20
_BEGIN: Final = b"-----BEGIN PGP MESSAGE-----"
_END: Final = b"-----END PGP MESSAGE-----"
_PKESK, _SIGNATURE, _SKESK, _ONE_PASS, _COMPRESSED, _LITERAL, _OCB = 1, 2, 3, 4, 8, 11, 20
_CIPHERTEXT: Final = {9: "no integrity protection", 18: "integrity-protected", 20: "OCB"}
_OTHERS: Final = frozenset({10, 21})  # marker, padding
_CIPHERS: Final = {
    1: "IDEA", 2: "TripleDES", 3: "CAST5", 4: "Blowfish", 7: "AES-128", 8: "AES-192", 9: "AES-256", 10: "Twofish",
    11: "Camellia-128", 12: "Camellia-192", 13: "Camellia-256",
}  # fmt: skip
_KEYS: Final = {
    1: "RSA", 2: "RSA", 3: "RSA", 16: "Elgamal", 17: "DSA", 18: "ECDH", 19: "ECDSA", 22: "EdDSA", 25: "X25519", 27: "Ed25519",
}  # fmt: skip
_HASHES: Final = {1: "MD5", 2: "SHA-1", 3: "RIPEMD-160", 8: "SHA-256", 9: "SHA-384", 10: "SHA-512", 11: "SHA-224"}
_PACKERS: Final = {0: "none", 1: "ZIP", 2: "ZLIB", 3: "BZip2"}


class _Message(msgspec.Struct):
    """What the packets of a message tell, gathered level by level."""

    keys: list[str] = []  # whom the session key is encrypted for
    cipher: str = ""
    signatures: list[str] = []
    entries: list[Entry] = []
    detail: dict[str, str | int] = {}
    problems: list[str] = []


class OpenPgp(Format):
    """OpenPGP message: literal data are a part, encrypted ones are told with recipients and cipher."""

    name = "openpgp"
    title = "OpenPGP message (GnuPG)"
    specification = "RFC 9580, RFC 4880"
    category = "encryption"
    reads = (
        "binary and armored messages: literal, compressed (ZIP, ZLIB, BZip2), signed; recipients and ciphers of encrypted ones"
    )
    not_read = "encrypted data; signatures are told, not verified; keys, detached and cleartext signatures stay files"
    signatures = (
        Signature(pattern=_BEGIN, width=len(_BEGIN), anywhere=False),
        # session keys for keys, old and new packets; for passwords; one-pass signatures; compressed data
        Signature(
            pattern=rb"[\x85\xc1][\x00-\x0f\xc0-\xcf][\x00-\xff]\x03[\x00-\xff]{8}[\x01\x02\x10\x12\x19]",
            width=13,
            anywhere=False,
        ),
        Signature(pattern=rb"[\x84\xc1][\x20-\xff]\x03[\x00-\xff]{8}[\x01\x02\x10\x12\x19]", width=12, anywhere=False),
        Signature(pattern=rb"[\x8c\xc3][\x04-\x7f]\x04[\x01-\x0d][\x00\x01\x03\x04][\x01-\x0e]", width=6, anywhere=False),
        Signature(
            pattern=rb"[\x90\xc4]\x0d\x03[\x00\x01][\x01-\x0e][\x01\x11\x13\x16][\x00-\xff]{8}[\x00\x01]",
            width=15,
            anywhere=False,
        ),
        Signature(pattern=rb"\xa3(?:\x01[\x00-\xff]|\x02\x78|\x03B)", width=3, anywhere=False),
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        armored = source.peek(offset, len(_BEGIN)) == _BEGIN
        message = _Message()
        if armored:
            size, binary = _dearmored(source, offset)
            _read(binary, 0, message, limits, 0)
            # Decoded bytes lie nowhere in the image: what is encrypted is shown where its text is.
            message.entries = [_at_text(source, offset, size, entry) for entry in message.entries]
        else:
            size = _read(source, offset, message, limits, 0) - offset
        if not message.entries:
            raise FormatError("OpenPGP packets without data")
        signed = ", ".join(dict.fromkeys(message.signatures))
        encrypted = any(entry.role == "encrypted" for entry in message.entries)
        told = (
            f"signed by {signed} (not verified)"
            if signed
            else "encrypted: a signature could only be inside"
            if encrypted
            else "not signed"
        )
        return Container(
            format=self.name,
            size=size,
            entries=message.entries,
            detail=message.detail
            | {
                "armor": "yes" if armored else "no",
                "integrity": "signature" if signed else "none",
                "integrity_detail": told[:300],
            },
            problems=message.problems,
        )


def _read(source: ByteSource, offset: int, message: _Message, limits: Limits, level: int) -> int:
    """Reads packets from ``offset`` on into ``message`` and gives the end of the last one."""
    at = offset
    for _ in range(_PACKETS):
        packet = _packet(source, at)
        if packet is None:
            break
        tag, body, end = packet
        if tag in _CIPHERTEXT:
            message.entries.append(_encrypted(tag, body, message))
        elif tag == _COMPRESSED:
            _compressed(body, message, limits, level)
        elif tag == _LITERAL:
            message.entries.append(_literal(body, message))
        elif tag == _PKESK:
            _session_key(body, message)
        elif tag == _SKESK:
            _password(body, message)
        elif tag in {_ONE_PASS, _SIGNATURE}:
            message.signatures += _signature(tag, body)
        at = end
    if at == offset:
        raise FormatError("no OpenPGP packets")
    return at


def _packet(source: ByteSource, at: int) -> tuple[int, ByteSource, int] | None:
    """Tag, body and end of the packet at ``at``; None where there is none of a message."""
    head = source.peek(at, 6).ljust(6, b"\0")
    if at >= source.size or not head[0] & 0x80:
        return None
    if head[0] & 0x40:
        tag = head[0] & 0x3F
        pieces, end = _new_body(source, at + 1)
    else:
        tag, kind = head[0] >> 2 & 15, head[0] & 3
        size = (1, 2, 4, 0)[kind]
        length = int.from_bytes(head[1 : 1 + size], "big") if size else source.size - at - 1
        pieces, end = [(at + 1 + size, length)], at + 1 + size + length
    known = tag in _CIPHERTEXT or tag in _OTHERS or tag in {_PKESK, _SIGNATURE, _SKESK, _ONE_PASS, _COMPRESSED, _LITERAL}
    if not known or end > source.size or not sum(length for _, length in pieces):
        return None
    return tag, Joined([source.window(begin, length) for begin, length in pieces]), end


def _new_body(source: ByteSource, at: int) -> tuple[list[tuple[int, int]], int]:
    """Places of the body of a packet with a new length, and its end; an end behind the source where it is cut off."""
    pieces: list[tuple[int, int]] = []
    while len(pieces) < _PARTIALS:
        head = source.peek(at, 5)
        if not head:
            break
        first = head[0]
        if first < 192:
            length, used = first, 1
        elif first < 224 and len(head) > 1:
            length, used = (first - 192 << 8) + head[1] + 192, 2
        elif first == 255 and len(head) == 5:
            length, used = int.from_bytes(head[1:], "big"), 5
        elif 224 <= first < 255:
            length, used = 1 << (first & 31), 1
        else:
            break
        pieces.append((at + used, length))
        at += used + length
        if at > source.size or not 224 <= first < 255:
            return pieces, at
    return pieces, source.size + 1


def _encrypted(tag: int, body: ByteSource, message: _Message) -> Entry:
    head = body.peek(0, 2).ljust(2, b"\0")
    cipher = message.cipher
    if tag == _OCB or (tag == 18 and head[0] == 2):
        cipher = _CIPHERS.get(head[1], cipher)
    keys = ", ".join(dict.fromkeys(message.keys)) or "an unknown key"
    scheme = f"OpenPGP, {f'{cipher}, ' if cipher else ''}{_CIPHERTEXT[tag]}, for {keys}"
    message.detail["recipients"] = keys[:500]
    return _whole(body, "encrypted", {"encryption": scheme[:300]}, role="encrypted")


def _whole(body: ByteSource, name: str, detail: dict[str, str | int], *, role: str = "part") -> Entry:
    entry = msgspec.structs.replace(part(body, name, 0, body.size, detail), offset=None, open=lambda: body)
    return msgspec.structs.replace(entry, role="encrypted") if role == "encrypted" else entry


def _literal(body: ByteSource, message: _Message) -> Entry:
    """Kind of text (1), length of the name (1), name, date (4), then the data."""
    head = body.peek(0, 262)
    if len(head) < 6 or head[:1] not in {b"b", b"t", b"u", b"l", b"1"} or len(head) < 6 + head[1]:
        raise FormatError("no OpenPGP literal data")
    name, start = head[2 : 2 + head[1]], 6 + head[1]
    time = int.from_bytes(head[start - 4 : start], "big")
    message.detail |= {"name": part_name(name.decode("utf-8", "replace")), "time": datetime.fromtimestamp(time, UTC).isoformat()}
    return _whole(body.window(start, body.size - start), str(message.detail["name"]), {})


def _compressed(body: ByteSource, message: _Message, limits: Limits, level: int) -> None:
    method = body.read(0, 1)[0]
    if method not in _PACKERS or level >= _NESTED:
        raise FormatError("OpenPGP compressed data of an unknown method")
    packed = body.window(1, body.size - 1)
    message.detail["compression"] = _PACKERS[method]
    content = packed if method == 0 else spool(bounded(_decoded(packed, method, message), packed.size, limits))
    _read(content, 0, message, limits, level + 1)


def _decoded(packed: ByteSource, method: int, message: _Message) -> Iterator[bytes]:
    burst, inflate = bz2.BZ2Decompressor(), zlib.decompressobj(-15 if method == 1 else 15)
    try:
        for chunk in packed.chunks(_PIECE):
            piece = bytes(chunk)
            while method == 3 and (piece or not burst.needs_input) and not burst.eof:
                yield burst.decompress(piece, _OUTPUT)
                piece = b""
            while method != 3 and piece and not inflate.eof:
                yield inflate.decompress(piece, _OUTPUT)
                piece = inflate.unconsumed_tail
    except (zlib.error, OSError, ValueError, EOFError) as error:
        note(message.problems, f"compressed data end early: {error}")


def _session_key(body: ByteSource, message: _Message) -> None:
    raw = body.peek(0, 10).ljust(10, b"\0")
    if raw[0] not in {3, 6}:
        raise FormatError("no OpenPGP session key")
    name = _KEYS.get(raw[9], "unknown") if raw[0] == 3 else "version 6"
    hidden = raw[0] == 3 and not any(raw[1:9])
    message.keys.append(f"{name} key {'hidden' if hidden else raw[1:9].hex().upper()}" if raw[0] == 3 else "a version 6 key")


def _password(body: ByteSource, message: _Message) -> None:
    raw = body.peek(0, 3).ljust(3, b"\0")
    if raw[0] not in {4, 5, 6}:
        raise FormatError("no OpenPGP session key")
    cipher = _CIPHERS.get(raw[1] if raw[0] < 6 else raw[2], "")
    message.cipher = message.cipher or cipher
    message.keys.append("a password")


def _signature(tag: int, body: ByteSource) -> list[str]:
    """Who signed, as far as the packet says it openly."""
    raw = body.peek(0, 13).ljust(13, b"\0")
    if tag == _ONE_PASS and raw[0] == 3:
        return [f"{_KEYS.get(raw[3], 'unknown')} key {raw[4:12].hex().upper()} over {_HASHES.get(raw[2], 'unknown hash')}"]
    if tag == _SIGNATURE and raw[0] == 4 and raw[2] not in _KEYS:
        raise FormatError("no OpenPGP signature")
    return []


def _dearmored(source: ByteSource, offset: int) -> tuple[int, ByteSource]:
    """Size of the armor with its last line break, and the bytes in it; raises FormatError when it is none."""
    text = source.peek(offset, _ARMOR)
    end = text.find(_END)
    if end < 0:
        raise FormatError("the armor of an OpenPGP message does not end")
    headers, gap, body = text[len(_BEGIN) : end].replace(b"\r\n", b"\n").partition(b"\n\n")
    if not gap or len(headers) > 4096:
        raise FormatError("no armor of an OpenPGP message")
    lines = [line for line in body.split(b"\n") if line and not line.startswith(b"=")]
    try:
        binary = binascii.a2b_base64(b"".join(lines))
    except binascii.Error as error:
        raise FormatError("the armor of an OpenPGP message is no base64") from error
    end += len(_END)
    return end + (2 if text[end : end + 2] == b"\r\n" else 1 if text[end : end + 1] == b"\n" else 0), Memory(binary)


def _at_text(source: ByteSource, offset: int, size: int, entry: Entry) -> Entry:
    if entry.role != "encrypted":
        return entry
    return msgspec.structs.replace(part(source, entry.path, offset, size, entry.detail), role="encrypted")


FORMATS = (OpenPgp(),)
