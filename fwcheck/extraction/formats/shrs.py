"""D-Link SHRS: an image encrypted with AES-128-CBC behind a header of 0x6DC bytes, big-endian.

    0x000 magic ``SHRS``                          0x05C SHA-512 of the plain image
    0x004 length of the plain image               0x09C SHA-512 of the encrypted image
    0x008 length of the encrypted image           0x0DC 512 bytes unused
    0x00C initialisation vector                   0x2DC RSA-4096 signature
    0x01C SHA-512 of the plain image and the key  0x4DC RSA-4096 signature

The key is the same for all devices and published (layout as known from the published analyses of imgdecrypt of DIR-3040).
"""

from __future__ import annotations

import hashlib
import struct
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._decrypt import aes_cbc, decrypted, encrypted
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER_SIZE = 0x6DC
_FIELDS = struct.Struct(">4sII16s64s64s64s")
_UNUSED = slice(0xDC, 0x2DC)
_KEY = bytes.fromhex("c05fbf1936c99429ce2a0781f08d6ad8")
_SCHEME = "AES-128-CBC, D-Link SHRS"


class Shrs(Format):
    """D-Link SHRS; the image inside is encrypted."""

    name = "shrs"
    title = "D-Link encrypted firmware image (SHRS)"
    specification = "published analyses of D-Link imgdecrypt"
    category = "encryption"
    reads = (
        "header; SHA-512 of the encrypted image; where asked for, decrypted with the published key and both plain SHA-512 checked"
    )
    not_read = "RSA-4096 signatures are told, not verified"
    signatures = (
        Signature(
            pattern=rb"SHRS[\x00-\x3f]...[\x00-\x3f]..[\x00\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0]",
            width=12,
        ),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER_SIZE)
        magic, plain, packed, iv, with_key, of_plain, of_packed = _FIELDS.unpack(raw[: _FIELDS.size])
        start = offset + _HEADER_SIZE
        size = min(packed, source.size - start)
        if magic != b"SHRS" or packed % 16 or not packed - 16 < plain <= packed or any(raw[_UNUSED]) or not size:
            raise FormatError("not an SHRS header")
        problems: list[str] = []
        if size < packed:
            problems.append(f"{packed} encrypted bytes announced, {size} there")
        told = [verdict(problems, "SHA-512 of the encrypted image", digest("sha512", source, (start, size)) == of_packed)]
        cipher = source.window(start, size)
        entry = encrypted(source, start, size, _SCHEME)
        if limits.published_keys and size == packed:
            told += _plain_digests(cipher, iv, plain, of_plain, with_key, problems)
            entry = decrypted(partial(aes_cbc, cipher, _KEY, iv, plain), start, plain, _SCHEME, limits)
        signed = any(raw[0x2DC:_HEADER_SIZE])
        if signed:
            told.insert(0, "two RSA-4096 signatures (not verified)")
        return Container(
            format=self.name,
            size=_HEADER_SIZE + size,
            entries=[entry],
            detail={
                "plain_size": plain,
                "iv": iv.hex(),
                "encryption": _SCHEME,
                "integrity": "signature" if signed else "hash",
                "integrity_detail": ", ".join(told),
            },
            problems=problems,
        )


def _plain_digests(cipher: ByteSource, iv: bytes, plain: int, of_plain: bytes, with_key: bytes, problems: list[str]) -> list[str]:
    """What the two digests of the plain image say."""
    hashed = hashlib.sha512()
    for piece in aes_cbc(cipher, _KEY, iv, plain):
        hashed.update(piece)
    right = hashed.digest() == of_plain
    hashed.update(_KEY)
    return [
        verdict(problems, "SHA-512 of the plain image", right),
        verdict(problems, "SHA-512 of the plain image with the key", hashed.digest() == with_key),
    ]


FORMATS = (Shrs(),)
