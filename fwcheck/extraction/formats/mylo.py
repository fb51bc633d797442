"""Compex MyLoader firmware file, little-endian.

    0  00 M Y L                            16 vendor, device, sub vendor, sub device (16 bits each)
    4  CRC32 of all, this field zero       24 revision, version (two words), flags

From 40 descriptors of 16 bytes: type (1 used, 0 ends the list), address in flash, length of data, length in flash. The data of
all blocks follow, one behind the other. The block of the partition table begins with 0x20021103 and three words, then eight times
flags and type (16 bits each), address, size, load address, then in firmware files eight names of 32 bytes. A block may begin with
a header of its own: length and CRC32 of the rest, which is padded to four bytes (OpenWrt firmware-utils, mkmylofw).
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sI8x4H4I")
_BLOCK = struct.Struct("<4I")
_PARTITION = struct.Struct("<HHIII")
_MAGIC, _TABLE = b"\0MYL", 0x20021103
_PARTITIONS, _NAME, _TABLE_HEAD = 8, 32, 16
_TABLE_SIZE = _TABLE_HEAD + _PARTITIONS * (_PARTITION.size + _NAME)
_MOST = 64
_PACKED = 4


class Mylo(Format):
    """MyLoader firmware; every block with data is a part."""

    name = "mylo"
    title = "Compex MyLoader firmware"
    specification = "OpenWrt firmware-utils, mkmylofw"
    category = "firmware"
    reads = "blocks with the names of their partitions, the partition table; CRC32 of the file and of the blocks recomputed"
    not_read = "a block without data is a flash range to erase and gives no part"
    signatures = (Signature(pattern=rb"\x00MYL.{36}\x01\x00\x00\x00", width=44),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER.size)
        magic, crc, vendor, device, _, _, revision, high, low, flags = _HEADER.unpack(raw)
        blocks = _blocks(source, offset) if magic == _MAGIC else []
        first = _HEADER.size + (len(blocks) + 1) * _BLOCK.size
        size = first + sum(length for _, length in blocks)
        there = min(size, source.size - offset)
        if not blocks or there <= first:
            raise FormatError("not a MyLoader firmware")
        problems: list[str] = []
        if there < size:
            problems.append(f"{size} bytes announced, {there} there")
        return Container(
            format=self.name,
            size=there,
            entries=_entries(source, offset, first, there, blocks, problems),
            detail={
                "vendor": f"0x{vendor:04x}",
                "device": f"0x{device:04x}",
                "revision": revision,
                "version": f"0x{high:x}.0x{low:x}",
                "flags": f"0x{flags:x}",
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "CRC32", _right(raw, source, offset, size, crc) if there == size else None),
            },
            problems=problems,
        )


def _blocks(source: ByteSource, offset: int) -> list[tuple[int, int]]:
    """Address in flash and length of data of every block; nothing where the list does not end."""
    blocks: list[tuple[int, int]] = []
    for number in range(_MOST):
        kind, address, length, _ = _BLOCK.unpack(source.read(offset + _HEADER.size + number * _BLOCK.size, _BLOCK.size))
        if kind == 0:
            return blocks
        if kind != 1 or length % _PACKED or length > source.size:
            break
        blocks.append((address, length))
    return []


def _right(raw: bytes, source: ByteSource, offset: int, size: int, expected: int) -> bool:
    value = zlib.crc32(raw[:4] + bytes(4) + raw[8:])
    return crc32(source, offset + len(raw), size - len(raw), value) == expected


def _entries(
    source: ByteSource, offset: int, at: int, end: int, blocks: list[tuple[int, int]], problems: list[str]
) -> list[Entry]:
    entries: list[Entry] = []
    names: dict[int, str] = {}
    for number, (address, length) in enumerate(blocks):
        size = min(length, end - at)
        if size <= 0:
            continue
        where = offset + at
        head = source.read(where, min(size, _TABLE_SIZE))
        if head[:4] == _TABLE.to_bytes(4, "little"):
            names |= _names(head)
            entry = msgspec.structs.replace(part(source, "partition-table", where, size), role="meta")
        else:
            name = names.get(address) or f"block-{number}"
            entry = _block(source, name, where, size, {"address": f"0x{address:x}"}, problems)
        entries.append(entry)
        at += length
    return entries


def _names(table: bytes) -> dict[int, str]:
    """The names of used partitions by their address in flash."""
    names = {}
    for number in range(_PARTITIONS):
        at, named = _TABLE_HEAD + number * _PARTITION.size, _TABLE_SIZE - (_PARTITIONS - number) * _NAME
        if named + _NAME <= len(table):
            _, kind, address, _, _ = _PARTITION.unpack_from(table, at)
            name = words(table[named : named + _NAME]).replace("/", "_").strip(".")
            if kind and name:
                names[address] = name
    return names


def _block(source: ByteSource, name: str, where: int, size: int, detail: dict[str, str | int], problems: list[str]) -> Entry:
    if size > 2 * _PACKED:
        length, crc = struct.unpack("<II", source.read(where, 8))
        if length > 0 and size - 8 - length in range(_PACKED):
            right = crc32(source, where + 8, length) == crc
            if not right:
                note(problems, f"{name}: wrong CRC32")
            return part(source, name, where + 8, length, detail | {"crc32": "right" if right else "wrong"})
    return part(source, name, where, size, detail)


FORMATS = (Mylo(),)
