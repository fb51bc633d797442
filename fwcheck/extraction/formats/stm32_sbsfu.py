"""Firmware packages of STM32 Secure Boot and Secure Firmware Update (X-CUBE-SBSFU, UM2262: se_def_metadata.h).

A header, little-endian: ``SFU`` and a number or letter for the slot, u16 protocol version, u16 firmware version, u32 size of
the firmware, u32 offset and u32 size of the part that is sent, 32 bytes SHA-256 of the firmware and 32 of that part, 16 bytes
initial vector, 28 bytes reserved, 64 bytes ECDSA P-256 signature of all before. The firmware follows at an offset that depends
on the flash (0x200 and 0x400 are usual), in the clear or AES-CBC.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from fwcheck.extraction.coverage import looks_random
from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sHHIII32s32s16s28x64s")
_PLACES: Final = (0x200, 0x400, 0x1000, 0x800, 0x140, 0xC0)
_SLOTS: Final = frozenset({b"1", b"2", b"M"})
_SIZE_LIMIT: Final = 16 << 20


class Stm32Sbsfu(Format):
    """SBSFU package: header, and the firmware where it can be found."""

    name = "stm32-sbsfu"
    title = "STM32 Secure Firmware Update package"
    specification = "STMicroelectronics UM2262, X-CUBE-SBSFU: se_def_metadata.h"
    category = "microcontroller"
    reads = "header of the asymmetric schemes; SHA-256 of firmware in the clear; encryption and signature are told"
    not_read = "encrypted firmware, verification of the signature, headers of the AES-GCM scheme"
    signatures = (Signature(pattern=rb"SFU[12M]\x01\x00.{2}.{3}\x00.{3}\x00.{3}\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("not an SBSFU header")
        magic, protocol, version, size, start, partial, hashed, hashed_part, _, signature = _HEADER.unpack(raw)
        if (
            magic[:3] != b"SFU"
            or magic[3:] not in _SLOTS
            or not 0 < partial <= size <= _SIZE_LIMIT
            or start + partial > size
            or len(set(hashed)) < 12
        ):
            raise FormatError("not an SBSFU header")
        signed = len(set(signature)) > 20
        detail: dict[str, str | int] = {
            "slot": magic[3:].decode("ascii"),
            "protocol_version": protocol,
            "version": version,
            "firmware_size": size,
            "integrity": "signature" if signed else "hash",
        }
        place, plain = _place(source, offset, partial, hashed_part if partial < size else hashed)
        words = "sha256 right" if plain else "sha256 of encrypted firmware (not verified)" if place else "firmware not found"
        detail["integrity_detail"] = f"{'ECDSA P-256 signature (not verified)' if signed else 'no signature'}, {words}"
        if place is None:
            return Container(format=self.name, size=_HEADER.size, detail=detail, problems=["the firmware was not found"])
        entries: list[Entry] = []
        if place > offset + _HEADER.size:
            entries.append(part(source, "behind the header", offset + _HEADER.size, place - offset - _HEADER.size))
        length = partial if plain else partial + -partial % 16
        length = min(length, source.size - place)
        firmware = part(source, "firmware", place, length)
        if not plain:
            firmware = msgspec.structs.replace(firmware, role="encrypted", detail={"encryption": "AES-128-CBC, STM32 SBSFU"})
        return Container(format=self.name, size=place + length - offset, entries=[*entries, firmware], detail=detail)


def _place(source: ByteSource, offset: int, size: int, hashed: bytes) -> tuple[int | None, bool]:
    """Where the firmware lies, and whether it is in the clear: by its hash, or because random bytes begin there."""
    places = [offset + place for place in _PLACES if offset + place + size <= source.size]
    for place in places:
        if digest("sha256", source, (place, size)) == hashed:
            return place, True
    for place in places:
        if looks_random(source.peek(place, min(size, 4096))) and len(set(source.peek(place - 16, 16))) <= 2:
            return place, False
    return None, False


FORMATS = (Stm32Sbsfu(),)
