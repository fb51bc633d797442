"""Intel (Altera) SoCFPGA preloader image, little-endian: a header at 0x40 of what the boot ROM loads.

Version 0 (Cyclone V, Arria V): ``AS01``, 0, flags, length of the program in words, zero, sum of the header's bytes before.
Version 1 (Arria 10): ``AS01``, 1, flags, length of the header, length of the program, entry offset, zero, sum of the header's
bytes before. The program counts from the beginning of the image and ends with its CRC-32, not reflected (U-Boot
tools/socfpgaimage.c).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import crc32_msb_first, verdict
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_AT = 0x40
_LARGEST = {0: 64 << 10, 1: 256 << 10}


class SocFpga(Format):
    """SoCFPGA preloader."""

    name = "socfpga"
    title = "Intel SoCFPGA preloader image"
    specification = "U-Boot tools/socfpgaimage.c"
    category = "firmware"
    reads = "both header versions; header checksum and CRC32 recomputed"
    not_read = "the copies that follow at multiples of 64 or 256 KiB are images of their own"
    signatures = (Signature(pattern=rb"AS01[\x00\x01]", width=5, offset=_AT),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset + _AT, 20)
        version = raw[4]
        if raw[:4] != b"AS01" or version not in _LARGEST:
            raise FormatError("not a SoCFPGA header")
        if version:
            length, entry = struct.unpack_from("<II", raw, 8)
            summed, stored = raw[:18], int.from_bytes(raw[18:20], "little")
        else:
            length, entry = 4 * int.from_bytes(raw[6:8], "little"), 0
            summed, stored = raw[:10], int.from_bytes(raw[10:12], "little")
        if sum(summed) & 0xFFFF != stored or not _AT + 20 < length <= _LARGEST[version]:
            raise FormatError("wrong checksum of a SoCFPGA header")
        size = min(length, source.size - offset)
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        right = None
        if size == length:
            behind = int.from_bytes(source.read(offset + length - 4, 4), "little")
            right = crc32_msb_first(source, offset, length - 4) ^ 0xFFFFFFFF == behind
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, "preloader", offset, size)],
            detail={
                "header_version": version,
                "entry_point": f"0x{entry:x}",
                "length": length,
                "integrity": "checksum",
                "integrity_detail": f"header checksum right, {verdict(problems, 'CRC32', right)}",
            },
            problems=problems,
        )


FORMATS = (SocFpga(),)
