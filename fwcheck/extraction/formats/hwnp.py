"""Huawei HWNP: the update package of GPON terminals, little-endian but for one length.

    0  ``HWNP``                              24 two bytes, length of the list of products
    4  length of all behind 76, big-endian   28 length of an item (360)
    8  CRC-32 of all from 12 on              32 reserved; the list of products follows
    12 length of header, products and items  ..  items: number, CRC-32, offset, length, destination (256),
    16 CRC-32 of the header from 20 on           section (16), version (64), policy, reserved
    20 number of items

(huawei_header.h and util_hw.cpp of HuaweiFirmwareTool.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sIIIIIHHII")
_ITEM = struct.Struct("<4I256s16s64sII")
_BEHIND = 76  # where the length at 4 begins to count
_OLD = 36  # by which the header length of old packages is off
_ITEMS = 1024


class _Item(NamedTuple):
    number: int
    crc: int
    offset: int
    size: int
    target: bytes
    section: bytes
    version: bytes
    policy: int
    reserved: int


class Hwnp(Format):
    """Huawei HWNP; items are parts."""

    name = "hwnp"
    title = "Huawei GPON update package (HWNP)"
    specification = "HuaweiFirmwareTool, huawei_header.h"
    category = "firmware"
    reads = "all items with destination, section and version; header, item and package CRC32; a signature item is told"
    not_read = "the RSA signature item is not verified; encrypted items are given as they are"
    signatures = (Signature(pattern=rb"HWNP.{12}.{4}[\x01-\xff][\x00-\x04]\x00\x00", width=24),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER.size)
        _, _, whole_crc, header, header_crc, count, _, products_size, item_size, _ = _HEADER.unpack(raw)
        total = int.from_bytes(raw[4:8], "big") + _BEHIND
        table = _HEADER.size + products_size
        if (
            item_size != _ITEM.size
            or not 0 < count <= min(_ITEMS, limits.nodes)
            or abs(header - table - count * item_size) > _OLD
        ):
            raise FormatError("implausible HWNP header")
        products = words(source.read(offset + _HEADER.size, products_size))
        items = [_Item(*_ITEM.unpack(source.read(offset + table + number * item_size, item_size))) for number in range(count)]
        end = table + count * item_size
        header_right = crc32(source, offset + 20, end - 20) == header_crc
        end = max([end, *(each.offset + each.size for each in items)])
        available = source.size - offset
        if not header_right and (end > available or total < table):
            raise FormatError("wrong CRC32 of an HWNP header")
        problems: list[str] = []
        told = [verdict(problems, "header CRC32", header_right)]
        size = min(end, available)
        if size < end:
            note(problems, f"{end} bytes announced, {size} there")
        told.append(
            verdict(problems, "package CRC32", crc32(source, offset + 12, size - 12) == whole_crc if size == end else None)
        )
        signed = any(b"sign" in (each.section + each.target).lower() for each in items)
        detail = {"items": count, "products": products, "integrity": "signature" if signed else "checksum"}
        if signed:
            told.insert(0, "signature item (not verified)")
        return Container(
            format=self.name,
            size=size,
            entries=_items(source, offset, items, problems),
            detail={**detail, "integrity_detail": ", ".join(told)},
            problems=problems,
        )


def _items(source: ByteSource, offset: int, items: list[_Item], problems: list[str]) -> Iterator[Entry]:
    for item in items:
        destination, section = words(item.target), words(item.section)
        label = destination.rpartition("/")[2].rpartition(":")[2] or section or f"item-{item.number}"
        at, there = offset + item.offset, min(item.size, source.size - offset - item.offset)
        if there < item.size:
            note(problems, f"{label}: {item.size} bytes announced, {max(there, 0)} there")
        if there <= 0:
            continue
        if there == item.size and crc32(source, at, there) != item.crc:
            note(problems, f"{label}: wrong CRC32")
        detail: dict[str, str | int] = {
            "destination": destination,
            "section": section,
            "version": words(item.version),
            "policy": item.policy,
        }
        yield part(source, label, at, there, detail)


FORMATS = (Hwnp(),)
