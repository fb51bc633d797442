"""TI-TXT: a memory image as text, of Texas Instruments' tools for MSP430 and others (SLAU131).

``@`` and a hexadecimal address begin a section; lines of up to 16 bytes in hexadecimal follow, and ``q`` ends the file.
"""

from __future__ import annotations

import re
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._memory_image import ranges
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory

_SIZE_LIMIT: Final = 64 << 20
_SECTIONS_LIMIT: Final = 65536
_SECTION = re.compile(rb"@([0-9A-Fa-f]{1,8})[ \t]*\r?\n((?:[0-9A-Fa-f]{2}[ \t\r\n]+)+)")
_END = re.compile(rb"[ \t\r\n]*[qQ](?:\r?\n)?")


class TiTxt(Format):
    """TI-TXT file; each contiguous range of memory is a part."""

    name = "ti-txt"
    title = "TI-TXT"
    specification = "Texas Instruments SLAU131, hex conversion utility"
    category = "microcontroller"
    reads = "all sections with their addresses"
    not_read = ""
    signatures = (Signature(pattern=rb"@[0-9A-Fa-f]{4}", width=5, anywhere=False),)
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, 64)
        if not _SECTION.match(head):
            raise FormatError("not a section of TI-TXT")
        text = source.read(offset, min(source.size - offset, _SIZE_LIMIT))
        chunks: list[tuple[int, ByteSource]] = []
        at = 0
        while len(chunks) < _SECTIONS_LIMIT and (section := _SECTION.match(text, at)):
            chunks.append((int(section[1], 16), Memory(bytes.fromhex(section[2].decode("ascii")))))
            at = section.end()
        end = _END.match(text, at)
        problems = [] if end else [f"no end mark: broken or cut off at 0x{offset + at:x}"]
        entries = ranges(chunks, problems)
        detail: dict[str, str | int] = {"sections": len(chunks)}
        return Container(format=self.name, size=end.end() if end else at, entries=entries, detail=detail, problems=problems)


FORMATS = (TiTxt(),)
