"""ARC archives of System Enhancement Associates, and PAK archives, which keep the layout.

Layout (arc 5.21, Arcinfo and arcio.c), little-endian: ``1A``, method, name of 13 bytes ended by a zero, packed size (4 bytes),
date, time, CRC-16, size (4 bytes, not with method 1). Method 0 ends the archive.
"""

from __future__ import annotations

import re
import struct
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._crc16 import verified
from fwcheck.extraction.formats._listed import dos_time, named, refused
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<BB13sIHHHI")
_OLD, _STORED = 1, 2
_METHODS = {1: "stored", 2: "stored", 3: "packed", 4: "squeezed", 5: "crunched", 6: "crunched", 7: "crunched", 8: "crunched",
            9: "squashed", 10: "crushed", 11: "distilled"}  # fmt: skip
_NAME = re.compile(rb"[!-~\x80-\xff]{1,12}\0")


class Arc(Format):
    """ARC archives. Their magic is one byte: they count at the beginning of a source only."""

    name = "arc"
    title = "ARC archive"
    specification = "arc 5.21, Arcinfo"
    category = "archive"
    reads = "all headers; stored members with their CRC-16 up to 1 MiB"
    not_read = "packed members are listed"
    signatures = (Signature(pattern=rb"\x1a[\x01-\x0b][!-~][ -~\x00]{12}.{2}.\x00", width=19, anywhere=False),)
    priority = 80

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        problems: list[str] = []
        entries: list[Entry] = []
        at = offset
        while len(entries) <= limits.nodes:
            if source.peek(at, 2) == b"\x1a\0" and at != offset:
                at += 2
                break
            try:
                at = _member(source, at, entries, problems)
            except FormatError as error:
                if not entries:
                    raise
                note(problems, f"the archive has no end mark: {error}")
                break
        if len(entries) == 1 and problems and at >= source.size:
            raise FormatError("one ARC header that does not fit is chance")
        return Container(format=self.name, size=at - offset, entries=entries, detail={"members": len(entries)}, problems=problems)


def _member(source: ByteSource, at: int, entries: list[Entry], problems: list[str]) -> int:
    """Lists the member at ``at``; gives the offset behind it. Raises FormatError."""
    mark, method, raw, packed, date, time, crc, size = _HEADER.unpack(source.peek(at, _HEADER.size).ljust(_HEADER.size, b"\0"))
    name = _NAME.match(raw)
    if mark != 0x1A or method not in _METHODS or name is None:
        raise FormatError(f"no ARC header at 0x{at:x}")
    data = at + _HEADER.size - (4 if method == _OLD else 0)
    size = packed if method == _OLD else size
    if data > source.size or (method in (_OLD, _STORED) and packed != size):
        raise FormatError(f"an ARC header at 0x{at:x} that does not fit")
    entry = named(
        decoded(name[0][:-1]), problems, size=size, mtime=dos_time(date << 16 | time), locality=data,
        detail={"method": _METHODS[method]},
    )  # fmt: skip
    if data + packed > source.size:
        note(problems, "the last member reaches beyond the end")
    if entry is not None:
        if method in (_OLD, _STORED):
            entry.offset, entry.open = data, partial(verified, source, data, size, crc)
        else:
            entry.open = refused(f"ARC method {method} ({_METHODS[method]}) cannot be unpacked")
        entries.append(entry)
    return min(int(data + packed), source.size)


FORMATS = (Arc(),)
