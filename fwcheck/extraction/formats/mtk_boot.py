"""MediaTek boot ROM images: a media header, a boot region layout, and a Generic File Header (GFH) with the loader, little-endian.

Media header: ``EMMC_BOOT``, ``COMBO_BOOT``, ``SDMMC_BOOT`` or ``SF_BOOT`` (12 bytes), version, length of the header; or, on
parallel NAND, ``BOOTLOADER!``, ``V006``, ``NFIINFO`` with the page size at 26. Behind it the layout: ``BRLYT``, version, start
and end of the loader, ``BBBB`` (bytes; pages on NAND).

GFH: ``MMM``, 1, length 0x38, type 0, ``FILE_INFO``, version, at 24 file type, flash device, kind of signature (1 SHA-256), at 28
load address, length of all, largest length, length of the headers, length of the signature, jump offset (U-Boot
tools/mtk_image.h).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import code, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_GFH = struct.Struct("<4sHH12sIHBBIIIIIII")
_LAYOUT = struct.Struct("<8sIII4s")
_LARGEST = 16 << 20
_NONE, _HASH = 0, 1


class MtkBoot(Format):
    """Media header and boot region layout of MediaTek boot ROMs."""

    name = "mtk-boot"
    title = "MediaTek boot region (EMMC_BOOT, SDMMC_BOOT, SF_BOOT, NAND)"
    specification = "U-Boot tools/mtk_image.h"
    category = "firmware"
    reads = "media header, boot region layout and the loader it leads to"
    not_read = "layouts with more than one loader"
    signatures = (
        Signature(pattern=rb"(?:EMMC_BOOT\x00|COMBO_BOOT|SDMMC_BOOT|SF_BOOT\x00\x00\x00)[\x00\xff]{2}\x01\x00\x00\x00", width=16),
        Signature(pattern=rb"BOOTLOADER!\x00V006NFIINFO\x00", width=24),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 64)
        nand = raw.startswith(b"BOOTLOADER!")
        at = int.from_bytes(raw[26:28], "little") if nand else int.from_bytes(raw[16:20], "little")
        if not 32 <= at <= 0x4000:
            raise FormatError("not a MediaTek media header")
        unit = at if nand else 1
        name, _, start, end, magic = _LAYOUT.unpack(source.read(offset + at, _LAYOUT.size))
        start, end = start * unit, end * unit
        size = min(end, source.size - offset)
        if name != b"BRLYT\0\0\0" or magic != b"BBBB" or not at < start < size or end > _LARGEST:
            raise FormatError("not a MediaTek boot region layout")
        problems = [f"{end} bytes announced, {size} there"] if size + unit <= end else []
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "loader", offset + start, size - start)],
            detail={"media": "NAND" if nand else words(raw[:12].rstrip(b"\xff")), "page_size": unit if nand else 0},
            problems=problems,
        )


class MtkGfh(Format):
    """MediaTek loader behind a Generic File Header."""

    name = "mtk-gfh"
    title = "MediaTek boot loader (GFH)"
    specification = "U-Boot tools/mtk_image.h"
    category = "firmware"
    reads = "file information header, loader and signature; SHA-256 recomputed, other signatures told"
    not_read = "the other GFH headers (boot loader, anti-clone, security) are not shown"
    signatures = (Signature(pattern=rb"MMM\x01\x38\x00\x00\x00FILE_INFO\x00\x00\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        fields = _GFH.unpack(source.read(offset, _GFH.size))
        _, _, _, _, version, kind, device, signature, load, total, _, headers, signed, jump, _ = fields
        size = min(total, source.size - offset)
        if fields[0] != b"MMM\x01" or not _GFH.size <= headers < total <= _LARGEST or signed > total - headers or headers >= size:
            raise FormatError("implausible MediaTek file header")
        problems: list[str] = []
        if size < total:
            problems.append(f"{total} bytes announced, {size} there")
        integrity, told = "none", "not signed"
        if signature == _HASH and signed == 32:
            stored = source.peek(offset + total - 32, 32)
            right = digest("sha256", source, (offset, total - 32)) == stored if size == total else None
            integrity, told = "hash", verdict(problems, "SHA-256", right)
        elif signature != _NONE and signed:
            integrity, told = "signature", f"signature of {signed} bytes (not verified)"
        end = min(total - signed, size)
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, "loader", offset + headers, end - headers)] if end > headers else [],
            detail={
                "version": version,
                "file_type": kind,
                "flash_device": device,
                "load_address": f"0x{load:08x}",
                "jump_offset": f"0x{jump:x}",
                "integrity": integrity,
                "integrity_detail": told,
            },
            problems=problems,
        )


FORMATS = (MtkBoot(), MtkGfh())
