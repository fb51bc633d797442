"""Rockchip boot and update images, little-endian.

idbloader, version 1: a block of 512 bytes under RC4 (signature 0x0FF0AA55, at 8 whether the rest is not under RC4 too, at 12 the
sector of the first stage, at 506 the sectors of it, at 508 those of both stages). The key is published.

idbloader, version 2: ``RKNS``, at 8 length and number of images, at 12 the hash (1 SHA-256, 2 SHA-512), from 0x78 four entries of
88 bytes (sector, sectors, load address, flag, counter, at 24 the hash), at 0x600 the hash of all before it.

RKFW: ``RKFW``, length of the header (0x66), version, date, chip, at 0x19 offset and length of the loader, at 0x21 those of the
update image; at the end MD5 in text of all before it.

RKAF: ``RKAF``, length, model (34), id (30), manufacturer (56), at 0x84 version, number of parts, from 0x8C parts of 112 bytes:
name (32), file name (60), flash size, offset, flash address, size with padding, size; behind all of it a CRC.

(U-Boot tools/rkcommon.c; rkflashtool, rkunpack and afptool.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._decrypt import decrypted, encrypted
from fwcheck.extraction.formats._parts import code, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_SECTOR = 512
_KEY = bytes.fromhex("7c4e0304550509072d2c7b38170d1711")
_SCHEME = "RC4, Rockchip boot ROM"
_ROOM = 1024  # sectors that mkimage reserves where it was given no second stage
_HASHES = {1: "sha256", 2: "sha512"}
_ENTRIES, _ENTRY_SIZE, _ENTRIES_AT, _HEADER_HASH = 4, 88, 0x78, 0x600
_PARTS, _PART = 16, struct.Struct("<32s60s5I")
_RKAF_HEADER = 0x800


def _rc4(data: bytes | memoryview) -> bytes:
    return Cipher(ARC4(_KEY), mode=None).decryptor().update(data)


def _blocks(source: ByteSource) -> Iterator[bytes]:
    """Every sector is under the same key stream."""
    for at in range(0, source.size, _SECTOR):
        yield _rc4(source.view(at, min(_SECTOR, source.size - at)))


class IdBlock(Format):
    """Rockchip idbloader, version 1: RC4-coded header block and the first two stages."""

    name = "rockchip-idblock"
    title = "Rockchip idbloader (version 1)"
    specification = "U-Boot tools/rkcommon.c"
    category = "firmware"
    reads = "the scrambled header; first and second stage, as they are or, where asked for, decoded with the published key"
    signatures = (Signature(pattern=rb"\x3b\x8c\xdc\xfc\xbe\x9f\x9d\x51", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = _rc4(source.read(offset, _SECTOR))
        plain, start = struct.unpack_from("<IH", raw, 8)
        first, both = struct.unpack_from("<HH", raw, 506)
        if raw[:4] != b"\x55\xaa\xf0\x0f" or plain > 1 or not 0 < start <= 64 or not first or (both and both < first):
            raise FormatError("not a Rockchip header block")
        both = first if both - first == _ROOM else max(first, both)
        announced = (start + both) * _SECTOR
        size = min(announced, source.size - offset)
        problems = [f"{announced} bytes announced, {size} there"] if size < announced else []
        entries: list[Entry] = []
        chip = ""
        for name, at, end in (("first-stage", start, start + first), ("second-stage", start + first, start + both)):
            begin, length = at * _SECTOR, min(end * _SECTOR, size) - at * _SECTOR
            if length <= 0:
                continue
            window = source.window(offset + begin, length)
            if plain:
                entries.append(code(source, name, offset + begin, length))
            elif limits.published_keys:
                entries.append(decrypted(partial(_blocks, window), offset + begin, length, _SCHEME, limits, name))
            else:
                entries.append(encrypted(source, offset + begin, length, _SCHEME, name))
            head = bytes(window.peek(0, 4))
            chip = chip or words(head if plain else _rc4(head))
        detail: dict[str, str | int] = {
            "chip": chip,
            "rc4": 0 if plain else 1,
            "integrity": "none",
            "integrity_detail": "no checksum",
        }
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


class Rkns(Format):
    """Rockchip idbloader, version 2."""

    name = "rockchip-rkns"
    title = "Rockchip idbloader (version 2, RKNS)"
    specification = "U-Boot tools/rkcommon.c"
    category = "firmware"
    reads = "up to four images; SHA-256 or SHA-512 of header and images recomputed"
    not_read = "signatures of secured devices are not looked for"
    signatures = (Signature(pattern=rb"RKNS\x00\x00\x00\x00..[\x01-\x04]\x00[\x01\x02]", width=13),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER_HASH + 64)
        count, kind = struct.unpack_from("<HI", raw, 10)
        algorithm = _HASHES.get(kind & 0xF)
        if not 0 < count <= _ENTRIES or algorithm is None:
            raise FormatError("not an RKNS header")
        wanted = digest(algorithm, source, (offset, _HEADER_HASH))
        problems: list[str] = []
        told = [verdict(problems, f"{algorithm} of the header", raw[_HEADER_HASH : _HEADER_HASH + len(wanted)] == wanted)]
        entries: list[Entry] = []
        end = 4 * _SECTOR
        for number in range(count):
            at = _ENTRIES_AT + number * _ENTRY_SIZE
            start, length, load = struct.unpack_from("<HHI", raw, at)
            if not length:
                continue
            end = max(end, (start + length) * _SECTOR)
            there = min(length * _SECTOR, source.size - offset - start * _SECTOR)
            if there < length * _SECTOR or start * _SECTOR < _HEADER_HASH:
                note(problems, f"image-{number}: {length * _SECTOR} bytes announced, {max(there, 0)} there")
                right = None
            else:
                stored = raw[at + 24 : at + 24 + len(wanted)]
                right = digest(algorithm, source, (offset + start * _SECTOR, there)) == stored
            told.append(verdict(problems, f"{algorithm} of image-{number}", right))
            if there > 0:
                detail: dict[str, str | int] = {"load_address": f"0x{load:08x}"}
                entries.append(part(source, f"image-{number}", offset + start * _SECTOR, there, detail))
        if not entries:
            raise FormatError("an RKNS header without images")
        return Container(
            format=self.name,
            size=min(end, source.size - offset),
            entries=entries,
            detail={"images": len(entries), "integrity": "hash", "integrity_detail": ", ".join(told)},
            problems=problems,
        )


class Rkfw(Format):
    """Rockchip RKFW: boot loader and update image in one file."""

    name = "rkfw"
    title = "Rockchip firmware file (RKFW)"
    specification = "rkflashtool, rkunpack"
    category = "update bundle"
    reads = "loader and update image; the MD5 at the end is recomputed"
    signatures = (Signature(pattern=rb"RKFW[\x60-\x70]\x00", width=6),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 0x66)
        header, version = struct.unpack_from("<HI", raw, 4)
        year, month, day, hour, minute, second = struct.unpack_from("<H5B", raw, 14)
        pieces = struct.unpack_from("<4I", raw, 0x19)
        loader, loader_size, image, image_size = pieces
        available = source.size - offset
        if not header <= loader <= image or loader + loader_size > image or image >= available or not 0 < month < 13:
            raise FormatError("implausible RKFW header")
        problems: list[str] = []
        end = image + image_size
        stored = source.peek(offset + end, 32)
        right = None
        if end > available:
            note(problems, f"{end} bytes announced, {available} there")
        elif len(stored) == 32 and all(each in b"0123456789abcdefABCDEF" for each in stored):
            right = digest("md5", source, (offset, end)).hex().encode() == stored.lower()
            end += 32
        told = verdict(problems, "MD5", right)
        parts = (("loader", loader, loader_size), ("update", image, min(image_size, available - image)))
        return Container(
            format=self.name,
            size=min(end, available),
            entries=[part(source, name, offset + at, length) for name, at, length in parts if length > 0],
            detail={
                "version": f"{version >> 24}.{version >> 16 & 0xFF}.{version & 0xFFFF}",
                "time": f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}",
                "chip": f"0x{int.from_bytes(raw[0x15:0x19], 'little'):08x}",
                "integrity": "hash",
                "integrity_detail": told,
            },
            problems=problems,
        )


class Rkaf(Format):
    """Rockchip RKAF: the partitions of an update."""

    name = "rkaf"
    title = "Rockchip update image (RKAF)"
    specification = "rkflashtool, afptool"
    category = "update bundle"
    reads = "all parts with their flash addresses, parameter file and package list among them"
    not_read = "the CRC at the end (of a polynomial of Rockchip's own) is not recomputed"
    signatures = (Signature(pattern=rb"RKAF.{4}[\x20-\x7e\x00]{34}", width=42),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _RKAF_HEADER)
        length = int.from_bytes(raw[4:8], "little")
        count = int.from_bytes(raw[0x88:0x8C], "little")
        if not 0 < count <= _PARTS or length < _RKAF_HEADER:
            raise FormatError("not an RKAF header")
        available = source.size - offset
        size = min(length + 4, available)
        problems: list[str] = []
        if size < length + 4:
            note(problems, f"{length + 4} bytes announced, {size} there")
        entries: list[Entry] = []
        for number in range(count):
            name, file, _, at, address, _, used = _PART.unpack_from(raw, 0x8C + number * _PART.size)
            label = words(name) or f"part-{number}"
            there = min(used, length - at, available - at)
            if there < used or (used and at < _RKAF_HEADER):
                note(problems, f"{label}: {used} bytes announced, {max(there, 0)} there")
            if there > 0 and at >= _RKAF_HEADER:
                detail: dict[str, str | int] = {"file": words(file), "flash_sector": f"0x{address:08x}"}
                entries.append(part(source, label, offset + at, there, detail))
        if not entries:
            raise FormatError("an RKAF header without parts")
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "model": words(raw[8:42]),
                "manufacturer": words(raw[72:128]),
                "parts": count,
                "integrity": "checksum",
                "integrity_detail": "CRC32 (not recomputed)",
            },
            problems=problems,
        )


FORMATS = (IdBlock(), Rkns(), Rkfw(), Rkaf())
