"""Metadata of Android's logical partitions: geometry, header and four tables, with their SHA-256.

Little-endian. Geometry, 52 bytes: magic 0x616C4467, its size (4 + 4), SHA-256 over it with this field zero (32), bytes of
one copy of the metadata, slots, logical block size (3 x 4). Header: magic 0x414C5030 (4), version (2 + 2), its size (4), SHA-256
over it (32), size of the tables (4), their SHA-256 (32), then offset, count and entry size (3 x 4) of partitions, extents, groups
and block devices; from version 10.2 on flags (4). Partition: name (36), attributes, first extent, extents, group (4 x 4). Extent:
sectors of 512 bytes (8), type (4; 0 linear, 1 zeros), first sector (8), device (4). Group: name (36), flags (4), limit (8).
Device: first sector (8), alignment (4 + 4), size (8), name (36), flags (4).
Source: ``fs_mgr/liblp/include/liblp/metadata_format.h`` of Android.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import Any

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.source import ByteSource

RESERVED = 4096  # bytes at the begin of the device that are left alone
GEOMETRY = 4096  # bytes that each of its two copies takes
SECTOR = 512
ZEROS = 1
_GEOMETRY = Struct("<II32sIII")
_HEADER = Struct("<IHHI32sI32s12I")
_PARTITION, _EXTENT, _GROUP, _DEVICE = Struct("<36sIIII"), Struct("<QIQI"), Struct("<36sIQ"), Struct("<QIIQ36sI")
_SIZE_LIMIT = 1 << 22
_SLOTS = 16
_ATTRIBUTES = {1: "read-only", 2: "slot-suffixed", 4: "updated", 8: "disabled"}


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    size: int  # bytes of one copy of the metadata
    slots: int
    block: int


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    sectors: int
    kind: int
    first: int
    device: int


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    attributes: str
    group: str
    extents: tuple[Extent, ...]


class Device(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    size: int


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    partitions: tuple[Partition, ...]
    groups: tuple[str, ...]
    devices: tuple[Device, ...]
    flags: int


def geometry(source: ByteSource, at: int) -> Geometry:
    """The geometry at ``at``; raises FormatError when its SHA-256 is wrong."""
    raw = source.peek(at, _GEOMETRY.size)
    if len(raw) < _GEOMETRY.size:
        raise FormatError("no geometry")
    magic, size, checksum, largest, slots, block = _GEOMETRY.unpack(raw)
    if magic != 0x616C4467 or size != _GEOMETRY.size or hashlib.sha256(raw[:8] + bytes(32) + raw[40:]).digest() != checksum:
        raise FormatError("no geometry of logical partitions, or a wrong SHA-256")
    if not 128 <= largest <= _SIZE_LIMIT or largest % SECTOR or not 0 < slots <= _SLOTS:
        raise FormatError("implausible geometry of logical partitions")
    return Geometry(size=largest, slots=slots, block=block)


def metadata(source: ByteSource, at: int, largest: int) -> Metadata:
    """The metadata at ``at``; raises FormatError when a SHA-256 is wrong or a table lies outside."""
    raw = source.peek(at, 256)
    if len(raw) < _HEADER.size:
        raise FormatError("no metadata")
    magic, major, minor, size, checksum, tables_size, tables_checksum, *tables = _HEADER.unpack_from(raw)
    if magic != 0x414C5030 or major != 10 or not _HEADER.size <= size <= 256 or size + tables_size > largest:
        raise FormatError("no metadata of logical partitions")
    if hashlib.sha256(raw[:12] + bytes(32) + raw[44:size]).digest() != checksum:
        raise FormatError("wrong SHA-256 of the metadata header")
    body = source.read(at + size, tables_size)
    if hashlib.sha256(body).digest() != tables_checksum:
        raise FormatError("wrong SHA-256 of the metadata tables")
    rows = [_rows(body, tables[n * 3 : n * 3 + 3], layout) for n, layout in enumerate((_PARTITION, _EXTENT, _GROUP, _DEVICE))]
    groups = tuple(words(name) for name, _, _ in rows[2])
    extents = [Extent(sectors=sectors, kind=kind, first=first, device=device) for sectors, kind, first, device in rows[1]]
    partitions = tuple(
        Partition(
            name=words(name), attributes=", ".join(word for bit, word in _ATTRIBUTES.items() if attributes & bit),
            group=groups[group] if group < len(groups) else "", extents=tuple(extents[first : first + count]),
        )
        for name, attributes, first, count, group in rows[0]
    )  # fmt: skip
    devices = tuple(Device(name=words(name), size=size) for _, _, _, size, name, _ in rows[3])
    flags = int.from_bytes(raw[128:132], "little") if size >= 132 else 0
    return Metadata(version=f"{major}.{minor}", partitions=partitions, groups=groups, devices=devices, flags=flags)


def _rows(body: bytes, place: list[int], layout: Struct) -> list[tuple[Any, ...]]:
    at, count, width = place
    if width < layout.size or at + count * width > len(body):
        raise FormatError("a table of the metadata lies outside")
    return [layout.unpack_from(body, at + n * width) for n in range(count)]
