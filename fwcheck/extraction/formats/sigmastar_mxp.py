"""SigmaStar (MStar) partition list of NOR flash: records that begin with ``MXPT`` and end with ``TPXM``, little-endian.

A record: ``MXPT``, version, type (0 tag, 1 partition, 2 MTD partition, 255 end), format, filling, start (8), size (8), block
size, number of blocks, name (16), name of the backup (16), hash (32), 24 reserved, CRC32, status, ``TPXM``, 7 reserved: 136 bytes
(mxp_gen.c of SigmaStar's U-Boot).
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_RECORD: Final = struct.Struct("<4s4BQQII16s16s32s24sIB4s7s")
_RECORDS: Final = 64
_END: Final = 255
_STATUS: Final = {0xF7: "upgrading", 0xF6: "ready", 0xF5: "active", 0xF4: "inactive", 0x00: "empty"}


class SigmastarMxp(Format):
    """List of partitions. They lie before and behind it, so that they are told, not cut."""

    name = "sigmastar-mxp"
    title = "SigmaStar partition list (MXP)"
    specification = "SigmaStar U-Boot, mxp_gen.c"
    category = "partition table"
    reads = "names, places and states of all partitions"
    not_read = "the CRC32 of records, whose use differs from version to version"
    signatures = (Signature(pattern=rb"MXPT[\x00-\xff]{121}TPXM", width=129),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        lines: list[str] = []
        count = 0
        while count < _RECORDS:
            raw = source.peek(offset + count * _RECORD.size, _RECORD.size)
            if len(raw) < _RECORD.size:
                break
            magic, _, kind, _, _, start, size, _, _, name, backup, _, _, _, status, end, _ = _RECORD.unpack(raw)
            if magic != b"MXPT" or end != b"TPXM":
                break
            count += 1
            if kind == _END:
                break
            if kind and size:
                state = _STATUS.get(status, f"0x{status:02x}")
                behind = f", backup {words(backup)}" if words(backup) else ""
                lines.append(f"{words(name)} 0x{start:x}+0x{size:x} ({state}{behind})")
        if not count:
            raise FormatError("no SigmaStar partition list")
        return Container(
            format=self.name,
            size=count * _RECORD.size,
            detail={
                "partitions": "; ".join(lines)[:2000],
                "records": count,
                "integrity": "none",
                "integrity_detail": "CRC32 of records not checked",
            },
        )


FORMATS = (SigmastarMxp(),)
