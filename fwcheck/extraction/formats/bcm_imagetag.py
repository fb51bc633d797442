"""Broadcom image tag (CFE tag): 256 bytes of mostly decimal text in front of CFE, root file system and kernel of xDSL routers.

    0   tag version (4)       62  length of all that follows (10)   162 vendor text (30)
    4   signature 1 (20)      72  CFE address (12), length (10)     196 CRC of kernel and root file system
    24  signature 2 (14)      94  image address (12), length (10)   216 CRC of all that follows
    38  chip (6)              116 kernel address (12), length (10)  220 CRC of the root file system
    44  board (16)            138 dual image (2), inactive (2)      224 CRC of the kernel
    60  big-endian "1" (2)    142 signature (20)                    236 CRC of bytes 0 to 235

CRC-32 without final inversion, big-endian. Stock images have the root file system first, then the kernel; OpenWrt's have the
kernel first: both then name the same address (Linux parser_imagetag; OpenWrt firmware-utils, bcm_tag.h).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_TAG_SIZE, _HEADER_CRC = 256, 236
_TEXTS = struct.Struct("4s20s14s6s16s2s10s12s10s12s10s12s10s2s2s")
_INVERTED = 0xFFFFFFFF


class _Tag(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    cfe: int
    image: int  # address
    image_length: int
    kernel: int  # address
    kernel_length: int
    detail: dict[str, str | int]
    image_crc: int
    rootfs_crc: int
    kernel_crc: int


class ImageTag(Format):
    """Broadcom image tag with CFE, root file system and kernel as parts."""

    name = "bcm-imagetag"
    title = "Broadcom image tag (CFE tag, BCM63xx)"
    specification = "Linux parser_imagetag; OpenWrt firmware-utils, bcm_tag.h"
    category = "firmware"
    reads = "CFE, root file system and kernel in stock and OpenWrt order; header, image, root file system and kernel CRC32"
    not_read = "the signature field of vendors that fill it is told by its bytes only"
    signatures = (
        Signature(pattern=rb"[1-9]\x00\x00\x00[A-Za-z].{33}[0-9A-Za-z].{5}[\x20-\x7e].{15}[01]\x00[1-9][0-9]{3}", width=66),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _TAG_SIZE)
        stored = int.from_bytes(raw[_HEADER_CRC : _HEADER_CRC + 4], "big")
        if crc32(source, offset, _HEADER_CRC) ^ _INVERTED != stored:
            raise FormatError("wrong CRC32 of a Broadcom image tag")
        tag = _parse(raw)
        start = offset + _TAG_SIZE
        size = min(tag.total, source.size - start)
        if size <= 0:
            raise FormatError("nothing behind a Broadcom image tag")
        problems: list[str] = []
        if size < tag.total:
            problems.append(f"{tag.total} bytes announced, {size} there")
        parts = _layout(tag, size)
        told = ["header CRC32 right", *_checked(source, start, size, tag, parts, problems)]
        return Container(
            format=self.name,
            size=_TAG_SIZE + size,
            entries=[part(source, name, start + at, length) for name, at, length in parts if length > 0],
            detail=tag.detail | {"integrity": "checksum", "integrity_detail": ", ".join(told)},
            problems=problems,
        )


def _parse(raw: bytes) -> _Tag:
    version, one, two, chip, board, _, total, *numbers, _, _ = (words(each) for each in _TEXTS.unpack(raw[: _TEXTS.size]))
    try:
        values = [int(each.strip() or "0") for each in (total, *numbers)]
    except ValueError as error:
        raise FormatError("a Broadcom image tag whose numbers are none") from error
    length, _, cfe, image, image_length, kernel, kernel_length = values
    if min(values) < 0 or not 0 < length < 1 << 32 or cfe + kernel_length > length:
        raise FormatError("implausible lengths in a Broadcom image tag")
    image_crc, rootfs_crc, kernel_crc = struct.unpack_from(">3I", raw, 216)
    return _Tag(
        total=length,
        cfe=cfe,
        image=image,
        image_length=image_length,
        kernel=kernel,
        kernel_length=kernel_length,
        image_crc=image_crc,
        rootfs_crc=rootfs_crc,
        kernel_crc=kernel_crc,
        detail={
            "tag_version": version,
            "signature": " ".join(filter(None, (one, two))),
            "chip": chip,
            "board": board,
            "vendor_text": words(raw[162:192]),
            "image_address": f"0x{image:08x}",
            "kernel_address": f"0x{kernel:08x}",
        },
    )


def _layout(tag: _Tag, size: int) -> list[tuple[str, int, int]]:
    """Parts as (name, offset behind the tag, length): they cover all that follows the tag."""
    cfe = min(tag.cfe, size)
    parts = [("cfe", 0, cfe)]
    between = tag.kernel - tag.image
    if tag.kernel_length and 0 < between < size - cfe:
        parts += [("rootfs", cfe, between), ("kernel", cfe + between, size - cfe - between)]
    elif tag.kernel_length and between <= 0:
        kernel = min(tag.kernel_length, size - cfe)
        # What follows the kernel may begin at the next erase block: it is searched as a whole.
        parts += [("kernel", cfe, kernel), ("rootfs", cfe + kernel, size - cfe - kernel)]
    else:
        parts.append(("image", cfe, size - cfe))
    return parts


def _checked(
    source: ByteSource, start: int, size: int, tag: _Tag, parts: list[tuple[str, int, int]], problems: list[str]
) -> list[str]:
    """The CRCs that are stored. OpenWrt does not compute the one of the root file system over what the tag calls its length."""

    def right(at: int, length: int, wanted: int) -> bool | None:
        return crc32(source, start + at, length) ^ _INVERTED == wanted if at + length <= size else None

    told = []
    if tag.image_crc:
        told.append(verdict(problems, "image CRC32", right(0, tag.total, tag.image_crc)))
    for name, at, _ in parts:
        if name == "kernel" and tag.kernel_crc:
            told.append(verdict(problems, "kernel CRC32", right(at, tag.kernel_length, tag.kernel_crc)))
        if name == "rootfs" and tag.rootfs_crc and tag.image < tag.kernel:
            told.append(verdict(problems, "root file system CRC32", right(at, tag.image_length, tag.rootfs_crc)))
    return told


FORMATS = (ImageTag(),)
