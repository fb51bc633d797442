"""Allwinner boot images: eGON.BT0 and BT1 with a checksum, and TOC0 with a certificate and a key, little-endian.

eGON: jump instruction, ``eGON.BT0``, checksum, length, then (U-Boot SPL) ``SPL`` and a version, with the offset of the name of
the device tree at 32. TOC0: ``TOC0.GLH``, 0x89119800, checksum, serial number, status, number of items, length, platform (4),
8 bytes reserved, ``MIE;``; items of 32 bytes: name, offset, length, status, type, load address, 4 bytes reserved, ``IIE;``.

The checksum is the sum of all 32-bit words, 0x5F0A6C39 standing in its place (U-Boot include/sunxi_image.h, tools/sunxi_toc0.c).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum32, verdict
from fwcheck.extraction.formats._parts import code, part, words
from fwcheck.extraction.formats._toc0 import Toc0Signature, signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_STAMP = 0x5F0A6C39
_LARGEST = 4 << 20
_TOC0 = struct.Struct("<8s6I4s8s4s")
_ITEM = struct.Struct("<6I4s4s")
_ITEMS_LIMIT = 64
_NAMES = {0x010101: "certificate", 0x010202: "firmware", 0x010303: "key"}


def _summed(source: ByteSource, offset: int, size: int, stored: int) -> bool:
    return (sum32(source, offset, size, big=False) - stored + _STAMP) & 0xFFFFFFFF == stored


class Egon(Format):
    """Allwinner eGON image: the code that the boot ROM loads."""

    name = "sunxi-egon"
    title = "Allwinner eGON boot image (BT0, BT1)"
    specification = "U-Boot include/sunxi_image.h"
    category = "firmware"
    reads = "boot0, boot1 and U-Boot SPL; checksum recomputed, name of the device tree"
    signatures = (Signature(pattern=rb"eGON\.BT[01].{4}[\x00-\xff].[\x00-\x3f]\x00", width=16, offset=4),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 96)
        checksum, length = struct.unpack_from("<II", raw, 12)
        available = source.size - offset
        if raw[4:8] != b"eGON" or not 32 <= length <= _LARGEST or length % 4:
            raise FormatError("not an eGON header")
        right = _summed(source, offset, length, checksum) if length <= available else None
        if right is False and length % 512:
            raise FormatError("wrong checksum of an eGON image")
        problems: list[str] = []
        size = min(length, available)
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        detail: dict[str, str | int] = {"kind": words(raw[4:12]), "length": length}
        if raw[20:23] == b"SPL":
            detail["spl_version"] = raw[23]
            name_at = int.from_bytes(raw[32:36], "little")
            if 0 < name_at < size:
                detail["device_tree"] = words(source.peek(offset + name_at, 64))
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, f"boot{chr(raw[11])}", offset, size)],
            detail=detail | {"integrity": "checksum", "integrity_detail": verdict(problems, "checksum", right)},
            problems=problems,
        )


class Toc0(Format):
    """Allwinner TOC0 image of secure boot."""

    name = "sunxi-toc0"
    title = "Allwinner TOC0 secure boot image"
    specification = "U-Boot tools/sunxi_toc0.c"
    category = "firmware"
    reads = "certificate, key and firmware items; checksum and hash of the firmware recomputed, the RSA signatures verified"
    not_read = "certificates of another layout than that of mkimage"
    signatures = (Signature(pattern=rb"TOC0\.GLH\x00\x98\x11\x89", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _TOC0.size)
        _, _, checksum, serial, status, count, length, platform, _, end = _TOC0.unpack(raw)
        available = source.size - offset
        if end != b"MIE;" or not 0 < count <= _ITEMS_LIMIT or not _TOC0.size + count * _ITEM.size <= length <= _LARGEST:
            raise FormatError("not a TOC0 header")
        problems: list[str] = []
        size = min(length, available)
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        right = _summed(source, offset, length, checksum) if size == length else None
        told = verdict(problems, "checksum", right)
        entries = _items(source, offset, size, count, problems)
        signed = any(entry.path == "certificate" for entry in entries)
        places = {entry.path: (entry.offset, entry.size) for entry in entries if entry.offset is not None}
        found = signature(source, places) if signed else Toc0Signature()
        problems += found.problems
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "serial": serial,
                "status": status,
                "platform": platform.hex(),
                "items": count,
                "integrity": "signature" if signed else "checksum",
                "integrity_detail": f"{found.words}, {told}" if signed else told,
            },
            problems=problems,
            signatures=found.blocks,
        )


def _items(source: ByteSource, offset: int, size: int, count: int, problems: list[str]) -> list[Entry]:
    entries = []
    for number in range(count):
        at = offset + _TOC0.size + number * _ITEM.size
        if at + _ITEM.size > offset + size:
            note(problems, "cut off inside the items")
            break
        kind, start, length, _, _, load, _, end = _ITEM.unpack(source.read(at, _ITEM.size))
        name = _NAMES.get(kind, f"item-0x{kind:06x}")
        if end != b"IIE;" or start + length > size or not length:
            note(problems, f"{name}: does not lie inside the image")
            continue
        detail: dict[str, str | int] = {"load_address": f"0x{load:08x}"}
        entries.append(part(source, name, offset + start, length, detail))
    return entries


FORMATS = (Egon(), Toc0())
