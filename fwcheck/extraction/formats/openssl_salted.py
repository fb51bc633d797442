"""OpenSSL ``enc`` output: ``Salted__``, eight bytes of salt, then the ciphertext (openssl-enc(1); apps/enc.c of OpenSSL).

Neither cipher nor key derivation stands in the file; a length that is no whole number of blocks tells a stream mode. Foscam's
cameras take such files as updates, under passwords that were published (Talos TALOS-2017-0379): AES-128-CBC, key and IV from
EVP_BytesToKey with MD5 and one round. They are tried only where published keys may be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from fwcheck.extraction.coverage import BLOCK, looks_random
from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._ciphertext import ciphertext, encrypted
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_HEADER: Final = 16
_SAMPLE: Final = 16 << 10
_PASSWORDS = (b"WWzift*v2", b"WWyift*v2", b"Wyift*v2", b"WWyift*", b"Wyift*")
# what an update begins with once the password is right: gzip, bzip2, xz, zip, U-Boot image, tar of a plain name
_OPENED = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ", b"PK\x03\x04", b"\x27\x05\x19\x56", b"Salted__")


class OpensslSalted(Format):
    """Output of ``openssl enc``: told, and where it ends; the ciphertext has no structure that could be checked."""

    name = "openssl-salted"
    title = "Encrypted by OpenSSL enc"
    specification = "openssl-enc(1)"
    category = "encryption"
    reads = "salt, extent, block or stream mode by length; with published keys: Foscam updates (AES-128-CBC, MD5)"
    not_read = "content under any other password"
    signatures = (Signature(pattern=rb"Salted__", width=8, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, 8) != b"Salted__":
            raise FormatError("no output of openssl enc")
        at = offset + _HEADER
        size = ciphertext(source, at)
        if size < 8:
            raise FormatError("a salt without a ciphertext")
        if size >= BLOCK and not looks_random(source.view(at, min(_SAMPLE, size))):
            raise FormatError("what follows the salt is no ciphertext")
        salt = source.read(offset + 8, 8)
        password = _password(source, at, size, salt) if limits.published_keys else None
        detail: dict[str, str | int] = {"salt": salt.hex(), "ciphertext_size": size}
        if password is None:
            entry = encrypted(source, "ciphertext", at, size, f"OpenSSL enc with a password, {_modes(size)}")
        else:
            entry = _decrypted(source, at, size, salt, password, limits)
            detail["decrypted"] = "AES-128-CBC with a published Foscam password"
        return Container(
            format=self.name,
            size=_HEADER + size,
            entries=[entry],
            detail=detail | {"integrity": "none", "integrity_detail": "openssl enc authenticates nothing"},
        )


def _modes(size: int) -> str:
    if size % 8:
        return "stream mode: no whole number of blocks"
    return "cipher unknown, whole blocks of 8 bytes" if size % 16 else "cipher unknown, whole blocks of 16 bytes"


def _decryptor(salt: bytes, password: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN202  # the library's context type is private
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  # 40 ms nobody else pays

    key = hashlib.md5(password + salt, usedforsecurity=False).digest()
    vector = hashlib.md5(key + password + salt, usedforsecurity=False).digest()
    return Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()


def _password(source: ByteSource, at: int, size: int, salt: bytes) -> bytes | None:
    """The published password under which the first block becomes the beginning of an update; None when none does."""
    first = source.read(at, 16) if size >= 16 and size % 16 == 0 else b""
    for password in _PASSWORDS if first else ():
        if _decryptor(salt, password).update(first).startswith(_OPENED):
            return password
    return None


def _decrypted(source: ByteSource, at: int, size: int, salt: bytes, password: bytes, limits: Limits) -> Entry:
    def pieces() -> Iterator[bytes]:
        context = _decryptor(salt, password)
        held = b""
        for chunk in source.window(at, size).chunks():
            yield held
            held = context.update(bytes(chunk))
        count = held[-1] if held else 0
        yield held[:-count] if 1 <= count <= 16 and held.endswith(bytes([count]) * count) else held  # PKCS #7

    return Entry(
        path="decrypted",
        kind=NodeKind.REGION,
        size=size,
        role="part",
        locality=at,
        open=lambda: spool(bounded(pieces(), size, limits)),
    )


FORMATS = (OpensslSalted(),)
