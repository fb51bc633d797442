"""ZyXEL images: ROM objects of ZyNOS, and the header of RAS images for Linux devices, both big-endian.

ROM object, 48 bytes: load address, two bytes, ``SIG``, type, size unpacked, size packed, flags, a byte, checksum unpacked,
checksum packed, version (15), address of the memory map, five bytes. Flag 0x80: packed (LZMA); 0x40 and 0x20: the checksums
hold. The checksum is the one's-complement sum of 16-bit words (zynos.h of OpenWrt firmware-utils).

RAS header, one erase block of which 2 KiB are checked: checksum of the root file system, its length, version (32), checksum of
the header, model (64), checksum of the kernel, its length (both FF where there is none); filled up with FF; root file system
and kernel follow. The checksum is that of ``sum -s``: all bytes, folded to 16 bits (mkrasimage).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, sum16, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_OBJECT = struct.Struct(">IH3sBIIBBHH15sIIB")
_PACKED, _ORIGINAL_SUM, _PACKED_SUM = 0x80, 0x40, 0x20
_TYPES = {3: "boot extension", 4: "ROM binary"}
_NONE = 0xFFFFFFFF
_CHECKED = 2048
_BLOCKS = (0x10000, 0x20000, 0x1000, 0x2000, 0x4000, 0x8000, 0x40000)


def _folded(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class ZynosObject(Format):
    """ROM object of ZyNOS: its content is a part."""

    name = "zynos"
    title = "ZyXEL ZyNOS ROM object (SIG)"
    specification = "OpenWrt firmware-utils, zynos.h and mkzynfw"
    category = "firmware"
    reads = "header and content, packed or not; both checksums where they can be recomputed"
    not_read = "the checksum of packed content before it was packed; memory map tables"
    signatures = (Signature(pattern=rb"[\x80-\xbf].{5}SIG[\x01-\x0f][\x00-\x03].{3}[\x00-\x03].{3}", width=18),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        fields = _OBJECT.unpack(source.read(offset, _OBJECT.size))
        address, _, mark, kind, plain, packed, flags, _, plain_sum, packed_sum, version, memory_map, _, _ = fields
        length = packed if flags & _PACKED else plain
        start = offset + _OBJECT.size
        if mark != b"SIG" or not 0 < length <= 64 << 20 or (flags & _PACKED and packed > plain) or start >= source.size:
            raise FormatError("implausible ZyNOS object")
        size = min(length, source.size - start)
        problems: list[str] = []
        told = "no checksum"
        wanted = None
        if flags & _PACKED:
            wanted = packed_sum if flags & _PACKED_SUM else None
        elif flags & _ORIGINAL_SUM:
            wanted = plain_sum
        if wanted is not None:
            right = _folded(sum16(source, start, length, big=True)) == wanted if size == length else None
            told = verdict(problems, "checksum", right)
        elif size < length:
            raise FormatError("a ZyNOS object without a checksum that is cut off")
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        return Container(
            format=self.name,
            size=_OBJECT.size + size,
            entries=[part(source, "content", start, size)],
            detail={
                "type": _TYPES.get(kind, f"0x{kind:02x}"),
                "load_address": f"0x{address:08x}",
                "unpacked_size": plain,
                "version": words(version),
                "memory_map": f"0x{memory_map:08x}",
                "integrity": "none" if told == "no checksum" else "checksum",
                "integrity_detail": told,
            },
            problems=problems,
        )


class RasImage(Format):
    """RAS image of a Linux device."""

    name = "zyxel-ras"
    title = "ZyXEL RAS image (Linux)"
    specification = "OpenWrt firmware-utils, mkrasimage"
    category = "firmware"
    reads = "root file system and kernel; header, root file system and kernel checksums recomputed"
    signatures = (
        Signature(
            pattern=rb"\x00\x00.{2}[\x00-\x0f].{3}[\x20-\x7e]{3}[\x00\x20-\x7e\xff]{29}\x00\x00.{2}[\x20-\x7e]{3}[\x00\x20-\x7e\xff]{29}\xff{32}",
            width=108,
        ),
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _CHECKED)
        rootfs_sum, rootfs = struct.unpack_from(">II", raw)
        header_sum = int.from_bytes(raw[40:44], "big")
        kernel_sum, kernel = struct.unpack_from(">II", raw, 108)
        if _folded(sum(raw[:40]) + sum(raw[:4]) + sum(raw[44:])) != header_sum or not 0 < rootfs <= 1 << 28:
            raise FormatError("wrong checksum of a RAS header")
        has_kernel = kernel not in {0, _NONE}
        length = rootfs + (kernel if has_kernel else 0)
        header = self._header(source, offset, rootfs, rootfs_sum)
        size = min(length, source.size - offset - header)
        if size <= 0:
            raise FormatError("nothing behind a RAS header")
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        start = offset + header
        places = [("rootfs", start, rootfs, rootfs_sum)]
        places += [("kernel", start + rootfs, kernel, kernel_sum)] if has_kernel else []
        told = ["header checksum right"]
        entries = []
        for name, at, count, wanted in places:
            there = max(min(count, source.size - at), 0)
            right = _folded(sum8(source, at, count)) == wanted if there == count else None
            told.append(verdict(problems, f"{name} checksum", right))
            if there:
                entries.append(part(source, name, at, there))
        return Container(
            format=self.name,
            size=header + size,
            entries=entries,
            detail={
                "version": words(raw[8:40].split(b"\xff")[0]),
                "model": words(raw[44:108].split(b"\xff")[0]),
                "header_length": header,
                "integrity": "checksum",
                "integrity_detail": ", ".join(told),
            },
            problems=problems,
        )

    @staticmethod
    def _header(source: ByteSource, offset: int, rootfs: int, wanted: int) -> int:
        """The length of the header, which is one erase block: that at which the checksum comes out."""
        for block in _BLOCKS:
            end = offset + block + rootfs
            if end <= source.size and _folded(sum8(source, offset + block, rootfs)) == wanted:
                return block
        return _BLOCKS[0]


FORMATS = (ZynosObject(), RasImage())
