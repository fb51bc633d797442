"""Buffalo: encrypted update images, big-endian.

``start`` or ``asar1`` with a zero, a seed byte, length of the product's name, name, length of the version, version, length of
the data, data, checksum. Name, version and data are under RC4; the key is a byte and a published text. That byte is the seed
for the name, and the first encrypted byte of what came before for the others (OpenWrt firmware-utils, buffalo-lib).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._decrypt import decrypted, encrypted
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_KEY = b"Buffalo"
_SCHEME = "RC4, Buffalo"
_LONGEST = {"product": 32, "version": 8}


def _plain(first: int, source: ByteSource) -> Iterator[bytes]:
    stream = Cipher(ARC4(bytes([first]) + _KEY), mode=None).decryptor()
    for chunk in source.chunks():
        yield stream.update(chunk)


class Buffalo(Format):
    """Buffalo update image; the image inside is encrypted."""

    name = "buffalo"
    title = "Buffalo encrypted firmware image (start, asar1)"
    specification = "OpenWrt firmware-utils, buffalo-lib"
    category = "encryption"
    reads = "product and version; where asked for, the image, decrypted with the published key"
    not_read = "the checksum, and images with a long state or a key of their own"
    signatures = (Signature(pattern=rb"(?:start|asar1)\x00.\x00\x00\x00[\x01-\x20]", width=11),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 7)
        first, at = raw[6], offset + 7
        texts = {}
        for name, longest in _LONGEST.items():
            length = int.from_bytes(source.read(at, 4), "big")
            if not 0 < length <= longest:
                raise FormatError("not a Buffalo image")
            field = source.window(at + 4, length)
            text = b"".join(_plain(first, field))
            if text[-1:] != b"\0" or not words(text).isascii() or "?" in words(text):
                raise FormatError("a Buffalo image with another key")
            texts[name] = words(text)
            first, at = field.view(0, 1)[0], at + 4 + length
        length, start = int.from_bytes(source.read(at, 4), "big"), at + 4
        size = min(length, source.size - start)
        if size <= 0:
            raise FormatError("nothing behind a Buffalo header")
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        window = source.window(start, size)
        entry = encrypted(source, start, size, _SCHEME)
        if limits.published_keys:
            entry = decrypted(partial(_plain, first, window), start, size, _SCHEME, limits)
        checksum = min(4, source.size - start - size)
        return Container(
            format=self.name,
            size=start + size + checksum - offset,
            entries=[entry],
            detail={
                **texts,
                "encryption": _SCHEME,
                "integrity": "checksum",
                "integrity_detail": "32-bit checksum (not recomputed)",
            },
            problems=problems,
        )


FORMATS = (Buffalo(),)
