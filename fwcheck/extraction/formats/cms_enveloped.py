"""CMS messages with encrypted content: EnvelopedData and AuthEnvelopedData (RFC 5652, RFC 5083), in DER or in BER of any length.

ContentInfo: OID, [0] { version, [0] originator, recipients, EncryptedContentInfo: OID, algorithm with its parameters, [0]
content }; AuthEnvelopedData has attributes and a MAC behind it. Values of unknown length (0x80) end with two zero octets, and
their content comes in pieces: so programs write what they encrypt while they read it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

_ENVELOPED: Final = bytes.fromhex("06092a864886f70d010703")
_AUTHENTICATED: Final = bytes.fromhex("060b2a864886f70d0109100117")
_SEQUENCE, _SET, _OCTETS, _IN_PIECES, _INTEGER, _OID = 0x30, 0x31, 0x04, 0x24, 0x02, 0x06
_ZERO, _ZERO_PRIMITIVE = 0xA0, 0x80
_PIECES: Final = 1 << 17  # OpenSSL writes pieces of 4 KiB
_CHILDREN: Final = 10_000
_DEEP: Final = 24
_CIPHERS: Final = {
    "608648016503040102": "AES-128-CBC", "608648016503040116": "AES-192-CBC", "60864801650304012a": "AES-256-CBC",
    "608648016503040106": "AES-128-GCM", "60864801650304011a": "AES-192-GCM", "60864801650304012e": "AES-256-GCM",
    "2a864886f70d0307": "3DES-CBC", "2a864886f70d0302": "RC2-CBC", "2b0e030207": "DES-CBC",
    "2a864886f70d0109100312": "ChaCha20-Poly1305",
}  # fmt: skip
_RECIPIENTS: Final = {
    0x30: "a certificate",
    0xA1: "key agreement",
    0xA2: "a shared key",
    0xA3: "a password",
    0xA4: "another kind of key",
}


class _Value(msgspec.Struct, frozen=True):
    tag: int
    at: int  # of the content
    size: int  # of the content
    end: int  # behind the value, its end mark included
    open_ended: bool


class CmsEnveloped(Format):
    """CMS message with encrypted content: cipher and recipients are told."""

    name = "cms-enveloped"
    title = "CMS encrypted message (PKCS #7)"
    specification = "RFC 5652, RFC 5083"
    category = "encryption"
    reads = "EnvelopedData and AuthEnvelopedData, DER and streamed BER; cipher, kinds of recipients, extent"
    not_read = "the content (a key is needed); base64 forms (S/MIME, PEM) stay files"
    signatures = tuple(
        Signature(pattern=rb"\x30" + length + oid, width=width + size)
        for length, width in (
            (rb"\x80", 2),
            (rb"\x82[\x01-\xff][\x00-\xff]", 4),
            (rb"\x83[\x00-\xff]{3}", 5),
            (rb"\x84[\x00-\x3f][\x00-\xff]{3}", 6),
        )
        for oid, size in (
            (rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", 11),
            (rb"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17", 13),
        )
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        whole = _value(source, offset, source.size)
        kind = _value(source, whole.at, whole.end)
        oid = source.read(whole.at, kind.end - whole.at)
        if whole.tag != _SEQUENCE or oid not in {_ENVELOPED, _AUTHENTICATED}:
            raise FormatError("no encrypted CMS message")
        holder = _value(source, kind.end, whole.end)
        body = _value(source, holder.at, holder.end)
        if holder.tag != _ZERO or body.tag != _SEQUENCE:
            raise FormatError("no body of an encrypted CMS message")
        parts = _children(source, body)
        recipients = next((each for each in parts if each.tag == _SET), None)
        info = next((each for each in parts if each.tag == _SEQUENCE), None)
        if not parts or parts[0].tag != _INTEGER or recipients is None or info is None:
            raise FormatError("no recipients or no content in an encrypted CMS message")
        cipher, content = _content(source, info)
        kinds = [_RECIPIENTS.get(each.tag, "an unknown recipient") for each in _children(source, recipients)]
        told = ", ".join(dict.fromkeys(kinds)) or "nobody"
        authenticated = oid == _AUTHENTICATED
        scheme = f"CMS {'AuthEnvelopedData' if authenticated else 'EnvelopedData'}, {cipher}, for {told}"
        entry = Entry(
            path="content",
            kind=NodeKind.REGION,
            size=content.size,
            role="encrypted",
            detail={"encryption": scheme},
            locality=info.at,
            open=lambda: content,
        )
        return Container(
            format=self.name,
            size=whole.end - offset,
            entries=[entry],
            detail={
                "cipher": cipher,
                "recipients": f"{len(kinds)}: {told}",
                "integrity": "none",
                "integrity_detail": "authenticated encryption, not checkable without the key"
                if authenticated
                else "not authenticated",
            },
        )


def _content(source: ByteSource, info: _Value) -> tuple[str, ByteSource]:
    """Name of the cipher, and the ciphertext, of EncryptedContentInfo."""
    parts = _children(source, info)
    if len(parts) < 3 or parts[0].tag != _OID or parts[1].tag != _SEQUENCE or parts[2].tag not in {_ZERO, _ZERO_PRIMITIVE}:
        raise FormatError("no encrypted content in a CMS message")
    algorithm = _value(source, parts[1].at, parts[1].end)
    name = source.read(algorithm.at, min(algorithm.size, 32)).hex() if algorithm.tag == _OID else ""
    text = parts[2]
    if text.tag == _ZERO_PRIMITIVE:
        pieces = [source.window(text.at, text.size)]
    else:
        pieces = [source.window(each.at, each.size) for each in _children(source, text, _PIECES) if each.tag == _OCTETS]
    if not pieces:
        raise FormatError("an encrypted CMS message without a ciphertext")
    return _CIPHERS.get(name, f"cipher {name}"), Joined(pieces)


def _value(source: ByteSource, at: int, end: int, deep: int = 0) -> _Value:
    """The value at ``at``, which must end before ``end``."""
    head = source.peek(at, 6)
    if len(head) < 2 or head[0] & 0x1F == 0x1F or deep > _DEEP:
        raise FormatError("no ASN.1 value")
    count = head[1] & 0x7F if head[1] & 0x80 else 0
    begin = at + 2 + count
    if head[1] == 0x80:
        if not head[0] & 0x20:
            raise FormatError("a primitive ASN.1 value without a length")
        last = _open_ended(source, begin, end, deep)
        return _Value(head[0], begin, last - begin, last + 2, True)
    if count > 4 or len(head) < 2 + count:
        raise FormatError("no ASN.1 length")
    size = int.from_bytes(head[2 : 2 + count], "big") if count else head[1]
    if begin + size > end:
        raise FormatError("an ASN.1 value that reaches too far")
    return _Value(head[0], begin, size, begin + size, False)


def _open_ended(source: ByteSource, at: int, end: int, deep: int) -> int:
    """Where the end mark of a value without a length stands."""
    for _ in range(_PIECES):
        if source.peek(at, 2) == b"\0\0":
            return at
        at = _value(source, at, end, deep + 1).end
    raise FormatError("an ASN.1 value of too many pieces")


def _children(source: ByteSource, value: _Value, most: int = _CHILDREN) -> list[_Value]:
    out: list[_Value] = []
    at, end = value.at, value.at + value.size
    while at < end and len(out) < most:
        out.append(_value(source, at, end))
        at = out[-1].end
    return out


FORMATS = (CmsEnveloped(),)
