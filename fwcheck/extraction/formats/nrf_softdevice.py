"""Nordic SoftDevices in a dump or a merged file: radio stacks in front of the application (nRF5 SDK: nrf_sdm.h, nrf_mbr.h).

The master boot record has 4,096 bytes; behind it the SoftDevice begins with its vector table. At 0x2000 of the SoftDevice
(0x3000 with the boot record) is its information structure, little-endian: u8 size, 3 bytes, u32 magic 0x51B1E5DB, u32 size of
boot record and SoftDevice together, u16 firmware id, 2 bytes, u32 id (132, 140, ...), u32 version (major * 1000000 + minor *
1000 + patch), 20 bytes that name the build. The application begins right behind that size.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._nordic_flash import boot_checks
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.formats._vector_table import vector_table
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_MBR: Final = 0x1000
_INFO: Final = 0x2000
_FIELDS = struct.Struct("<B3xIIH2xII20s")
_MAGIC: Final = 0x51B1E5DB
_LARGEST: Final = 1 << 20
_PATTERN: Final = rb"\xdb\xe5\xb1\x51\x00[\x00-\xff][\x00-\x0f]\x00"


class NrfSoftdevice(Format):
    """SoftDevice with its boot record as code, and what follows as the part ``application``."""

    name = "nrf-softdevice"
    title = "Nordic SoftDevice"
    specification = "nRF5 SDK 17.1: nrf_sdm.h, nrf_mbr.h"
    category = "executable"
    reads = "information structure with id and version; boot record, SoftDevice and application behind it"
    not_read = "signatures: a SoftDevice is signed by the DFU package it came in"
    # with the boot record in front of it, and alone
    signatures = (
        Signature(pattern=_PATTERN, width=8, offset=_MBR + _INFO + 4),
        Signature(pattern=_PATTERN, width=8, offset=_INFO + 4),
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        for base in (offset + _MBR, offset):
            raw = source.peek(base + _INFO, _FIELDS.size)
            if len(raw) == _FIELDS.size and int.from_bytes(raw[4:8], "little") == _MAGIC:
                break
        else:
            raise FormatError("no SoftDevice")
        length, _, total, firmware, kind, version, build = _FIELDS.unpack(raw)
        size = total - _MBR
        if not 0x18 <= length <= 0x60 or not _INFO < size <= _LARGEST or vector_table(source, base, size) is None:
            raise FormatError("not the information structure of a SoftDevice")
        there = min(size, source.size - base)
        entries = [code(source, "boot record", offset, _MBR)] if base > offset else []
        entries.append(code(source, "softdevice", base, there))
        end = base + there
        if end < source.size:
            entries.append(part(source, "application", end, source.size - end))
        detail: dict[str, str | int] = {
            "softdevice": f"S{kind}",
            "version": f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}",
            "firmware_id": f"0x{firmware:04x}",
            "build": build.hex(),
            "application_address": f"0x{total:x}",
        }
        if length < 0x14:
            detail.pop("version")
        problems = [f"SoftDevice of {size} bytes announced, {there} there"] if there < size else []
        # A dump that begins at address 0 holds the settings page at its end.
        checks = boot_checks([(0, source.window(offset, source.size - offset))] if base > offset else [])
        return Container(
            format=self.name, size=source.size - offset, entries=entries, detail=detail | checks.detail, problems=problems,
            signatures=checks.signatures,
        )  # fmt: skip


FORMATS = (NrfSoftdevice(),)
