"""Amlogic signed block, little-endian: BL2 of GXBB, GXL and later boards, and the images in their FIP.

    0  @AML                       28 beginning of the bytes the digest covers behind the header
    4  size of all                32 type, 36 offset, 40 length of the key
    8  size of the header (64)    44 number of bytes the digest covers there
    9  root key                   48 type of the payload
    10 version 1.0                52 offset of the payload
    16 type of the signature      56 length of the payload
    20 offset, 24 length of the signature

Where the type is 0, the first 32 bytes of the signature are the SHA-256 of header and covered bytes. Types 1 and 2 are RSA,
3 is RSA over a payload under AES. In front of a BL2 stand 16 random bytes (U-Boot of ODROID-C2, secureboot; meson-tools).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._decrypt import encrypted
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sIBBBB4x12I")
_TYPES = ("SHA-256", "RSA PKCS #1 1.5", "RSA PKCS #1 2.1", "RSA PKCS #1 1.5 and AES")
_SHA256, _RSA, _NONCE, _AES = 32, 512, 16, 3
_SCHEME = "AES, Amlogic secure boot"


class Amlogic(Format):
    """Amlogic block; key and payload."""

    name = "amlogic"
    title = "Amlogic signed boot image (@AML)"
    specification = "U-Boot of ODROID-C2, secureboot; meson-tools"
    category = "firmware"
    reads = "header, payload and key; SHA-256 recomputed where the block is not signed"
    not_read = "RSA signatures are told, not verified; AES payloads are not decrypted; AMLC blocks"
    signatures = (Signature(pattern=rb"@AML.{3}\x00\x40.[\x01-\x03][\x00-\x0f].{4}[\x00-\x03]\x00\x00\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 64)
        magic, size, header, root, major, minor, *fields = _HEADER.unpack(raw)
        kind, sig_at, sig_size, first, _, key_at, key_size, covered, _, at, length, _ = fields
        sound = magic == b"@AML" and header == len(raw) and kind < len(_TYPES) and len(raw) <= sig_at and length > 0
        ends = (sig_at + sig_size, key_at + key_size, first + covered, at + length)
        if not sound or min(first, at) < len(raw) or max(ends) > size or sig_size < _SHA256:
            raise FormatError("not an Amlogic block")
        there = min(size, source.size - offset)
        problems: list[str] = []
        if there < size:
            problems.append(f"{size} bytes announced, {there} there")
        if kind:
            integrity, told = "signature", f"{_TYPES[kind]} signature (not verified)"
        else:
            right = None
            if there == size:
                computed = digest("sha256", source, (offset, header), (offset + first, covered))
                right = computed == source.read(offset + sig_at, _SHA256)
            integrity, told = "hash", verdict(problems, "SHA-256", right)
        return Container(
            format=self.name,
            size=there,
            before=_NONCE if sig_size == _RSA and offset >= _NONCE else 0,
            entries=list(_entries(source, offset, there, (key_at, key_size), (at, length), kind)),
            detail={
                "version": f"{major}.{minor}",
                "root_key": root,
                "signature": _TYPES[kind],
                "integrity": integrity,
                "integrity_detail": told,
            },
            problems=problems,
        )


def _entries(
    source: ByteSource, offset: int, there: int, key: tuple[int, int], payload: tuple[int, int], kind: int
) -> list[Entry]:
    entries = []
    at, size = key[0], min(key[1], there - key[0])
    if size > 0 and at >= _HEADER.size:
        entries.append(part(source, "key", offset + at, size))
    at, size = payload[0], min(payload[1], there - payload[0])
    if size > 0 and kind == _AES:
        entries.append(encrypted(source, offset + at, size, _SCHEME, "payload"))
    elif size > 0:
        entries.append(part(source, "payload", offset + at, size))
    return entries


FORMATS = (Amlogic(),)
