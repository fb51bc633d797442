"""Images of T&W's GPON sticks (Lantiq FALC-ON; sold under many names): 512 bytes of header, kernel, root file system.

Header, little-endian: total size, 1, time, total size again, length of the kernel's U-Boot image, size of the root file system's
partition, where it begins, CRC32 of everything behind the header, CRC32 of the header (itself zero), build number, then texts:
file system (16), description, model, version, vendor (32 each), filled with 0xFF. An update (``.upf``) has 512 bytes in front: a
line of copyright (64), a date (32), two bytes, the build number at 0x64, CRC32 of the whole file (itself zero, big-endian) at
0x68, a version at 0x7c. The layout is taken from images: all CRCs come out.
"""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER: Final = 512
_FIELDS: Final = struct.Struct("<10I16s32s32s32s32s")
_CRC_AT: Final = 0x20
_FILE_CRC_AT: Final = 0x68  # of an update
_COPYRIGHT: Final = b"Copyright 2000-2010 T&W. All rights reserved."


class TwImage(Format):
    """Image of one flash partition: kernel and root file system are parts; accepted only when the header's CRC32 comes out."""

    name = "tw-image"
    title = "T&W GPON stick image (Lantiq FALC-ON)"
    specification = "layout from images"
    category = "firmware"
    reads = "kernel and root file system; CRC32 of header and content recomputed"
    not_read = "nothing is signed"
    signatures = (Signature(pattern=rb"(?:squashfs|(?:jffs2|ubifs)\x00\x00\x00)\x00{8}[\x20-\x7e]{4}", width=20, offset=0x28),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        fields = _FIELDS.unpack_from(raw)
        total, one, time, again, kernel, rootfs, rootfs_at, crc, header_crc, build = fields[:10]
        if total != again or one != 1 or zlib.crc32(raw[:_CRC_AT] + bytes(4) + raw[_CRC_AT + 4 :]) != header_crc:
            raise FormatError("no header of a T&W image")
        if not _HEADER < _HEADER + kernel <= rootfs_at < total or rootfs_at + rootfs != total:
            raise FormatError("implausible sizes in the header of a T&W image")
        problems: list[str] = []
        size = min(total, source.size - offset)
        if size < total:
            note(problems, f"{total} bytes announced, {size} there")
        right = crc32(source, offset + _HEADER, size - _HEADER) == crc if size == total else None
        spans = {"kernel": (_HEADER, rootfs_at), "rootfs": (rootfs_at, total)}
        texts = zip(("file_system", "name", "model", "version", "vendor"), map(words, fields[10:]), strict=True)
        return Container(
            format=self.name,
            size=size,
            entries=[
                part(source, name, offset + begin, min(end, size) - begin) for name, (begin, end) in spans.items() if begin < size
            ],
            detail={
                **dict(texts),
                "time": datetime.fromtimestamp(time, UTC).isoformat(),
                "build": f"{build:08x}",
                "integrity": "checksum",
                "integrity_detail": f"header CRC32 right, {verdict(problems, 'content CRC32', right)}",
            },
            problems=problems,
        )


class TwUpdate(Format):
    """Update file: a header of its own in front of an image."""

    name = "tw-upf"
    title = "T&W update file (.upf)"
    specification = "layout from images"
    category = "update bundle"
    reads = "date, version, build number; the image inside; CRC32 recomputed"
    not_read = "nothing is signed"
    signatures = (Signature(pattern=rb"Copyright 2000-20[0-9]{2} T&W\. All rights reserved\.\x00", width=46, anywhere=False),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        if not raw.startswith(_COPYRIGHT[:14]) or raw[46:64].strip(b"\0"):
            raise FormatError("no T&W update")
        total = int.from_bytes(source.peek(offset + _HEADER, 4), "little")
        if not _HEADER < total <= 1 << 30:
            raise FormatError("a T&W update without an image")
        size = min(total, source.size - offset - _HEADER)
        problems: list[str] = []
        crc = zlib.crc32(raw[:_FILE_CRC_AT] + bytes(4) + raw[_FILE_CRC_AT + 4 :])
        stored = int.from_bytes(raw[_FILE_CRC_AT : _FILE_CRC_AT + 4], "big")
        right = crc32(source, offset + _HEADER, size, crc) == stored if size == total else None
        return Container(
            format=self.name,
            size=_HEADER + size,
            entries=[part(source, "image", offset + _HEADER, size)],
            detail={
                "date": words(raw[0x40:0x60]),
                "build": raw[0x64:0x68].hex(),
                "version": words(raw[0x7C:0x9C]),
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "CRC32", right),
            },
            problems=problems,
        )


FORMATS = (TwImage(), TwUpdate())
