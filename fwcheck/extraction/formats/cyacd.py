"""Boot loader files of Infineon (Cypress) PSoC: .cyacd and .cyacd2 (Cypress Bootloader and DFU component datasheets).

Text lines of hexadecimal. ``.cyacd`` begins with u32 silicon id, u8 revision, u8 kind of checksum; each row is ``:``, u8 array,
u16 row, u16 length (all with the high byte first), data, and the complement of the sum of all these bytes. ``.cyacd2`` begins
with u8 version 1, u32 silicon id, u8 revision, u8 kind of checksum, u8 application, u32 product; lines that begin with ``@``
give ranges and initial vectors (``@APPINFO:``, ``@EIV:``), rows are ``:``, u32 address with the low byte first, data.
"""

from __future__ import annotations

import re
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._memory_image import ranges
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Memory

_SIZE_LIMIT: Final = 64 << 20
_LINE = re.compile(rb"(:(?:[0-9A-Fa-f]{2}){5,4200}|@[ -~]{1,200})[ \t]*(?:\r?\n|$)")
_HEADER = re.compile(rb"([0-9A-Fa-f]{24}|[0-9A-Fa-f]{12})\r?\n")


class Cyacd(Format):
    """PSoC boot loader file; contiguous memory is a part."""

    name = "cyacd"
    title = "PSoC boot loader file (cyacd, cyacd2)"
    specification = "Infineon: Bootloader component datasheet 1.60, DFU SDK guide"
    category = "microcontroller"
    reads = "both versions: silicon id, rows at their addresses or places, checksums of rows"
    not_read = "encrypted rows (told by their initial vector), the checksum of the application"
    signatures = (
        Signature(pattern=rb"[0-9A-Fa-f]{12}\r\n:0[0-9A-Fa-f]", width=17, anywhere=False),
        Signature(pattern=rb"[0-9A-Fa-f]{12}\n:0[0-9A-Fa-f]", width=16, anywhere=False),
        Signature(pattern=rb"01[0-9A-Fa-f]{22}\r\n[@:]", width=27, anywhere=False),
        Signature(pattern=rb"01[0-9A-Fa-f]{22}\n[@:]", width=26, anywhere=False),
    )
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        text = source.read(offset, min(source.size - offset, _SIZE_LIMIT))
        head = _HEADER.match(text)
        if head is None:
            raise FormatError("not the header of a PSoC file")
        second = len(head[1]) == 24
        fields = bytes.fromhex(head[1].decode("ascii"))
        reader = _Reader(second)
        at = head.end()
        while (line := _LINE.match(text, at)) is not None and reader.take(line[1]):
            at = line.end()
        if not reader.rows:
            raise FormatError("a PSoC file without rows")
        detail: dict[str, str | int] = {"silicon_id": (fields[1:5] if second else fields[:4]).hex(), "rows": len(reader.rows)}
        if second:
            detail |= {"application": fields[7], "product": fields[8:12].hex(), "fields": " ".join(reader.fields)[:400]}
        else:
            wrong = any("checksum" in line for line in reader.problems)
            detail |= {"integrity": "checksum", "integrity_detail": f"checksum byte per row {'wrong' if wrong else 'right'}"}
        entries = ranges(reader.pieces(), reader.problems)
        return Container(format=self.name, size=at, entries=entries, detail=detail, problems=reader.problems)


class _Reader:
    """Rows as (address, data); the first version's are numbered by array and row, and all of one length."""

    def __init__(self, second: bool) -> None:
        self._second = second
        self.rows: list[tuple[int, bytes]] = []
        self.fields: list[str] = []
        self.problems: list[str] = []

    def take(self, line: bytes) -> bool:
        if line.startswith(b"@"):
            self.fields.append(line[1:].decode("ascii"))
            return self._second
        raw = bytes.fromhex(line[1:].decode("ascii"))
        if self._second:
            self.rows.append((int.from_bytes(raw[:4], "little"), raw[4:]))
            return True
        length = int.from_bytes(raw[3:5], "big")
        if len(raw) != length + 6 or not length:
            return False
        if sum(raw) & 0xFF:
            note(self.problems, f"wrong checksum of row {int.from_bytes(raw[1:3], 'big')}")
        self.rows.append((raw[0] << 16 | int.from_bytes(raw[1:3], "big"), raw[5:-1]))
        return True

    def pieces(self) -> list[tuple[int, ByteSource]]:
        if self._second:
            return [(address, Memory(data)) for address, data in self.rows]
        length = max(len(data) for _, data in self.rows)
        return [((place >> 16) * 0x10000 * length + (place & 0xFFFF) * length, Memory(data)) for place, data in self.rows]


FORMATS = (Cyacd(),)
