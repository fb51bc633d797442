"""Allwinner boot package: OP-TEE, U-Boot, device tree and more in one image behind boot0, little-endian.

Header (64 bytes): name ``sunxi-package`` (16), 0x89119800, checksum, serial number, status, number of items, length, version
(2 words), 12 bytes reserved, ``MIE;``. Items (368 bytes): name (64), offset, length, encrypted, type, load address, index, 276
bytes reserved, ``IIE;``. U-Boot brings a head of its own: a jump over it, ``uboot``, checksum, alignment, length, length again,
version, platform (8 each), link address, parameters of the board. The checksum is the sum of all words, 0x5F0A6C39 standing in
its place (sbrom_toc.h and spare_head.h of Allwinner's boot0 and U-Boot).
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum32, verdict
from fwcheck.extraction.formats._ciphertext import encrypted
from fwcheck.extraction.formats._parts import code, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER: Final = struct.Struct("<16s6I8s12s4s")
_ITEM: Final = struct.Struct("<64s6I276s4s")
_HEAD: Final = struct.Struct("<I8s4I8s8sI")
_STAMP: Final = 0x5F0A6C39
_ITEMS: Final = 64
_CODE: Final = frozenset({"optee", "monitor", "scp", "arisc", "opensbi"})  # bare machine code
_LARGEST: Final = 64 << 20


class SunxiPackage(Format):
    """Allwinner boot package; every item is a part."""

    name = "sunxi-package"
    title = "Allwinner boot package"
    specification = "Allwinner sbrom_toc.h (boot0, U-Boot)"
    category = "firmware"
    reads = "all items with their load addresses; checksum recomputed"
    not_read = "items marked as encrypted"
    signatures = (Signature(pattern=rb"sunxi-package\x00\x00\x00\x00\x98\x11\x89", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        name, magic, checksum, serial, status, count, length, _, _, end = _HEADER.unpack(source.read(offset, _HEADER.size))
        if magic != 0x89119800 or end != b"MIE;" or not 0 < count <= _ITEMS:
            raise FormatError("not the header of an Allwinner boot package")
        if not _HEADER.size + count * _ITEM.size <= length <= _LARGEST or length % 4:
            raise FormatError("implausible length of an Allwinner boot package")
        problems: list[str] = []
        size = min(length, source.size - offset)
        right: bool | None = None
        if size < length:
            note(problems, f"{length} bytes announced, {size} there")
        else:
            right = (sum32(source, offset, size, big=False) - checksum + _STAMP) & 0xFFFFFFFF == checksum
        return Container(
            format=self.name,
            size=size,
            entries=list(_items(source, offset, size, count, problems)),
            detail={
                "name": words(name),
                "items": count,
                "serial": serial,
                "status": status,
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "checksum", right),
            },
            problems=problems,
        )


def _items(source: ByteSource, offset: int, size: int, count: int, problems: list[str]) -> list[Entry]:
    entries = []
    for number in range(count):
        at = offset + _HEADER.size + number * _ITEM.size
        if at + _ITEM.size > offset + size:
            note(problems, "cut off inside the items")
            break
        raw, start, length, cipher, kind, address, _, _, end = _ITEM.unpack(source.read(at, _ITEM.size))
        name = words(raw) or f"item-{number}"
        if end != b"IIE;" or not length or start + length > size:
            note(problems, f"{name}: does not lie inside the package")
            continue
        if cipher:
            entries.append(encrypted(source, name, offset + start, length, "marked in the boot package, scheme unknown"))
        else:
            detail: dict[str, str | int] = {"type": kind, "load_address": f"0x{address:08x}"}
            one = code(source, name, offset + start, length) if name in _CODE else part(source, name, offset + start, length)
            entries.append(msgspec.structs.replace(one, detail=detail))
    return entries


class SunxiUboot(Format):
    """Allwinner's head in front of U-Boot; what it jumps to is a part. Accepted only when the checksum comes out."""

    name = "sunxi-uboot"
    title = "Allwinner head of U-Boot"
    specification = "Allwinner spare_head.h (U-Boot)"
    category = "firmware"
    reads = "version, platform, link address; checksum recomputed"
    not_read = "the parameters of the board in the head"
    signatures = (Signature(pattern=rb"[\x00-\xff]{2}\x00\xeauboot\x00\x00\x00[\x00-\xff]{4}\x00[\x00-\xff]{2}\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        jump, magic, checksum, _, length, _, version, platform, address = _HEAD.unpack(source.read(offset, _HEAD.size))
        start = 8 + 4 * (jump & 0xFFFFFF)
        if magic != b"uboot\0\0\0" or not _HEAD.size <= start < length <= min(_LARGEST, source.size - offset) or length % 4:
            raise FormatError("no Allwinner head of U-Boot")
        if (sum32(source, offset, length, big=False) - checksum + _STAMP) & 0xFFFFFFFF != checksum:
            raise FormatError("wrong checksum in an Allwinner head of U-Boot")
        return Container(
            format=self.name,
            size=length,
            entries=[part(source, "code", offset + start, length - start)],
            detail={
                "version": words(version),
                "platform": words(platform),
                "load_address": f"0x{address:08x}",
                "integrity": "checksum",
                "integrity_detail": "checksum right",
            },
        )


FORMATS = (SunxiPackage(), SunxiUboot())
