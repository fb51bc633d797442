"""The ESP32's choice of the application to boot (ESP-IDF, esp_ota_select_entry_t in esp_flash_partitions.h).

Two sectors of 4,096 bytes with one entry of 32 bytes each, little-endian: u32 sequence number, 20 bytes label (0xFF), u32
state, u32 CRC-32 of the sequence number alone. The entry with the higher number and a right CRC counts; with ``n`` OTA
partitions, number ``(sequence - 1) % n`` boots. An entry of 0xFF is empty.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_ENTRY = struct.Struct("<I20sII")
_SECTOR: Final = 0x1000
_STATES = {0: "new", 1: "pending verification", 2: "valid", 3: "invalid", 4: "aborted", 0xFFFFFFFF: "undefined"}


class EspOtadata(Format):
    """OTA data partition: both entries with their CRC and state."""

    name = "esp-otadata"
    title = "ESP32 OTA data (which application boots)"
    specification = "ESP-IDF: Over The Air Updates, esp_flash_partitions.h"
    category = "microcontroller"
    reads = "both entries with sequence number, CRC32 and state"
    not_read = ""
    signatures = (Signature(pattern=rb".{2}\x00\x00\xff{20}([\x00-\x04]\x00{3}|\xff{4})", width=28),)
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        entries = {0: _entry(source.peek(offset, 32))}
        if entries[0] is None or not entries[0][2]:
            raise FormatError("not an OTA data entry")
        alone = set(source.peek(offset + 32, _SECTOR - 32)) - {0xFF}
        size = 32 if alone else min(_SECTOR, source.size - offset)
        if not alone:
            entries[1] = _entry(source.peek(offset + _SECTOR, 32))
            size = min(2 * _SECTOR, source.size - offset) if entries[1] is not None else size
        detail: dict[str, str | int] = {}
        problems: list[str] = []
        for number, entry in entries.items():
            if entry is not None:
                detail[f"entry_{number}"] = f"sequence {entry[0]}, {entry[1]}"
                checked = verdict(problems, f"CRC32 of entry {number}", entry[2])
                detail["checks"] = ", ".join(filter(None, (str(detail.get("checks", "")), checked)))
        detail["sequence"] = max(entry[0] for entry in entries.values() if entry is not None and entry[2])
        return Container(format=self.name, size=size, detail=detail, problems=problems)


def _entry(raw: bytes) -> tuple[int, str, bool] | None:
    """Sequence number, state, whether the CRC is right; None for what is no entry."""
    if len(raw) < _ENTRY.size:
        return None
    sequence, label, state, crc = _ENTRY.unpack(raw)
    if state not in _STATES or sequence in {0, 0xFFFFFFFF} or label != b"\xff" * 20:
        return None
    return sequence, _STATES[state], zlib.crc32(raw[:4], 0xFFFFFFFF) == crc


FORMATS = (EspOtadata(),)
