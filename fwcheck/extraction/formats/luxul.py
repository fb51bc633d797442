"""Luxul firmware container, little-endian.

``LXL#``, version, length of the header; from version 1 flags and board (16), from 2 release (4 bytes), from 3 offset and length
of the blobs. Blobs: ``D#``, type (1 certificate, 2 signature), length, content. The image follows the header and has no length
(OpenWrt firmware-utils, lxlfw).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_SIZES = (12, 32, 36, 44)
_BLOB = struct.Struct("<2sHI")
_TYPES = {1: "certificate", 2: "signature"}
_LONGEST = 1 << 20


class Luxul(Format):
    """Luxul container; the image is one part."""

    name = "luxul"
    title = "Luxul firmware container (LXL#)"
    specification = "OpenWrt firmware-utils, lxlfw"
    category = "firmware"
    reads = "versions 0 to 3, certificate and signature blobs, the image"
    not_read = "the signature is told, not verified"
    signatures = (Signature(pattern=rb"LXL#[\x00-\x0f]\x00\x00\x00.{3}\x00", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, version, header = struct.unpack("<4sII", source.read(offset, 12))
        least = _SIZES[min(version, 3)]
        size = source.size - offset
        if magic != b"LXL#" or not least <= header <= _LONGEST or header >= size:
            raise FormatError("not a Luxul header")
        raw = source.read(offset, least)
        problems: list[str] = []
        detail: dict[str, str | int] = {"version": version}
        entries: list[Entry] = []
        if version >= 1:
            detail["board"] = words(raw[16:32])
        if version >= 2:
            detail["release"] = ".".join(str(each) for each in raw[32:36])
        if version >= 3:
            at, length = struct.unpack_from("<II", raw, 36)
            if at + length > header or (length and at < least):
                raise FormatError("blobs outside of a Luxul header")
            entries = _blobs(source, offset, at, at + length, problems)
        signed = any(entry.path == "signature" for entry in entries)
        detail |= {
            "integrity": "signature" if signed else "none",
            "integrity_detail": "signature (not verified)" if signed else "not signed",
        }
        entries.append(part(source, "image", offset + header, size - header))
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _blobs(source: ByteSource, offset: int, at: int, end: int, problems: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    while at + _BLOB.size <= end:
        magic, kind, length = _BLOB.unpack(source.read(offset + at, _BLOB.size))
        at += _BLOB.size
        if magic != b"D#" or at + length > end:
            note(problems, f"no blob at 0x{at - _BLOB.size:x}")
            break
        if length:
            entry = part(source, _TYPES.get(kind, f"blob-0x{kind:04x}"), offset + at, length)
            entries.append(msgspec.structs.replace(entry, role="file"))
        at += length
    return entries


FORMATS = (Luxul(),)
