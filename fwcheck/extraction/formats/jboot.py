"""JBOOT images (D-Link and others, Amit), little-endian: update header, tag and kernel header.

Update header (ARM), 80 bytes: ROM id (12, often ``DLK``), at 14 the checksum of the data, at 27 lpvs 1, at 32 flash start and
length to erase, at 40 flash start and length of the data, at 64 0x4842, version 2, at 78 the complement of the checksum of all
before. Tag, 16 bytes: 04 or FF, id 04, 24 2B, time, length, checksum of the data, complement of the checksum of the tag. Kernel
header, 40 bytes: 24 21, compression, 2, load address, length, CRC-32, entry, root file system: address, length, CRC-32; CRC-32
of the header, 40.

The checksum is the one's-complement sum of 16-bit words (OpenWrt firmware-utils, mkdlinkfw).
"""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum16, verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory

_UPDATE, _TAG, _KERNEL = 80, 16, 40
_EPOCH = 0x35016F00
_COMPRESSIONS = ("none", "jz", "gzip", "lzma")


def _checksum(source: ByteSource, offset: int, size: int) -> int:
    total = _folded(sum16(source, offset, size - size % 2, big=False))
    if size % 2:  # the vendor's code takes the last byte less 255
        total = _folded(total + source.view(offset + size - 1, 1)[0] - 0xFF & 0xFFFFFFFF)
    return total


def _folded(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _time(stored: int) -> str:
    return datetime.fromtimestamp(stored * 4 + _EPOCH, UTC).isoformat()


class JbootUpdate(Format):
    """JBOOT update header in front of what is written to flash."""

    name = "jboot-update"
    title = "JBOOT update image (AUH header)"
    specification = "OpenWrt firmware-utils, mkdlinkfw"
    category = "firmware"
    reads = "header and data; both checksums recomputed; several headers one behind the other are containers of their own"
    signatures = (Signature(pattern=rb"[A-Z]{3}[\x20-\x7e\x00]{9}.{4}\x00{10}\x01\x00.{20}\x00{16}\x42\x48\x02\x00", width=68),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _UPDATE)
        stored, time, erase, erase_size, flash, length = struct.unpack_from("<H12xIIIII", raw, 14)
        if _checksum(source, offset, _UPDATE - 2) ^ 0xFFFF != int.from_bytes(raw[78:80], "little") or not length:
            raise FormatError("wrong checksum of a JBOOT update header")
        problems: list[str] = []
        start = offset + _UPDATE
        size = min(length, source.size - start)
        if size <= 0:
            raise FormatError("nothing behind a JBOOT update header")
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        right = _checksum(source, start, length) == stored if size == length else None
        return Container(
            format=self.name,
            size=_UPDATE + size,
            entries=[part(source, "data", start, size)],
            detail={
                "rom_id": words(raw[:12]),
                "time": _time(time),
                "flash_address": f"0x{flash:08x}",
                "erase": f"0x{erase:08x}+0x{erase_size:x}",
                "family": f"0x{int.from_bytes(raw[76:78], 'little'):04x}",
                "integrity": "checksum",
                "integrity_detail": f"header checksum right, {verdict(problems, 'data checksum', right)}",
            },
            problems=problems,
        )


class JbootTag(Format):
    """JBOOT tag in front of a kernel header."""

    name = "jboot-tag"
    title = "JBOOT tag (STAG)"
    specification = "OpenWrt firmware-utils, mkdlinkfw"
    category = "firmware"
    reads = "factory and upgrade tags; both checksums recomputed"
    signatures = (Signature(pattern=rb"[\x04\xff]\x04\x24\x2b.{4}.{3}[\x00-\x03]", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _TAG)
        time, length, stored, own = struct.unpack_from("<IIHH", raw, 4)
        if _checksum(Memory(raw[1:2] + raw[1:14]), 0, 14) ^ 0xFFFF != own or not length:
            raise FormatError("wrong checksum of a JBOOT tag")
        problems: list[str] = []
        size = min(length, source.size - offset - _TAG)
        if size <= 0:
            raise FormatError("nothing behind a JBOOT tag")
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        right = _checksum(source, offset + _TAG, length) == stored if size == length else None
        return Container(
            format=self.name,
            size=_TAG + size,
            entries=[part(source, "image", offset + _TAG, size)],
            detail={
                "kind": "factory" if raw[0] == 0xFF else "upgrade",
                "time": _time(time),
                "integrity": "checksum",
                "integrity_detail": f"tag checksum right, {verdict(problems, 'image checksum', right)}",
            },
            problems=problems,
        )


class JbootKernel(Format):
    """JBOOT kernel header (SCH2)."""

    name = "jboot-kernel"
    title = "JBOOT kernel image (SCH2)"
    specification = "OpenWrt firmware-utils, mkdlinkfw"
    category = "firmware"
    reads = "kernel; header and kernel CRC32 recomputed"
    not_read = "the root file system it names stands elsewhere in flash: its CRC32 is not recomputed"
    signatures = (Signature(pattern=rb"\x24\x21[\x00-\x03]\x02.{32}\x28\x00", width=38),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _KERNEL)
        load, length, stored, entry, rootfs, rootfs_size, _, own, header = struct.unpack_from("<8IH", raw, 4)
        if zlib.crc32(raw[:32] + bytes(4) + raw[36:]) != own or header != _KERNEL or not length:
            raise FormatError("wrong CRC32 of a JBOOT kernel header")
        problems: list[str] = []
        size = min(length, source.size - offset - _KERNEL)
        if size <= 0:
            raise FormatError("nothing behind a JBOOT kernel header")
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        right = crc32(source, offset + _KERNEL, length) == stored if size == length else None
        return Container(
            format=self.name,
            size=_KERNEL + size,
            entries=[part(source, "kernel", offset + _KERNEL, size)],
            detail={
                "compression": _COMPRESSIONS[raw[2]],
                "load_address": f"0x{load:08x}",
                "entry_point": f"0x{entry:08x}",
                "rootfs_address": f"0x{rootfs:08x}",
                "rootfs_size": rootfs_size,
                "integrity": "checksum",
                "integrity_detail": f"header CRC32 right, {verdict(problems, 'kernel CRC32', right)}",
            },
            problems=problems,
        )


FORMATS = (JbootUpdate(), JbootTag(), JbootKernel())
