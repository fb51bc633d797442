"""The settings page of Nordic's secure boot loader (nRF5 SDK: nrf_dfu_types.h, nrf_dfu_settings_t).

Little-endian: u32 CRC32 of bytes 4 to 0x5B, u32 version of the settings (1 or 2), u32 version of the application, u32 version
of the boot loader, u32 bank layout, u32 current bank, twice u32 size, u32 CRC32 and u32 state of a bank, u32 write offset, u32
size of the SoftDevice, then the progress of an update; at 0x5C the init command of the last one. It has a page of flash for
itself: only the beginning of a source is looked at.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_FIELDS = struct.Struct("<14I")
_CHECKED: Final = 0x5C
_PAGE: Final = 4096
_STATES = {
    0: "invalid",
    1: "valid application",
    0xA5: "valid SoftDevice",
    0xAA: "valid boot loader",
    0xAC: "valid both",
    0xFF: "empty",
}


class NrfSettings(Format):
    """Boot loader settings: versions and banks."""

    name = "nrf-settings"
    title = "Nordic boot loader settings"
    specification = "nRF5 SDK 17.1: nrf_dfu_types.h"
    category = "microcontroller"
    reads = "versions, banks with size and state, CRC32; the page at the beginning of a source"
    not_read = "bond data, progress of an update"
    signatures = (Signature(pattern=rb".{4}[\x01\x02]\x00{3}.{8}[\x00-\x02]\x00{3}[\x00\x01]\x00{3}", width=24, anywhere=False),)
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _CHECKED)
        if len(raw) < _CHECKED or zlib.crc32(raw[4:]) != int.from_bytes(raw[:4], "little"):
            raise FormatError("not a settings page")
        _, version, application, loader, _, current, *banks, _, softdevice = _FIELDS.unpack_from(raw)
        detail: dict[str, str | int] = {
            "settings_version": version,
            "application_version": application,
            "boot_loader_version": loader,
            "current_bank": current,
            "softdevice_size": softdevice,
            "checks": "CRC32 right",
        }
        for number in range(2):
            size, crc, state = banks[3 * number : 3 * number + 3]
            if size:
                detail[f"bank_{number}"] = f"{size} bytes, CRC32 0x{crc:08x}, {_STATES.get(state & 0xFF, f'0x{state:x}')}"
        return Container(format=self.name, size=min(_PAGE, source.size - offset), detail=detail)


FORMATS = (NrfSettings(),)
