"""ELF files in raw bytes: where they end (System V ABI, chapters 4 and 5).

Nothing is unpacked: the file itself is the content that is inspected. Of a Linux kernel the initramfs and the configuration are
parts.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._elf_kernel import SMALLEST, embedded
from fwcheck.extraction.formats._qcom_hash_segment import Segment, hash_segment
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_NOBITS: Final = 8
_EXECUTABLE: Final = 2
_SECTION_SIZES: Final = {1: 40, 2: 64}
_TYPES = {1: "relocatable", 2: "executable", 3: "shared", 4: "core"}
_SIZES: Final = {1: 32, 2: 56}  # of a program header
_HEADERS = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}  # per class, behind e_ident
# layout of an entry, then the positions of its type, offset and size in the file
_PROGRAM = {1: ("8I", 0, 1, 4), 2: ("IIQQQQQQ", 0, 2, 5)}
_PROGRAM_FLAGS = {1: 6, 2: 1}
_PROCESSOR_FLAGS: Final = 0x0F000000  # Qualcomm's images tell by them what a segment is
_SECTION = {1: ("10I", 1, 4, 5), 2: ("IIQQQQIIQQ", 1, 4, 5)}


class Elf(Format):
    """ELF file; its extent is the furthest byte its headers, segments and sections name."""

    name = "elf"
    title = "ELF file in raw bytes"
    specification = "System V ABI, Object Files"
    category = "executable"
    reads = (
        "extent of 32- and 64-bit files of both byte orders; "
        "initramfs and configuration in a Linux kernel, packed kernel in a loader; "
        "the hash segment of Qualcomm's images: digests of all segments are recomputed, signers and root certificate told"
    )
    not_read = "archives and images inside other programs; what is appended behind the last section"
    signatures = (
        Signature(pattern=rb"\x7fELF[\x01\x02][\x01\x02]\x01[\x00-\xff]{9}(?:[\x01-\x04]\x00|\x00[\x01-\x04])", width=18),
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        ident = source.read(offset, 16)
        if ident[:4] != b"\x7fELF" or ident[4] not in _HEADERS or ident[5] not in {1, 2} or ident[6] != 1:
            raise FormatError("not an ELF header")
        kind, order = ident[4], "<" if ident[5] == 1 else ">"
        layout = struct.Struct(order + _HEADERS[kind])
        fields = layout.unpack(source.view(offset + 16, layout.size))
        type, machine, version, _, program_at, section_at, _, header, program, programs, section, sections, _ = fields
        if version != 1 or type not in _TYPES or not machine or header != 16 + layout.size:
            raise FormatError("implausible ELF header")
        available = source.size - offset
        ends = [header]
        for at, size, count, form in (
            (program_at, program, programs, _PROGRAM[kind]),
            (section_at, section, sections, _SECTION[kind]),
        ):
            if at and count:
                ends += _table(source, offset + at, size, count, order, form)
                ends.append(at + size * count)
        if len(ends) < 3:
            raise FormatError("an ELF header whose tables are not there")
        # A table entry that lies must not claim what follows the file: only ranges that are there count.
        inside = max(end for end in ends if end <= available)
        problems = [f"{max(ends)} bytes named, {available} there"] if max(ends) > available else []
        init = None
        if type == _EXECUTABLE and inside >= SMALLEST and section == _SECTION_SIZES[kind]:
            init = _section(source, offset, section_at, sections, fields[-1], order, _SECTION[kind], b".init.data")
        segments = _segments(source, offset + program_at, programs, order, kind) if program == _SIZES[kind] else []
        return Container(
            format=self.name,
            size=inside,
            entries=embedded(source, offset, inside, init) if type == _EXECUTABLE else [],
            detail={
                "type": _TYPES[type],
                "machine": machine,
                "bits": 32 * kind,
                "byte_order": "little" if order == "<" else "big",
                "integrity": "none",
                "integrity_detail": "no check",
                **hash_segment(source, offset, segments, problems),
            },
            problems=problems,
        )


def _table(source: ByteSource, at: int, size: int, count: int, order: str, form: tuple[str, int, int, int]) -> list[int]:
    """Where the file ranges of a program or section header table end; raises FormatError for another entry size."""
    layout = struct.Struct(order + form[0])
    if size != layout.size:
        raise FormatError("implausible entry size in an ELF header")
    raw = source.peek(at, size * count)
    entries = layout.iter_unpack(raw[: len(raw) - len(raw) % size])
    # PT_NULL and SHT_NULL are 0; a section without bits has an offset, but no bytes there
    skip = {0, _NOBITS} if form[0] in {each[0] for each in _SECTION.values()} else {0}
    rows = list(entries)
    ends = [entry[form[2]] + entry[form[3]] for entry in rows if entry[form[1]] not in skip]
    if form[0] in {each[0] for each in _PROGRAM.values()}:  # Qualcomm's hash segments are PT_NULL
        flags = 6 if form[0] == _PROGRAM[1][0] else 1
        ends += [row[form[2]] + row[form[3]] for row in rows if row[form[1]] == 0 and row[flags] & _PROCESSOR_FLAGS]
    return ends


def _segments(source: ByteSource, at: int, count: int, order: str, kind: int) -> list[Segment]:
    """The program headers, if any of them carries the flags of a Qualcomm image."""
    form = _PROGRAM[kind]
    layout = struct.Struct(order + form[0])
    raw = source.peek(at, layout.size * count)
    rows = layout.iter_unpack(raw[: len(raw) - len(raw) % layout.size])
    out = [Segment(row[form[2]], row[form[3]], row[_PROGRAM_FLAGS[kind]]) for row in rows]
    return out if any(each.flags & _PROCESSOR_FLAGS for each in out) else []


def _section(
    source: ByteSource,
    offset: int,
    at: int,
    count: int,
    names: int,
    order: str,
    form: tuple[str, int, int, int],
    wanted: bytes,
) -> tuple[int, int] | None:
    """Begin and end in the source of the section with a name; None when there is none."""
    layout = struct.Struct(order + form[0])
    raw = source.peek(offset + at, layout.size * count)
    rows = list(layout.iter_unpack(raw[: len(raw) - len(raw) % layout.size]))
    if not names < len(rows):
        return None
    strings = source.peek(offset + rows[names][form[2]], min(rows[names][form[3]], 1 << 20))
    for row in rows:
        if strings[row[0] : row[0] + len(wanted) + 1] == wanted + b"\0" and row[1] != _NOBITS:
            begin, size = offset + row[form[2]], row[form[3]]
            return (begin, begin + size) if begin + size <= source.size else None
    return None


FORMATS = (Elf(),)
