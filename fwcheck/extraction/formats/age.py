"""age: a text header with one stanza per recipient and a MAC, then nonce and payload (the age file format, C2SP age.md).

    age-encryption.org/v1
    -> TYPE ARGUMENT ...
    BODY (base64 without padding, lines of 64 characters, the last one shorter)
    --- MAC (base64 of 32 bytes)

The payload is a nonce of 16 bytes and ChaCha20-Poly1305 chunks: 64 KiB of text and a tag of 16 bytes each; the last one may be
shorter. Armored files are PEM of type ``AGE ENCRYPTED FILE``.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._ciphertext import ciphertext, encrypted
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_MAGIC: Final = b"age-encryption.org/v1\n"
_HEADER_LIMIT: Final = 1 << 16
_BEGIN: Final = b"-----BEGIN AGE ENCRYPTED FILE-----"
_END: Final = b"-----END AGE ENCRYPTED FILE-----"
_HEADER = re.compile(
    rb"age-encryption\.org/v1\n(?:-> [\x21-\x7e]+(?: [\x21-\x7e]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n){1,2000}"
    rb"--- [A-Za-z0-9+/]{43}\n"
)
_STANZA = re.compile(rb"^-> ([\x21-\x7e]+)", re.MULTILINE)
_NONCE, _CHUNK, _TAG = 16, 64 << 10, 16


class Age(Format):
    """age file, binary or armored: recipients and extent are told, the payload is encrypted."""

    name = "age"
    title = "age encrypted file"
    specification = "C2SP age.md (age-encryption.org/v1)"
    category = "encryption"
    reads = "recipient stanzas, number of chunks, armor"
    not_read = "the payload (an identity or a passphrase is needed) and the header MAC, which is keyed"
    signatures = (
        Signature(pattern=rb"age-encryption\.org/v1\n-> ", width=25),
        Signature(pattern=_BEGIN, width=len(_BEGIN), anywhere=False),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, len(_BEGIN)) == _BEGIN:
            return _armored(source, offset)
        header, recipients = _header(source.peek(offset, _HEADER_LIMIT))
        at = offset + header
        size = ciphertext(source, at, 1)
        if size < _NONCE + _TAG:
            raise Truncated(f"an age header and {size} bytes: there is no payload")
        return Container(
            format=self.name,
            size=header + size,
            entries=[encrypted(source, "payload", at, size, _scheme(recipients))],
            detail=_detail(recipients) | {"armor": "no", "payload_size": size, "chunks": _chunks(size)},
        )


def _header(head: bytes) -> tuple[int, list[str]]:
    """Length of the header, and the types of its stanzas; raises FormatError when it is none."""
    match = _HEADER.match(head)
    if match is None:
        raise FormatError("no age header")
    return match.end(), [kind.decode("ascii") for kind in _STANZA.findall(match[0])]


def _armored(source: ByteSource, offset: int) -> Container:
    """PEM: the header is decoded, and the whole text stands for the ciphertext, which is nowhere as it is."""
    end = _end(source, offset)
    lines = source.peek(offset, min(end - offset, _HEADER_LIMIT)).splitlines()[1:]
    text = b"".join(lines).partition(b"-")[0]
    try:
        _, recipients = _header(binascii.a2b_base64(text[: len(text) & ~3]))
    except binascii.Error as error:
        raise FormatError("the armor of an age file is no base64") from error
    return Container(
        format="age",
        size=end - offset,
        entries=[encrypted(source, "armored", offset, end - offset, _scheme(recipients))],
        detail=_detail(recipients) | {"armor": "yes"},
    )


def _end(source: ByteSource, offset: int) -> int:
    """Where the armor ends, with its line break; raises FormatError when it does not."""
    step = 1 << 20
    for at in range(offset, source.size, step):
        found = source.peek(at, step + len(_END)).find(_END)
        if found >= 0:
            end = at + found + len(_END)
            tail = source.peek(end, 2)
            return end + (2 if tail == b"\r\n" else 1 if tail[:1] == b"\n" else 0)
    raise FormatError("the armor of an age file does not end")


def _chunks(size: int) -> int:
    return -(-(size - _NONCE) // (_CHUNK + _TAG))


def _scheme(recipients: list[str]) -> str:
    return f"age: ChaCha20-Poly1305, key for {' '.join(dict.fromkeys(recipients))}"[:200]


def _detail(recipients: list[str]) -> dict[str, str | int]:
    return {
        "recipients": ", ".join(recipients[:16]),
        "integrity": "none",
        "integrity_detail": "authenticated encryption: nothing that could be checked without the key",
    }


FORMATS = (Age(),)
