"""NVRAM of Broadcom's CFE routers: ``name=value`` strings behind a header with a CRC-8 (bcmnvram.h; OpenWrt package nvram).

Layout, words in the byte order of the CPU: ``FLSH``, length with header, a word with the CRC-8 in bits 0-7, version in
bits 8-15 and SDRAM settings above, two more words; then strings, zero-terminated, an empty one at the end. The CRC-8
(polynomial 0xab, reflected, all ones at first) covers what follows the byte of the CRC.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory

_HEADER = struct.Struct("<4sIIII")
_LENGTH_LIMIT = 256 << 10
_CRC_START = 9
_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0xAB if _byte & 1 else 0)
    _TABLE.append(_byte)
_SHOWN = ("boardtype", "boardnum", "boardrev", "model", "os_name", "os_version", "firmware_version", "lan_ipaddr", "http_enable")


class BroadcomNvram(Format):
    """NVRAM partition. Its variables are one text file, a line each."""

    name = "broadcom-nvram"
    title = "Broadcom NVRAM"
    specification = "Broadcom bcmnvram.h; OpenWrt package/utils/nvram"
    category = "firmware"
    reads = "little- and big-endian headers, CRC-8; the variables as text"
    not_read = "what stands behind the last variable; overlaid and factory copies are found on their own"
    signatures = (Signature(pattern=rb"(?:FLSH[\x00-\xff]{2}[\x00-\x03]\x00|HSLF\x00[\x00-\x03][\x00-\xff]{2})", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER.size)
        order = "little" if raw[:4] == b"FLSH" else "big"
        magic, length, word, refresh, clock = struct.unpack(("<" if order == "little" else ">") + "4sIIII", raw)
        if magic not in {b"FLSH", b"HSLF"} or not _HEADER.size < length <= _LENGTH_LIMIT:
            raise FormatError("not an NVRAM header")
        size = min(length, source.size - offset)
        body = source.read(offset + _HEADER.size, size - _HEADER.size)
        text = body.split(b"\0\0", 1)[0].strip(b"\0")
        pairs = text.split(b"\0") if text else []
        named = [pair for pair in pairs if b"=" in pair[1:]]
        if len(named) * 2 < len(pairs) or not named:
            raise FormatError("an NVRAM header without variables")
        right = size == length and crc8(_HEADER.pack(b"FLSH", length, word, refresh, clock)[_CRC_START:] + body) == word & 0xFF
        problems = (
            [] if right else ["wrong CRC-8 of the variables" if size == length else f"{length} bytes announced, {size} there"]
        )
        values = dict(pair.split(b"=", 1) for pair in named)
        lines = Memory(b"\n".join(pairs) + b"\n")
        entry = Entry(path="nvram", size=lines.size, open=lambda: lines, locality=offset)
        detail: dict[str, str | int] = {
            key: shown for key in _SHOWN if (shown := values.get(key.encode(), b"").decode("utf-8", "replace")[:128])
        }
        detail |= {
            "variables": len(named),
            "version": word >> 8 & 0xFF,
            "byte_order": order,
            "integrity": "checksum",
            "integrity_detail": f"CRC-8 {'right' if right else 'wrong'}",
        }
        return Container(format=self.name, size=size, entries=[entry], detail=detail, problems=problems)


def crc8(data: bytes) -> int:
    """The CRC-8 of bcmutils; the data are some ten thousand bytes at most."""
    value = 0xFF
    for byte in data:
        value = _TABLE[value ^ byte]
    return value


FORMATS = (BroadcomNvram(),)
