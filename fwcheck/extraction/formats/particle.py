"""Particle modules (Photon, Electron, Argon, Boron, Tracker, P2): applications, system parts and radio stacks with their header.

Header, 24 bytes: u32 address of the first byte, u32 address of the CRC, u8, u8 flags, u16 version, u16 platform, u8 function, u8
index, and twice what is needed beside it: u8 function, u8 index, u16 version. At the end: SHA-256 of all before it, u16 length
of the suffix (40 and more), CRC32 of all before it, big-endian. Everything else is little-endian. Source: Particle Device OS,
module_info.h; binary-version-reader.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import code, crc32
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<IIBBHHBBBBHBBH")
_TAIL: Final = 38  # SHA-256, length, CRC32
_LIMIT: Final = 16 << 20
_PLATFORMS = {
    0: "Core", 6: "Photon", 8: "P1", 10: "Electron", 12: "Argon", 13: "Boron", 14: "Xenon", 22: "A SoM", 23: "B SoM", 24: "X SoM",
    25: "B5 SoM", 26: "Tracker", 28: "E SoM X", 32: "P2", 35: "M SoM", 37: "Electron 2",
}  # fmt: skip
_FUNCTIONS = {
    1: "resource", 2: "boot loader", 3: "monolithic firmware", 4: "system part", 5: "application", 6: "settings",
    7: "network processor", 8: "radio stack",
}  # fmt: skip


class Particle(Format):
    """A module of Particle's Device OS."""

    name = "particle"
    title = "Particle module (Device OS)"
    specification = "Particle Device OS: module_info.h; binary-version-reader"
    category = "microcontroller"
    reads = "header at the beginning; SHA-256 and CRC32 recomputed"
    not_read = "modules whose header stands behind a vector table; compressed and combined modules"
    signatures = (
        Signature(
            pattern=rb"\x00.{2}[\x00\x08\x10\x60].{3}[\x00\x08\x10\x60].{2}.{2}[\x00-\x3f]\x00[\x01-\x08][\x00-\x08]",
            width=16,
            anywhere=False,
        ),
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        start, end, _, _, version, platform, function, index, *needs = _HEADER.unpack(source.read(offset, _HEADER.size))
        size = end - start + 4
        if not _HEADER.size + _TAIL <= size <= min(_LIMIT, source.size - offset) or function not in _FUNCTIONS:
            raise FormatError("not the header of a Particle module")
        tail = source.read(offset + size - _TAIL, _TAIL)
        if int.from_bytes(tail[32:34], "little") < _TAIL + 2 or int.from_bytes(tail[34:], "big") != crc32(
            source, offset, size - 4
        ):
            raise FormatError("wrong CRC32 of a Particle module")
        problems: list[str] = []
        checked = verdict(problems, "SHA-256", digest("sha256", source, (offset, size - _TAIL)) == tail[:32])
        detail: dict[str, str | int] = {
            "chip": f"Particle {_PLATFORMS.get(platform, platform)}",
            "module": f"{_FUNCTIONS[function]} {index}",
            "version": version,
            "load_address": f"0x{start:08x}",
            "integrity": "hash",
            "integrity_detail": f"{checked}, CRC32 right",
        }
        if needs[0] in _FUNCTIONS:
            detail["needs"] = f"{_FUNCTIONS[needs[0]]} {needs[1]} version {needs[2]}"
        entry = code(source, "code", offset + _HEADER.size, size - _HEADER.size - _TAIL)
        return Container(format=self.name, size=size, entries=[entry], detail=detail, problems=problems)


FORMATS = (Particle(),)
