"""What old archivers share: members that are listed although their method is not read, and DOS times."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._parts import crc32
from fwcheck.extraction.members import member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind


def refused(reason: str) -> Callable[[], ByteSource]:
    """An opener for a content that cannot be read, and says why."""
    return partial(_refuse, reason)


def _refuse(reason: str) -> ByteSource:
    raise FormatError(reason)


def stored(source: ByteSource, at: int, size: int, crc: int | None = None) -> Callable[[], ByteSource]:
    """An opener for a content that is stored as it is, whose CRC32 is verified where there is one."""
    return partial(_stored, source, at, size, crc)


def _stored(source: ByteSource, at: int, size: int, crc: int | None) -> ByteSource:
    if crc is not None and (found := crc32(source, at, size)) != crc:
        raise FormatError(f"the CRC32 is 0x{found:08x}, the header says 0x{crc:08x}")
    return source.window(at, size)


def dos_time(value: int) -> int:
    """Date in the high half, time in the low one; local time without a zone, taken as UTC, 0 for no date."""
    date, time = value >> 16, value & 0xFFFF
    month, day = date >> 5 & 15, date & 31
    if not 1 <= month <= 12 or not day:
        return 0
    return calendar.timegm((1980 + (date >> 9), month, day, time >> 11, time >> 5 & 63, (time & 31) * 2))


def named(name: str, problems: list[str], **fields: object) -> Entry | None:
    """An entry under the normalised path of a stored name; None for a name that is empty."""
    path, escapes = member_path(name.replace("\\", "/"))
    if path == "/":
        return None
    entry = Entry(path=path)
    for field, value in fields.items():
        setattr(entry, field, value)
    if escapes or name.startswith(("/", "\\")):
        entry.detail = {**entry.detail, "stored": name}
        note(problems, f"the name {name!r} leaves the archive: kept as {path}")
    if entry.kind is NodeKind.DIRECTORY:
        entry.size, entry.open = 0, None
    return entry
