"""Lantiq boot stream: commands that the boot ROM of Falcon, xRX and VRX chips reads from serial flash.

Each command is a tag, the length of what follows (little-endian, in bytes) and that: ``FF DD 00 22`` register writes (address and
value, 8 bytes each), ``FF AA 00 55`` a download (target address, then code), ``FF 88 00 77`` the address to jump to, which ends
the stream. Addresses are little-endian too, whatever the byte order of the code (as images of GPON sticks show).
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_WRITE: Final = b"\xff\xdd\x00\x22"
_LOAD: Final = b"\xff\xaa\x00\x55"
_START: Final = b"\xff\x88\x00\x77"
_COMMANDS: Final = 64
_LARGEST: Final = 4 << 20


class LantiqBoot(Format):
    """Boot stream; each download is code of its own."""

    name = "lantiq-boot"
    title = "Lantiq boot stream (FALC-ON, xRX serial flash)"
    specification = "as written by Lantiq's boot loaders; layout from images"
    category = "executable"
    reads = "register writes, downloads and the start address"
    not_read = "other commands: they end what is read"
    signatures = (
        Signature(
            pattern=rb"(?:\xff\xdd\x00\x22[\x00\x08\x10\x18\x20-\xf8][\x00-\x03]\x00\x00|\xff\xaa\x00\x55[\x00-\xff]{3}\x00)[\x00-\xff]{3}[\x80-\xbf]",
            width=12,
        ),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        at = offset
        entries: list[Entry] = []
        writes = 0
        start = None
        for _ in range(_COMMANDS):
            tag, length = struct.unpack("<4sI", source.read(at, 8))
            if tag not in {_WRITE, _LOAD, _START} or not 4 <= length <= _LARGEST:
                raise FormatError("no Lantiq boot stream")
            source.check(at + 8, length)
            address = int.from_bytes(source.read(at + 8, 4), "little")
            if tag == _START:
                start = address
                at += 8 + length
                break
            if tag == _WRITE:
                writes += length // 8
            elif length > 4:
                entries.append(code(source, f"code@0x{address:08x}", at + 12, length - 4))
            at += 8 + length
        if start is None or not entries:
            raise FormatError("a Lantiq boot stream without code or start")
        return Container(
            format=self.name,
            size=at - offset,
            entries=entries,
            detail={
                "start_address": f"0x{start:08x}",
                "register_writes": writes,
                "integrity": "none",
                "integrity_detail": "no check",
            },
        )


FORMATS = (LantiqBoot(),)
