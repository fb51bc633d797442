"""Matter OTA software images (Matter Core Specification, 11.21 "OTA Software Image File Format").

Little-endian: u32 file identifier 0x1BEEF11E, u64 size of the whole file, u32 size of the header, then the header as one
anonymous structure in Matter TLV, then the payload. Context tags of the header: 0 vendor, 1 product, 2 software version, 3 its
string, 4 payload size, 5 and 6 lowest and highest version it applies to, 7 address of the release notes, 8 hash algorithm (the
IANA registry of named information hashes), 9 hash of the payload.

A TLV element is a control byte (low five bits the type, high three the form of the tag), the tag, and the value: integers of 1,
2, 4 or 8 bytes, strings with a length of 1, 2, 4 or 8 bytes.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC: Final = 0x1BEEF11E
_FIXED = struct.Struct("<IQI")
_HEADER_LIMIT: Final = 4096
_STRUCTURE, _END = 0x15, 0x18
_CONTEXT: Final = 1
_UNSIGNED, _STRINGS = 4, 12  # element types from which on they are unsigned integers, strings
_HASH: Final = 9
_NUMBERS = {
    0: "vendor", 1: "product", 2: "software_version", 4: "payload_size", 5: "lowest_applicable_version",
    6: "highest_applicable_version", 8: "hash_algorithm",
}  # fmt: skip
_TEXTS = {3: "version", 7: "release_notes", _HASH: "hash"}
# Named information hash algorithms: the name hashlib has, and the length in bytes it is cut to
_HASHES = {
    1: ("sha256", 32), 2: ("sha256", 16), 3: ("sha256", 15), 4: ("sha256", 12), 5: ("sha256", 8), 6: ("sha256", 4),
    7: ("sha384", 48), 8: ("sha512", 64), 9: ("sha3_224", 28), 10: ("sha3_256", 32), 11: ("sha3_384", 48), 12: ("sha3_512", 64),
}  # fmt: skip


class MatterOta(Format):
    """Matter OTA file: the payload is a part, its hash is recomputed."""

    name = "matter-ota"
    title = "Matter OTA software image"
    specification = "Matter Core Specification 11.21"
    category = "microcontroller"
    reads = "header with all TLV fields, payload; hash of the payload recomputed (SHA-2 and SHA-3, cut lengths too)"
    not_read = "who signed the hash: that is in the distributed compliance ledger, not in the file"
    signatures = (Signature(pattern=rb"\x1e\xf1\xee\x1b.{4}\x00{4}.{2}\x00\x00\x15", width=17),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, total, length = _FIXED.unpack(source.view(offset, _FIXED.size))
        if magic != MAGIC or length > _HEADER_LIMIT or total < _FIXED.size + length:
            raise FormatError("not a Matter OTA header")
        numbers, texts = _fields(source.read(offset + _FIXED.size, length))
        if not {0, 1, 2, 4, 8} <= numbers.keys() or 9 not in texts:
            raise FormatError("a Matter OTA header without its mandatory fields")
        problems: list[str] = []
        size = min(total, source.size - offset)
        if size < total:
            problems.append(f"{total} bytes announced, {size} there")
        at = offset + _FIXED.size + length
        payload = size - _FIXED.size - length
        if payload < 0:
            raise FormatError("a Matter OTA header without its payload")
        if numbers[4] != total - _FIXED.size - length:
            problems.append("payload size and file size do not agree")
        detail: dict[str, str | int] = {"vendor": f"0x{numbers[0]:04x}", "product": f"0x{numbers[1]:04x}"}
        detail |= {_NUMBERS[tag]: value for tag, value in numbers.items() if tag > 1}
        detail |= {_TEXTS[tag]: value.hex() if tag == _HASH else words(value) for tag, value in texts.items()}
        checked = _checked(source, at, payload, numbers[8], texts[_HASH], problems)
        detail |= {"integrity": "hash", "integrity_detail": checked}
        return Container(
            format=self.name, size=size, entries=[part(source, "payload", at, payload)], detail=detail, problems=problems
        )


def _checked(source: ByteSource, at: int, size: int, kind: int, stored: bytes, problems: list[str]) -> str:
    if kind not in _HASHES:
        return f"hash of kind {kind} (not verified)"
    name, length = _HASHES[kind]
    return verdict(problems, f"{name} of the payload", digest(name, source, (at, size))[:length] == stored)


def _fields(raw: bytes) -> tuple[dict[int, int], dict[int, bytes]]:
    """The elements of the header's structure by their context tag: numbers, and strings of characters or bytes."""
    if not raw or raw[0] != _STRUCTURE:
        raise FormatError("a Matter OTA header that is no structure")
    numbers: dict[int, int] = {}
    texts: dict[int, bytes] = {}
    at = 1
    while at + 4 <= len(raw) and raw[at] != _END:
        control, tag = raw[at], raw[at + 1]
        kind, form = control & 31, control >> 5
        at += 2
        width = 1 << (kind & 3)
        number = int.from_bytes(raw[at : at + width], "little")
        at += width
        if form == _CONTEXT and _UNSIGNED <= kind < 8 and tag in _NUMBERS:
            numbers[tag] = number
        elif form == _CONTEXT and _STRINGS <= kind < 20 and tag in _TEXTS and number < len(raw) - at:
            texts[tag] = raw[at : at + number]
            at += number
        else:
            raise FormatError("an unknown element in a Matter OTA header")
    if raw[at:] != bytes([_END]):
        raise FormatError("a Matter OTA header without its end")
    return numbers, texts


FORMATS = (MatterOta(),)
