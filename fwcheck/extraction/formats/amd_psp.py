"""Directories of the AMD platform security processor (coreboot util/amdfwtool, soc/amd/psp_dirs).

``$PSP``, ``$PL2`` (second level): cookie, Fletcher-32 checksum of what follows it, number of entries, further
information; entries of 16 bytes: type, subprogram, flags, size, address (64 bit). ``$BHD``, ``$BL2`` (BIOS): the same
with a destination address of 64 bits behind each entry. ``2PSP``, ``2BHD``: combinations of directories per chip, a
header of 32 bytes, entries of ids and an address.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_LAYOUTS = {b"$PSP": (16, 16), b"$PL2": (16, 16), b"$BHD": (16, 24), b"$BL2": (16, 24), b"2PSP": (32, 16), b"2BHD": (32, 16)}
_ENTRIES_LIMIT = 256
_TYPES = {
    0x00: "AMD public key",
    0x01: "PSP boot loader",
    0x02: "secure OS",
    0x03: "recovery boot loader",
    0x04: "PSP NVRAM",
    0x08: "SMU firmware",
    0x09: "secure debug key",
    0x0A: "OEM public key",
    0x0B: "soft-fuse chain",
    0x0C: "trustlet",
    0x0D: "trustlet key",
    0x12: "SMU firmware 2",
    0x13: "secure debug unlock",
    0x21: "wrapped key",
    0x22: "token unlock",
    0x24: "security policy",
    0x40: "second-level PSP directory",
    0x60: "APCB",
    0x61: "APOB",
    0x62: "BIOS",
    0x63: "APOB copy",
    0x64: "PMU firmware",
    0x65: "PMU data",
    0x66: "microcode",
    0x70: "second-level BIOS directory",
}


class AmdDirectory(Format):
    """PSP or BIOS directory; what it points at lies elsewhere in the flash and is searched where it lies."""

    name = "amd-psp"
    title = "AMD PSP or BIOS directory"
    specification = "coreboot util/amdfwtool"
    category = "partition table"
    reads = "directories of both levels and combinations, Fletcher-32 checksum demanded; types, sizes and addresses are listed"
    not_read = "the entries' content (mostly encrypted or signed), the embedded firmware structure at 0x20000"
    signatures = (Signature(pattern=rb"(?:\$PSP|\$PL2|\$BHD|\$BL2|2PSP|2BHD)[\x00-\xff]{5}[\x00\x01]\x00\x00", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        cookie, checksum, count, _ = struct.unpack("<4sIII", source.read(offset, 16))
        if cookie not in _LAYOUTS or not 0 < count <= _ENTRIES_LIMIT:
            raise FormatError("not a PSP directory")
        header, length = _LAYOUTS[cookie]
        size = header + length * count
        raw = source.read(offset, size)
        if _fletcher(raw[8:]) != checksum:
            raise FormatError("wrong checksum of a PSP directory")
        entries = [_entry(raw, at, combined=header == 32) for at in range(header, size, length)]
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "kind": cookie.decode(),
                "entries": count,
                "integrity": "checksum",
                "integrity_detail": "Fletcher-32 right",
            },
        )


def _entry(raw: bytes, at: int, combined: bool) -> Entry:
    """A row of the directory: told, without content."""
    if combined:
        select, chip, address = struct.unpack_from("<IIQ", raw, at)
        path, size, detail = f"directory-0x{chip:08x}", 0, {"address": f"0x{address:x}", "select": select}
    else:
        kind, sub, flags, size, address = struct.unpack_from("<BBHIQ", raw, at)
        path = f"{_TYPES.get(kind, f'type-0x{kind:02x}')}@0x{address:x}"
        detail = {"type": f"0x{kind:02x}", "subprogram": sub, "flags": f"0x{flags:04x}", "address": f"0x{address:x}"}
    return Entry(path=path, size=size, role="meta", detail=detail)


def _fletcher(data: bytes) -> int:
    low, high = 0xFFFF, 0xFFFF
    for (word,) in struct.iter_unpack("<H", data):
        low += word
        high += low
        low = (low & 0xFFFF) + (low >> 16)
        high = (high & 0xFFFF) + (high >> 16)
    low = (low & 0xFFFF) + (low >> 16)
    high = (high & 0xFFFF) + (high >> 16)
    return high << 16 | low


FORMATS = (AmdDirectory(),)
