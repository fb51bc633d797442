"""Images of TI SimpleLink CC13xx and CC26xx for over-the-air download (TI SDK: oad_image_header.h).

A header of 44 bytes, little-endian: 8 bytes name of the chip family, u32 CRC32 of everything behind it, u8 version of the boot
manager, u8 version of this header, u16 radio technologies (a cleared bit is one it has), u8 copy state, u8 CRC state, u8 image
type, u8 image number, u32 validity, u32 size, u32 entry point, 4 bytes version, u32 last address, u16 length of the header, u16
reserved. Segments follow: u8 type, u16 technology, u8 state, u32 length with these 8 bytes. Type 3 holds a signature: u8
version, u32 time, 8 bytes signer, 64 bytes ECDSA P-256 signature.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import code, crc32
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<8sIBBHBBBBIII4sIHH")
_CRC_FROM: Final = 12
_TYPES = {
    0: "persistent application", 1: "application", 2: "stack", 3: "application and stack", 4: "network processor",
    5: "factory image", 6: "boot manager", 7: "application and stack library",
}  # fmt: skip
_TECHNOLOGIES = {0: "BLE", 1: "TI-MAC", 2: "Zigbee", 3: "RF4CE", 4: "Thread", 5: "EasyLink"}
_CHIPS = re.compile(rb"(?i:cc(?:13|26)x[0-9]r1)|OAD IMG ")
_SECURITY, _SIGNATURE = 3, 21  # type of the segment, offset of the signature in it
_SEGMENTS_LIMIT: Final = 32


class TiOad(Format):
    """OAD image; its code is a content of its own."""

    name = "ti-oad"
    title = "TI SimpleLink OAD image"
    specification = "TI SimpleLink CC13xx/CC26xx SDK: oad_image_header.h"
    category = "microcontroller"
    reads = "header with all fields, CRC32; a signature is told"
    not_read = "verification of the signature: its key is in the boot manager"
    signatures = (
        Signature(pattern=rb"[cC][cC](13|26)[xX][0-9][rR]1.{4}[\x01-\x0f][\x00-\x0f]", width=14),
        Signature(pattern=rb"OAD IMG .{4}[\x01-\x0f][\x00-\x0f]", width=14),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not an OAD header")
        chip, crc, boot, meta, radio, _, _, kind, number, _, size, entry, version, end, header, _ = _HEADER.unpack(raw)
        if (
            not _CHIPS.fullmatch(chip)
            or not _HEADER.size <= header <= 0x200
            or not header < size <= 8 << 20
            or kind not in _TYPES
        ):
            raise FormatError("not an OAD header")
        there = min(size, source.size - offset)
        problems = [f"{size} bytes announced, {there} there"] if there < size else []
        checked = "CRC32 not set"
        if crc not in {0, 0xFFFFFFFF}:
            right = there == size and crc32(source, offset + _CRC_FROM, size - _CRC_FROM) == crc
            checked = verdict(problems, "CRC32", right)
        signed = _signed(source, offset + header if header > _HEADER.size else offset + _HEADER.size, offset + there)
        detail: dict[str, str | int] = {
            "chip": chip.decode("ascii", "replace").strip(),
            "image_type": _TYPES[kind],
            "image_number": number,
            "technologies": ", ".join(word for bit, word in _TECHNOLOGIES.items() if not radio >> bit & 1),
            "version": ".".join(f"{value:02x}" for value in version),
            "entry_point": f"0x{entry:08x}",
            "last_address": f"0x{end:08x}",
            "boot_manager_version": boot,
            "header_version": meta,
            "integrity": "signature" if signed else "checksum",
            "integrity_detail": f"{'ECDSA P-256 signature (not verified)' if signed else 'no signature'}, {checked}",
        }
        return Container(
            format=self.name, size=there, entries=[code(source, "code", offset, there)], detail=detail, problems=problems
        )


def _signed(source: ByteSource, at: int, end: int) -> bool:
    """Whether a segment with a signature that is not empty is among the segments."""
    for _ in range(_SEGMENTS_LIMIT):
        if at + 8 > end:
            return False
        kind, _, _, length = struct.unpack("<BHBI", source.view(at, 8))
        if kind == _SECURITY:
            return len(set(source.peek(at + _SIGNATURE, 64))) > 8
        if length < 8:
            return False
        at += length
    return False


FORMATS = (TiOad(),)
