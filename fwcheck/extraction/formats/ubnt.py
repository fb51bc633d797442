"""Ubiquiti firmware image: a header, then sections with a CRC-32 each, then an end with a CRC-32 or an RSA signature.

Everything is big-endian. Header: magic (``UBNT``, ``OPEN``, ``GEOS``, ...), 256 bytes of version text, CRC-32 of both, four bytes
of padding. Section of 56 bytes: magic (``PART``, ``FILE``, ``EXEC``), name (16), padding (12), memory address, index, flash
address, entry address, length of the data, length of the partition; behind it the data, the CRC-32 of header and data, and four
bytes of padding. End: ``END.``, CRC-32 of all before it, padding; or ``ENDS``, an RSA-2048 signature of 256 bytes, padding
(OpenWrt firmware-utils, mkfwimage and fw.h, from Ubiquiti's published sources).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER_SIZE = 268
_CHECKED = 260  # bytes of the header under its CRC
_SECTION = struct.Struct(">4s16s12s6I")
_SECTIONS = frozenset({b"PART", b"FILE", b"EXEC"})
_END_SIZE, _SIGNED_END_SIZE = 12, 264


class _Read(msgspec.Struct):
    """What was found behind the header."""

    end: int
    entries: list[Entry]
    problems: list[str]
    told: list[str]
    signed: bool = False


class Ubnt(Format):
    """Ubiquiti image; its sections are parts."""

    name = "ubnt"
    title = "Ubiquiti firmware image (UBNT, OPEN, GEOS)"
    specification = "OpenWrt firmware-utils, mkfwimage and fw.h"
    category = "firmware"
    reads = "PART, FILE and EXEC sections; header, section and end CRC32; the RSA-2048 signature of ENDS is told"
    not_read = "sections of other types end the listing"
    signatures = (Signature(pattern=rb"(?:UBNT|OPEN|GEOS)[\x21-\x7e]{4}[\x20-\x7e\x00]{12}", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER_SIZE)
        if crc32(source, offset, _CHECKED) != int.from_bytes(raw[_CHECKED : _CHECKED + 4], "big"):
            raise FormatError("wrong CRC32 of a Ubiquiti header")
        read = _sections(source, offset, limits)
        told = ", ".join(["header CRC32 right", *read.told])
        if read.signed:
            told = f"RSA-2048 signature (not verified), {told}"
        return Container(
            format=self.name,
            size=read.end - offset,
            entries=read.entries,
            detail={
                "magic": words(raw[:4]),
                "version": words(raw[4:_CHECKED]),
                "integrity": "signature" if read.signed else "checksum",
                "integrity_detail": told,
            },
            problems=read.problems,
        )


def _sections(source: ByteSource, offset: int, limits: Limits) -> _Read:
    """The sections from behind the header to the end, or to where the source or sense ends."""
    read = _Read(end=offset + _HEADER_SIZE, entries=[], problems=[], told=[])
    wrong: list[str] = []
    while True:
        magic = source.peek(read.end, 4)
        if magic in {b"END.", b"ENDS"}:
            _end(source, offset, magic, read)
            break
        if magic not in _SECTIONS or len(read.entries) >= limits.nodes:
            note(read.problems, "the end section is missing")
            break
        if not _section(source, read, wrong):
            break
    read.told.insert(0, f"CRC32 of section {', '.join(wrong)} wrong" if wrong else "CRC32 of all sections right")
    return read


def _section(source: ByteSource, read: _Read, wrong: list[str]) -> bool:
    """One section more; False where the source ends inside it."""
    at = read.end
    raw = source.peek(at, _SECTION.size)
    if len(raw) < _SECTION.size:
        note(read.problems, "cut off inside the header of a section")
        return False
    magic, name, _, memory, index, base, entry, length, partition = _SECTION.unpack(raw)
    start = at + _SECTION.size
    size = min(length, source.size - start)
    label = words(name) or f"section-{len(read.entries)}"
    detail: dict[str, str | int] = {
        "section": words(magic),
        "index": index,
        "memory_address": f"0x{memory:08x}",
        "flash_address": f"0x{base:08x}",
        "entry_point": f"0x{entry:08x}",
        "partition_size": partition,
    }
    read.entries.append(part(source, label, start, size, detail))
    read.end = start + size
    stored = source.peek(read.end, 8)
    if size < length or len(stored) < 8:
        note(read.problems, f"{label}: {length} bytes announced, {size} there")
        return False
    if crc32(source, at, _SECTION.size + size) != int.from_bytes(stored[:4], "big"):
        wrong.append(label)
        note(read.problems, f"{label}: wrong CRC32")
    read.end += 8
    return True


def _end(source: ByteSource, offset: int, magic: bytes, read: _Read) -> None:
    size = _SIGNED_END_SIZE if magic == b"ENDS" else _END_SIZE
    raw = source.peek(read.end, size)
    if len(raw) < size:
        note(read.problems, "cut off inside the end section")
    elif magic == b"ENDS":
        read.signed = any(raw[4:260])
    else:
        right = crc32(source, offset, read.end - offset) == int.from_bytes(raw[4:8], "big")
        read.told.append(verdict(read.problems, "image CRC32", right))
    read.end += len(raw)


FORMATS = (Ubnt(),)
