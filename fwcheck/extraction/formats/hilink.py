"""HiLink HLK-RM04 update image: a uImage encrypted with DES in ECB mode, twice, the second time from its fourth byte on.

There is no header. What tells it are bytes of the image name of the uImage inside, which always come out the same: zeros behind a
name of up to eight characters, or ``Linux Kernel Image`` (OpenWrt firmware-utils, mkhilinkfw, which also publishes the key).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, modes

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._decrypt import decrypted, encrypted
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_KEY = b"H@L9K*(3"
_SHIFT, _BLOCK, _HEADER = 3, 8, 64
_SCHEME = "DES-ECB twice, HiLink"
_MAGIC = b"\x27\x05\x19\x56"


class HiLink(Format):
    """HiLink image; the uImage inside is encrypted."""

    name = "hilink"
    title = "HiLink encrypted firmware image (HLK-RM04)"
    specification = "OpenWrt firmware-utils, mkhilinkfw"
    category = "encryption"
    reads = "the header of the uImage inside; where asked for, all of it, decrypted with the published key"
    signatures = (
        Signature(pattern=rb"\x58\x14\x3b\x9a\x6c\x0e\xf4\xf2", width=8, offset=43, anywhere=False),
        Signature(pattern=rb"\x12\xfe\xfb\xd1\x81\x00\x16\xa7", width=8, offset=35, anywhere=False),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = b"".join(_plain(source.window(offset, _HEADER + _SHIFT)))[:_HEADER]
        size, name = struct.unpack_from(">I", head, 12)[0], head[32:]
        crc = int.from_bytes(head[4:8], "big")
        if head[:4] != _MAGIC or zlib.crc32(head[:4] + bytes(4) + head[8:]) != crc:
            raise FormatError("not an encrypted uImage")
        length = min(_HEADER + size, source.size - offset)
        problems = [] if length == _HEADER + size else [f"{_HEADER + size} bytes announced, {length} there"]
        cipher = source.window(offset, length)
        entry = encrypted(source, offset, length, _SCHEME)
        if limits.published_keys:
            entry = decrypted(partial(_plain, cipher), offset, length, _SCHEME, limits)
        return Container(
            format=self.name,
            size=length,
            entries=[entry],
            detail={
                "name": name.split(b"\0", 1)[0].decode("ascii", "replace"),
                "encryption": _SCHEME,
                "integrity": "checksum",
                "integrity_detail": "CRC32 of the uImage header inside right",
            },
            problems=problems,
        )


def _plain(cipher: ByteSource) -> Iterator[bytes]:
    """What was encrypted: the pass from the fourth byte on is undone first. Blocks that are not whole stayed as they were."""
    shifted, straight = (Cipher(TripleDES(_KEY * 3), modes.ECB()).decryptor() for _ in range(2))  # noqa: S305
    last = _SHIFT + (cipher.size - _SHIFT) // _BLOCK * _BLOCK  # where whole blocks of the second pass end
    done, held = 0, b""
    for chunk in cipher.chunks():
        held += _undone(shifted, bytes(chunk), done, last)
        done += len(chunk)
        ready = len(held) // _BLOCK * _BLOCK
        yield straight.update(held[:ready])
        held = held[ready:]
    yield held


def _undone(context: CipherContext, chunk: bytes, done: int, last: int) -> bytes:
    """One chunk of the second pass; what does not fill a block yet comes out with the next chunk."""
    begin = max(0, _SHIFT - done)
    end = max(begin, min(len(chunk), last - done))
    return chunk[:begin] + context.update(chunk[begin:end]) + chunk[end:]


FORMATS = (HiLink(),)
