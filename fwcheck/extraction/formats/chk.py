"""Netgear CHK: a header with the board, then kernel and root file system, all big-endian.

    0  magic ``*#$^``               24  kernel length
    4  length of the header         28  root file system length
    8  region, seven version bytes  32  checksum of kernel and root file system together
    16 checksum of the kernel       36  checksum of the header, this field being zero
    20 checksum of the root fs      40  board id, up to the end of the header

The checksum is a pair of sums (of the bytes, and of all sums so far), each folded to 16 bits (OpenWrt firmware-utils, mkchkimg).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import fletcher, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct(">4sI8s6I")
_MAGIC = b"*#$^"
_LONGEST = 1024
_REGIONS = {1: "WW", 2: "NA", 3: "GR", 4: "PR", 5: "RU", 6: "BZ", 7: "IN", 8: "KO", 9: "JP"}


class Chk(Format):
    """Netgear CHK image with kernel and root file system as parts."""

    name = "chk"
    title = "Netgear CHK firmware image"
    specification = "OpenWrt firmware-utils, mkchkimg"
    category = "firmware"
    reads = "kernel and root file system parts; header, part and image checksums are recomputed"
    signatures = (Signature(pattern=rb"\*#\$\^\x00\x00[\x00-\x04].", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, length, versions, *numbers = _HEADER.unpack(source.read(offset, _HEADER.size))
        kernel_sum, rootfs_sum, kernel, rootfs, image_sum, header_sum = numbers
        if magic != _MAGIC or not _HEADER.size <= length <= _LONGEST or not kernel + rootfs:
            raise FormatError("not a Netgear CHK header")
        raw = source.read(offset, length)
        header_right = fletcher([raw[:36] + bytes(4) + raw[40:]]) == header_sum
        board = words(raw[40:])
        available = source.size - offset - length
        if not header_right and (kernel + rootfs > available or not board.isascii()):
            raise FormatError("wrong checksum of a Netgear CHK header")
        if not available:
            raise Truncated("nothing behind a Netgear CHK header")
        problems: list[str] = []
        told = [verdict(problems, "header checksum", header_right)]
        size = min(kernel + rootfs, available)
        start = offset + length
        if size < kernel + rootfs:
            problems.append(f"{kernel + rootfs} bytes announced, {size} there")
            told.append(verdict(problems, "image checksum", None))
        else:
            for what, at, count, wanted in (
                ("kernel checksum", start, kernel, kernel_sum),
                ("root file system checksum", start + kernel, rootfs, rootfs_sum),
                ("image checksum", start, kernel + rootfs, image_sum),
            ):
                if count:
                    told.append(verdict(problems, what, fletcher(source.window(at, count).chunks()) == wanted))
        kernel_size = min(kernel, size)
        parts = (("kernel", start, kernel_size), ("rootfs", start + kernel_size, size - kernel_size))
        return Container(
            format=self.name,
            size=length + size,
            entries=[part(source, name, at, count) for name, at, count in parts if count],
            detail={
                "board": board,
                "region": _REGIONS.get(versions[0], f"unknown ({versions[0]})"),
                "version": "{}.{}.{}.{}_{}.{}.{}".format(*versions[1:]),
                "kernel_length": kernel,
                "rootfs_length": rootfs,
                "integrity": "checksum",
                "integrity_detail": ", ".join(told),
            },
            problems=problems,
        )


FORMATS = (Chk(),)
