"""HiSilicon all-in-one package of its WiFi and BLE chips (fwpkg, Hi3861 to WS63 and BS21), little-endian.

Header: 0xEFBEADDF, CRC-16, number of images (2 each), total size. Images (52 bytes each): name (32), offset, length, flash
address, flash size, type (0 loader, 1 flash, 2 key-value store). Newer ones begin with 0xEFBEADD0 to 0xEFBEADDE, have a name of
260 bytes behind the header, and names of 260 bytes. 16 zeros follow each image. The CRC-16 (XMODEM) covers the header from byte
6 on and the table (vendor's packet_create.py; ws63flash).
"""

from __future__ import annotations

import binascii
import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER: Final = struct.Struct("<IHHI")
_IMAGE: Final = struct.Struct("<32s5I")
_LONG_IMAGE: Final = struct.Struct("<260s6I")
_LONG_NAME: Final = 260
_IMAGES: Final = 64
_TYPES: Final = {0: "loader", 1: "flash", 2: "key-value store"}
_SEPARATOR: Final = 16


class HisiliconFwpkg(Format):
    """All-in-one package; accepted only when the CRC-16 of its table comes out. Every image is a part."""

    name = "hisilicon-fwpkg"
    title = "HiSilicon all-in-one package (fwpkg)"
    specification = "HiSilicon SDK packet_create.py; ws63flash"
    category = "microcontroller"
    reads = "both generations, all images with their flash addresses; CRC-16 of the table recomputed"
    not_read = "signatures inside the images"
    signatures = (Signature(pattern=rb"[\xd0-\xdf]\xad\xbe\xef[\x00-\xff]{2}[\x01-\x40]\x00[\x00-\xff]{3}[\x00-\x0f]", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, crc, count, total = _HEADER.unpack(source.read(offset, _HEADER.size))
        layout, before = (_IMAGE, 0) if magic & 0xFF == 0xDF else (_LONG_IMAGE, _LONG_NAME)
        size = _HEADER.size + before + count * layout.size
        if magic >> 8 != 0xEFBEAD or not 0 < count <= _IMAGES or total < size:
            raise FormatError("no header of a HiSilicon package")
        raw = source.read(offset, size)
        if binascii.crc_hqx(raw[6:], 0) != crc:
            raise FormatError("wrong CRC-16 of a HiSilicon package")
        problems: list[str] = []
        available = source.size - offset
        end = size
        entries: list[Entry] = []
        for stored, at, length, address, room, kind, *_ in layout.iter_unpack(raw[_HEADER.size + before :]):
            name = words(stored) or f"image-{len(entries)}"
            there = min(length, available - at)
            if at < size or there <= 0:
                note(problems, f"{name}: does not lie inside the package")
                continue
            if there < length:
                note(problems, f"{name}: {length} bytes announced, {there} there")
            end = max(end, at + there)
            detail: dict[str, str | int] = {"flash_address": f"0x{address:x}", "flash_size": room, "type": _TYPES.get(kind, kind)}
            entries.append(part(source, name, offset + at, there, detail))
        if source.peek(offset + end, _SEPARATOR) == bytes(_SEPARATOR):
            end += _SEPARATOR
        return Container(
            format=self.name,
            size=min(end, available),
            entries=entries,
            detail={
                "name": words(raw[_HEADER.size : _HEADER.size + before]) if before else "",
                "images": count,
                "integrity": "checksum",
                "integrity_detail": "CRC-16 of the table right; the images have no check here",
            },
            problems=problems,
        )


FORMATS = (HisiliconFwpkg(),)
