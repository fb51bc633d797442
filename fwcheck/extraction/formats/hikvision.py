"""Hikvision update (digicap.dav): a header under a fixed XOR key, then the files, little-endian.

Byte ``i`` of the header is XORed with byte ``(i + (i >> 4)) & 15`` of a published key of 16. In plain: ``SWKH``, checksum (the
sum of the bytes from 12 on), length of the header, number of files, language, device class, OEM code, firmware version; at 0x40
per file: name (32), offset, length, sum of its bytes. Newer files begin with ``02KH`` and hold one body, a ``03KH`` archive under
AES-256-ECB (hiktools; analyses of HK20 and HK30 updates).
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, verdict
from fwcheck.extraction.formats._ciphertext import encrypted
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_KEY: Final = bytes.fromhex("bacdbcfed6caddd3bab9a3abbfcbb5be")
_FILE: Final = struct.Struct("<32sIII")
_TABLE: Final = 0x40
_FILES: Final = 512
_SECURED: Final = "_cfgUpgSecPls"  # hashes of the files, under a key that every device holds


def _plain(source: ByteSource, offset: int, size: int) -> bytes:
    raw = source.peek(offset, size)
    return bytes(value ^ _KEY[at + (at >> 4) & 15] for at, value in enumerate(raw))


class Hikvision(Format):
    """digicap.dav: the files of the older layout are parts, the body of the newer one is encrypted."""

    name = "hikvision"
    title = "Hikvision update (digicap.dav)"
    specification = "hiktools; published analyses of HK20 and HK30 updates"
    category = "update bundle"
    reads = "SWKH headers (XOR), all files, sums of header and files recomputed; 02KH headers"
    not_read = "the AES-256 body of 02KH updates, the encrypted list of hashes, members that are encrypted themselves"
    # the magic, three bytes of a length below 64 KiB and three of a small number, as they look under the key
    signatures = (
        Signature(pattern=rb"\xe9\x9a\xf7\xb6[\x00-\xff]{6}\xa3\xab[\x00-\xff]\xcb\xb5\xbe", width=16),
        Signature(pattern=rb"\x8a\xff\xf7\xb6[\x00-\xff]{6}\xa3\xab\xbf\xcb\xb5\xbe", width=16, anywhere=False),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, _, header, count = struct.unpack("<4sIII", _plain(source, offset, 16).ljust(16, b"\0"))
        if magic == b"02KH":
            return _newer(source, offset, header)
        if magic != b"SWKH" or not 0 < count <= _FILES or not _TABLE + count * _FILE.size <= header <= 1 << 16:
            raise FormatError("no header of a Hikvision update")
        plain = _plain(source, offset, header)
        if len(plain) < header:
            raise FormatError("the header of a Hikvision update is cut off")
        problems: list[str] = []
        told = [verdict(problems, "header sum", sum(plain[12:]) == int.from_bytes(plain[4:8], "little"))]
        entries, end, wrong = _files(source, offset, plain, count, problems)
        told.append(f"sums of {len(entries) - wrong} of {count} files right")
        detail: dict[str, str | int] = {"files": count, **_fields(plain)}
        if any(entry.path == _SECURED for entry in entries):
            detail["secured"] = "SHA-0 of the files under a published key (not checked)"
        return Container(
            format=self.name,
            size=end,
            entries=entries,
            detail=detail | {"integrity": "checksum", "integrity_detail": ", ".join(told)},
            problems=problems,
        )


def _fields(plain: bytes) -> dict[str, str | int]:
    names = ("language", "device_class", "oem_code", "firmware_version", "total_size", "build")
    values: tuple[int, ...] = struct.unpack_from("<6I", plain, 16)
    return {name: f"0x{value:08x}" if name == "firmware_version" else value for name, value in zip(names, values, strict=True)}


def _files(source: ByteSource, offset: int, plain: bytes, count: int, problems: list[str]) -> tuple[list[Entry], int, int]:
    """The files, where the last one ends, and how many have a wrong sum or are cut off."""
    rows = [(words(name), *rest) for name, *rest in _FILE.iter_unpack(plain[_TABLE : _TABLE + count * _FILE.size])]
    if not all(name for name, *_ in rows) or not any(at >= len(plain) and size for _, at, size, _ in rows):
        raise FormatError("implausible files of a Hikvision update")
    available, end, wrong = source.size - offset, len(plain), 0
    entries = []
    for name, at, announced, total in rows:
        size = max(0, min(announced, available - at))
        if at < len(plain) or not size:
            note(problems, f"{name}: does not lie inside the update")
            wrong += 1
            continue
        if size < announced or sum8(source, offset + at, size) & 0xFFFFFFFF != total:
            note(problems, f"{name}: cut off" if size < announced else f"{name}: wrong sum")
            wrong += 1
        end = max(end, at + size)
        if name == _SECURED:
            entries.append(encrypted(source, name, offset + at, size, "AES-256-ECB, Hikvision list of hashes"))
        else:
            entries.append(part(source, name, offset + at, size))
    return entries, end, wrong


def _newer(source: ByteSource, offset: int, header: int) -> Container:
    plain = _plain(source, offset, 36)
    if not 36 <= header <= 1 << 16 or len(plain) < 36 or offset + header + 4096 > source.size:
        raise FormatError("no header of a newer Hikvision update")
    announced, device, oem = struct.unpack_from("<III", plain, 16)
    available = source.size - offset
    size = announced if header < announced <= available else available
    problems = [f"{announced} bytes announced, {available} there"] if header < available < announced <= 1 << 32 else []
    body = encrypted(source, "body", offset + header, size - header, "AES-256-ECB, Hikvision HK30")
    return Container(
        format="hikvision",
        size=size,
        entries=[body],
        detail={
            "generation": "HK20",
            "device_class": device,
            "oem_code": f"0x{oem:08x}",
            "integrity": "none",
            "integrity_detail": "what the encrypted body holds cannot be seen",
        },
        problems=problems,
    )


FORMATS = (Hikvision(),)
