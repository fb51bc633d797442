"""Moxa firmware (NPort, MGate, MiiNePort), little-endian.

``*FRM``, 00000001, length, length of the header (96), number of sections. Sections of 16 bytes behind the header's 64: type
(1 firmware, 2 web pages), offset, length, a number. The section of the web pages is a file system: device (32), at 36 time,
at 48 offset of the table, at 56 length of its entries (64), number of files; entries: name (48), at 56 length, offset from
the section; some files are gzip streams (unblob, moxa_frm).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource

_HEADER = 64
_SECTION = struct.Struct("<4I")
_TABLE = struct.Struct("<32s4sIIIIIHHIHHII")
_FILE = struct.Struct("<48s8sII")
_FIRMWARE, _WEB = 1, 2


class MoxaFrm(Format):
    """Moxa firmware: the firmware as a part, the web pages as files."""

    name = "moxa-frm"
    title = "Moxa firmware (*FRM)"
    specification = "unblob, moxa_frm"
    category = "firmware"
    reads = "firmware section and the files of the web pages, packed ones as gzip parts"
    signatures = (Signature(pattern=rb"\*FRM\x00\x00\x00\x01.{4}\x60\x00[\x01-\x04]\x00", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        length, header, count = struct.unpack("<IHH", source.read(offset + 8, 8))
        sections = [_SECTION.unpack(source.read(offset + _HEADER + 16 * number, 16)) for number in range(count)]
        if any(at < header or at + size > length for _, at, size, _ in sections) or length <= header:
            raise FormatError("implausible sections of a Moxa firmware")
        available = source.size - offset
        problems: list[str] = []
        if length > available:
            note(problems, f"{length} bytes announced, {available} there")
        return Container(
            format=self.name,
            size=min(length, available),
            entries=_entries(source, offset, sections, limits, problems),
            detail={"sections": count, "integrity": "none", "integrity_detail": "none known"},
            problems=problems,
        )


def _entries(
    source: ByteSource, offset: int, sections: list[tuple[int, ...]], limits: Limits, problems: list[str]
) -> Iterator[Entry]:
    for number, (kind, at, size, _) in enumerate(sections):
        there = min(size, source.size - offset - at)
        if there <= 0:
            continue
        if kind == _WEB:
            yield from _files(source.window(offset + at, there), offset + at, limits, problems)
        else:
            yield part(source, "firmware" if kind == _FIRMWARE else f"section-{number}", offset + at, there)


def _files(section: ByteSource, base: int, limits: Limits, problems: list[str]) -> Iterator[Entry]:
    fields = _TABLE.unpack(section.read(0, _TABLE.size))
    time, table, step, count = fields[2], fields[5], fields[7], fields[8] or fields[11]
    if step < _FILE.size:
        raise FormatError("implausible table of files")
    for number in range(min(count, limits.nodes)):
        raw = section.peek(table + number * step, _FILE.size)
        if len(raw) < _FILE.size:
            note(problems, "the table of files is cut off")
            return
        name, _, size, at = _FILE.unpack(raw)
        path, escapes = member_path(decoded(name.split(b"\0", 1)[0]))
        if not words(name):
            continue
        if escapes:
            note(problems, f"{path}: a name that leaves the root")
        if at + size > section.size:
            note(problems, f"{path}: lies beyond the end of its section")
            continue
        if section.window(at, size).peek(0, 3) == b"\x1f\x8b\x08":
            yield part(section, path, at, size)
        else:
            yield Entry(path=path, size=size, mtime=time, locality=base + at, open=partial(section.window, at, size))


FORMATS = (MoxaFrm(),)
