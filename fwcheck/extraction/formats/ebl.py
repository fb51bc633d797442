"""EBL, the Ember boot loader's image of EM35x and first EFR32 chips (Silicon Labs UG103.6, AN0714; ebl-file format of EmberZNet).

Tags one behind the other, big-endian: u16 tag, u16 length, value. The header 0x0000: u16 version, u16 0xE350 (EM35x; 0xE250 and
0xE260 on its predecessors), u32 address, u32 CRC of the application's address table, then the table itself. 0xFE01 program,
0x02FE program the manufacturing page, and 0xFD03 erase and program: u32 address and data. 0xF608 metadata, 0xFC04 end with a
CRC32 of all before. Encrypted files begin with 0xFB05 (u16 version, u16 kind, u16 0xE350), 0xFA06 holds length and nonce,
0xF907 AES-128-CCM data, 0xF709 the MAC. 0xFF fills the file to whole blocks.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._memory_image import ranges
from fwcheck.extraction.formats._parts import crc32, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER, _ENCRYPTED_HEADER, _NONCE, _ENCRYPTED, _MAC, _END = 0x0000, 0xFB05, 0xFA06, 0xF907, 0xF709, 0xFC04
_PROGRAM = frozenset({0xFE01, 0x02FE, 0xFD03})  # program, program manufacturing page, erase and program
_METADATA: Final = 0xF608
_ORDERS: Final[tuple[Literal["big", "little"], ...]] = ("big", "little")  # tools differ
_SIGNATURES: Final = frozenset({0xE350, 0xE250, 0xE260})
_TAG_LIMIT: Final = 16384


class Ebl(Format):
    """EBL file; its program tags are parts, the closing CRC32 is recomputed."""

    name = "ebl"
    title = "Ember boot loader image (EBL)"
    specification = "Silicon Labs UG103.6 and AN0714"
    category = "microcontroller"
    reads = "all tags, program data with its address, CRC32; encrypted files are told"
    not_read = "encrypted data"
    signatures = (
        Signature(pattern=rb"\x00\x00\x00[\x10-\xff].{2}[\xe2\xe3][\x50\x60]", width=8),
        Signature(pattern=rb"\xfb\x05\x00[\x06-\x40].{2}.{2}\xe3\x50", width=10),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        end, tags, pieces, entries = _walk(source, offset)
        if len(tags) < 2 or tags[-1] != _END:
            raise FormatError("not an EBL file")
        problems: list[str] = []
        entries += ranges(pieces, problems)
        stored = source.read(end - 4, 4)
        crc = crc32(source, offset, end - offset - 4)
        values = {each.to_bytes(4, order) for each in (crc, crc ^ 0xFFFFFFFF) for order in _ORDERS}
        checked = verdict(problems, "CRC32", stored in values)
        encrypted = _ENCRYPTED in tags
        detail: dict[str, str | int] = {"tags": len(tags), "encrypted": "yes" if encrypted else "no"}
        if tags[0] == _HEADER and end >= offset + 12:
            version, _, address = struct.unpack(">HHI", source.view(offset + 4, 8))
            detail |= {"version": f"0x{version:04x}", "address": f"0x{address:08x}"}
        detail |= {
            "integrity": "checksum",
            "integrity_detail": f"{checked}{', AES-128-CCM code' if encrypted else ''}",
        }
        return Container(format=self.name, size=end - offset, entries=entries, detail=detail, problems=problems)


def _walk(source: ByteSource, offset: int) -> tuple[int, list[int], list[tuple[int, ByteSource]], list[Entry]]:
    """Offset behind the last tag, the tags, pieces of memory with their address, and what is encrypted."""
    at, tags = offset, list[int]()
    pieces: list[tuple[int, ByteSource]] = []
    encrypted: list[Entry] = []
    while at + 4 <= source.size and len(tags) < _TAG_LIMIT and (not tags or tags[-1] != _END):
        tag, length = struct.unpack(">HH", source.view(at, 4))
        if at + 4 + length > source.size or not _known(tag, length, source.peek(at + 4, 8), first=not tags):
            break
        if tag in _PROGRAM:
            address = int.from_bytes(source.view(at + 4, 4), "big")
            pieces.append((address, source.window(at + 8, length - 4)))
        elif tag == _ENCRYPTED:
            entry = part(source, f"encrypted-{len(encrypted)}", at + 4, length, {"encryption": "AES-128-CCM, EBL"})
            encrypted.append(msgspec.structs.replace(entry, role="encrypted"))
        tags.append(tag)
        at += 4 + length
    return at, tags, pieces, encrypted


def _known(tag: int, length: int, value: bytes, *, first: bool) -> bool:
    if first:
        place = {_HEADER: 2, _ENCRYPTED_HEADER: 4}.get(tag)
        return place is not None and length >= 6 and int.from_bytes(value[place : place + 2], "big") in _SIGNATURES
    if tag in _PROGRAM:
        return length > 4
    return tag in {_HEADER, _METADATA, _NONCE, _ENCRYPTED, _MAC} or (tag == _END and length == 4)


FORMATS = (Ebl(),)
