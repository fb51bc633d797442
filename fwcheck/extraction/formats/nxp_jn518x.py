"""Images of NXP JN518x, QN9090 and K32W061: Zigbee, Thread and Bluetooth (NXP SDK: dk6_image_tool, BOOT_BLOCK_T).

At the beginning stand the first seven vectors and u32 that makes their sum zero, then, little-endian, u32 0x98447902 (one or
two more: a later version for Zigbee or Bluetooth), u32 offset of the boot block, u32 CRC32 of the 40 bytes before. The boot
block: u32 0xBB0110BB, u32 image id, u32 target address, u32 size of the image with its boot block, u32 stated size, u32 offset
of a certificate, u32 offset of a compatibility list, u32 version. A signature follows when there is a certificate.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<11I")
_BLOCK = struct.Struct("<8I")
_MARKERS: Final = frozenset({0x98447902, 0x98447903, 0x98447904})
_BOOT_BLOCK: Final = 0xBB0110BB
_SIGNATURE: Final = 256
_SIZE_LIMIT: Final = 16 << 20


class NxpJn518x(Format):
    """JN518x image; its code is a content of its own."""

    name = "nxp-jn518x"
    title = "NXP JN518x, QN9090, K32W061 image"
    specification = "NXP SDK: dk6_image_tool.py, rom_api (BOOT_BLOCK_T)"
    category = "microcontroller"
    reads = "header with sum of the vectors and CRC32, boot block; a signature is told"
    not_read = "certificates, verification of signatures, encrypted images"
    signatures = (Signature(pattern=rb"[\x02-\x04]\x79\x44\x98.{3}\x00", width=8, offset=32),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not a JN518x header")
        words = _HEADER.unpack(raw)
        if words[8] not in _MARKERS or zlib.crc32(raw[:40]) != words[10] or words[9] < _HEADER.size:
            raise FormatError("not a JN518x header")
        problems: list[str] = []
        if sum(words[:8]) & 0xFFFFFFFF:
            problems.append("wrong sum of the vectors")
        block = source.peek(offset + words[9], _BLOCK.size)
        end = min(words[9], source.size - offset)
        detail: dict[str, str | int] = {"reset_handler": f"0x{words[1] & ~1:08x}"}
        signed = False
        if len(block) < _BLOCK.size or int.from_bytes(block[:4], "little") != _BOOT_BLOCK:
            problems.append("the boot block is missing")
        else:
            _, number, address, size, stated, certificate, _, version = _BLOCK.unpack(block)
            detail |= {
                "image_id": number,
                "target_address": f"0x{address:08x}",
                "version": f"0x{version:08x}",
                "stated_size": stated,
            }
            signed = certificate not in {0, 0xFFFFFFFF}
            announced = size if words[9] + _BLOCK.size <= size <= _SIZE_LIMIT else words[9] + _BLOCK.size
            end = min(announced + (_SIGNATURE if signed else 0), source.size - offset)
            if end < announced:
                problems.append(f"{announced} bytes announced, {end} there")
        detail |= {
            "integrity": "signature" if signed else "none",
            "integrity_detail": f"{'RSA-2048 signature (not verified)' if signed else 'no signature'}, CRC32 of the header right",
        }
        entries = [code(source, "code", offset, end)]
        return Container(format=self.name, size=end, entries=entries, detail=detail, problems=problems)


FORMATS = (NxpJn518x(),)
