"""Hichip (CamHi) camera update, ``.pkg``: boot loader, kernel, file systems and a ZIP archive behind 512 bytes, little-endian.

``PIHC``, kind (0x1001 settings, 0x1002 update), lengths of boot loader, its arguments, kernel, root file system, application and
archive, name (40 bytes at 32); from 72 on, 40 bytes each, the MD5 of each piece followed by ``IPCAM``, in hexadecimal digits. The
pieces follow in that order. In the archive the signatures of ZIP end in 7, 8 and 9 instead of 4, 2 and 6, and the chunks of 1 KiB
numbered 1, 17, 33 and so on are enciphered: AES-128-ECB under three published keys in turn, the text XORed with 0x3F before. Only
the MD5 of what was restored proves it. (v9x-firmware-repacker; OpenIPC coupler.)
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._ciphertext import encrypted
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_HEADER: Final = 512
_PIECES: Final = ("boot", "bootarg", "kernel", "rootfs", "ipc", "zip")
_KINDS: Final = {0x1001: "settings", 0x1002: "update"}
_DIGESTS: Final = 72
_SALT: Final = b"IPCAM"
_KEYS: Final = (b"@Hichip+1208/pkg", b"$Hichip-1208%aes", b"#Hichip*1208=key")
_CHUNK: Final = 1024
_ROUND: Final = 16
_SIGNATURES: Final = ((b"PK\3\7", b"PK\3\4"), (b"PK\1\x08", b"PK\1\2"), (b"PK\5\x09", b"PK\5\6"))
_SCHEME: Final = "every sixteenth KiB under AES-128-ECB and XOR, ZIP signatures changed: Hichip"
_XOR: Final = bytes(value ^ 0x3F for value in range(256))
_LARGEST: Final = 64 << 20


class HichipPkg(Format):
    """Update of a Hichip camera; all pieces but the archive lie there as they are."""

    name = "hichip-pkg"
    title = "Hichip (CamHi) camera update"
    specification = "v9x-firmware-repacker; OpenIPC coupler"
    category = "update bundle"
    reads = "all pieces, salted MD5 of each recomputed; with published keys: the archive too, proven by its MD5"
    not_read = "archives of builds with another cipher"
    signatures = (Signature(pattern=rb"PIHC[\x01\x02]\x10\x00\x00(?:[\x00-\xff]{3}[\x00-\x0f]){6}", width=32),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        kind, *lengths = struct.unpack_from("<7I", raw, 4)
        if raw[:4] != b"PIHC" or kind not in _KINDS or not any(lengths):
            raise FormatError("no Hichip update")
        problems: list[str] = []
        entries: list[Entry] = []
        right = 0
        at, end = _HEADER, min(_HEADER + sum(lengths), source.size - offset)
        for number, (name, length) in enumerate(zip(_PIECES, lengths, strict=True)):
            size = min(length, max(0, end - at))
            if size < length:
                note(problems, f"{name}: {length} bytes announced, {size} there")
            stored = words(raw[_DIGESTS + 40 * number : _DIGESTS + 40 * number + 40])
            if size and name == "zip":
                entries.append(_archive(source, offset + at, size, stored, limits))
                right += entries[-1].role == "part"
            elif size:
                entries.append(part(source, name, offset + at, size))
                if digest("md5", source, (offset + at, size), behind=_SALT).hex() == stored:
                    right += 1
                elif size == length:
                    note(problems, f"{name}: wrong MD5")
            at += length
        told = f"MD5 with a public salt right for {right} of {len(entries)} pieces"
        if any(entry.role == "encrypted" for entry in entries):
            told += ", that of the archive is made before it is enciphered"
        return Container(
            format=self.name,
            size=end,
            entries=entries,
            detail={"kind": _KINDS[kind], "name": words(raw[32:72]), "integrity": "hash", "integrity_detail": told},
            problems=problems,
        )


def _archive(source: ByteSource, at: int, size: int, stored: str, limits: Limits) -> Entry:
    """The archive: a part where published keys may be used, or nothing is enciphered, and its MD5 comes out."""
    if size <= _LARGEST and (limits.published_keys or size <= _CHUNK):
        plain = _restored(source.read(at, size))
        if hashlib.md5(plain + _SALT, usedforsecurity=False).hexdigest() == stored:
            return Entry(
                path="zip",
                kind=NodeKind.REGION,
                size=size,
                role="part",
                locality=at,
                open=lambda: spool(bounded(iter([_restored(source.read(at, size))]), size, limits)),
            )
    return encrypted(source, "zip", at, size, _SCHEME)


def _restored(data: bytes) -> bytes:
    plain = b"".join(_deciphered(data))
    for stored, meant in _SIGNATURES:
        plain = plain.replace(stored, meant)
    return plain


def _deciphered(data: bytes) -> Iterator[bytes]:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  # 40 ms nobody else pays

    at = 0
    for number, begin in enumerate(range(_CHUNK, len(data), _CHUNK * _ROUND)):
        length = min(_CHUNK, len(data) - begin) & ~15
        context = Cipher(algorithms.AES(_KEYS[number % 3]), modes.ECB()).decryptor()  # noqa: S305  # the vendor's choice
        yield data[at:begin]
        yield context.update(data[begin : begin + length]).translate(_XOR)
        at = begin + length
    yield data[at:]


FORMATS = (HichipPkg(),)
