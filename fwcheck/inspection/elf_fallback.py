"""ELF facts by pyelftools: slower (13 times), used only for files that lief does not read."""

from __future__ import annotations

import io
import struct
from typing import Any

from fwcheck.inspection import elf_notes
from fwcheck.inspection.elf_judgement import EXPORT_LIMIT, IMPORT_LIMIT, MACHINES, ElfUnreadable, Shape, judge
from fwcheck.model import ElfFacts

_SYMBOL_LIMIT = 1 << 16
_SECTION_LIMIT = 4096


def read_with_pyelftools(content: bytes) -> ElfFacts:
    """The facts of an ELF file; raises ElfUnreadable with the reason when pyelftools cannot read it either."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415  # imported where lief failed, and nowhere else
    from elftools.construct import ConstructError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    # What pyelftools raises on damaged files, found by mutation: its own errors and these leaks.
    leaks = (ELFError, ConstructError, AssertionError, struct.error, ValueError, KeyError, IndexError, AttributeError, TypeError)
    try:
        return _read(content, ELFFile(io.BytesIO(content)), leaks)
    except (*leaks, RecursionError, OverflowError, MemoryError) as error:
        raise ElfUnreadable(f"{type(error).__name__}: {error}"[:120]) from None


def _read(content: bytes, elf: Any, leaks: tuple[type[Exception], ...]) -> ElfFacts:
    sections, tables = _sections(elf, leaks)
    shape, needed, rpath, notes = _segments(elf, leaks)
    imports: set[str] = set()
    exports: set[str] = set()
    table = tables.get(".symtab" if shape.type == 1 else ".dynsym")
    for index in range(min(table.num_symbols(), _SYMBOL_LIMIT) if table is not None else 0):
        assert table is not None
        try:
            symbol = table.get_symbol(index)
            if symbol.name:
                (imports if symbol["st_shndx"] == "SHN_UNDEF" else exports).add(symbol.name)
        except leaks:
            continue
    if shape.type == 1:
        exports = set()
    if not notes:
        notes = [(at, size) for at, size, kind in sections.values() if kind == 7]
    header = int.from_bytes(content[18:20], "little" if elf.little_endian else "big")
    return ElfFacts(
        **judge(shape, needed, imports, exports, content, sections),
        machine=MACHINES.get(header, "unknown"),
        bits=64 if elf.elfclass == 64 else 32,
        endian="little" if elf.little_endian else "big",
        interpreter=shape.interpreter,
        soname=shape.soname,
        needed=needed,
        rpath=rpath,
        imports=tuple(sorted(imports)[:IMPORT_LIMIT]),
        exports=tuple(sorted(exports)[:EXPORT_LIMIT]),
        **elf_notes.remarks(content, sections, notes, little=elf.little_endian),
        reader="pyelftools",
    )


def _sections(elf: Any, leaks: tuple[type[Exception], ...]) -> tuple[dict[str, tuple[int, int, int]], dict[str, Any]]:
    sections: dict[str, tuple[int, int, int]] = {}
    tables: dict[str, Any] = {}
    kinds = {"SHT_NOTE": 7, "SHT_NOBITS": 8}
    for index in range(min(elf.num_sections(), _SECTION_LIMIT)):
        try:
            section = elf.get_section(index)
            sections[section.name] = (section["sh_offset"], section["sh_size"], kinds.get(section["sh_type"], 1))
            if section.name in {".dynsym", ".symtab"} and hasattr(section, "get_symbol"):
                tables[section.name] = section
        except leaks:
            continue
    return sections, tables


def _segments(
    elf: Any, leaks: tuple[type[Exception], ...]
) -> tuple[Shape, tuple[str, ...], tuple[str, ...], list[tuple[int, int]]]:
    types = {"ET_REL": 1, "ET_EXEC": 2, "ET_DYN": 3, "ET_CORE": 4}
    stack, relro, interpreter, soname = None, False, None, None
    flags: dict[str, int] = {}
    numbers: set[int] = set()
    needed: list[str] = []
    paths: list[str] = []
    notes: list[tuple[int, int]] = []
    for index in range(min(elf.num_segments(), 256)):
        try:
            segment = elf.get_segment(index)
            kind = segment["p_type"]
            if kind == "PT_GNU_STACK":
                stack = segment["p_flags"]
            elif kind == "PT_GNU_RELRO":
                relro = True
            elif kind == "PT_INTERP":
                interpreter = segment.get_interp_name()
            elif kind == "PT_NOTE":
                notes.append((segment["p_offset"], segment["p_filesz"]))
            elif kind == "PT_DYNAMIC":
                for tag in segment.iter_tags():
                    name = tag.entry.d_tag
                    numbers.add(_TAGS.get(name, -1))
                    if name == "DT_NEEDED":
                        needed.append(tag.needed)
                    elif name == "DT_SONAME":
                        soname = tag.soname
                    elif name in {"DT_RPATH", "DT_RUNPATH"}:
                        paths += getattr(tag, name[3:].lower()).split(":")
                    elif name in {"DT_FLAGS", "DT_FLAGS_1"}:
                        flags[name] = tag.entry.d_val
        except leaks:
            continue
    shape = Shape(
        type=types.get(elf.header["e_type"], 0),
        dynamic=bool(numbers),
        interpreter=interpreter,
        soname=soname,
        flags=flags.get("DT_FLAGS", 0),
        flags_1=flags.get("DT_FLAGS_1", 0),
        tags=frozenset(numbers),
        stack=stack,
        relro=relro,
    )
    return shape, tuple(needed[:256]), tuple(path for path in paths[:64] if path), notes


# The dynamic tags that ``judge`` asks for, by number.
_TAGS = {"DT_DEBUG": 21, "DT_BIND_NOW": 24, "DT_MIPS_RLD_MAP": 0x70000016, "DT_MIPS_RLD_MAP_REL": 0x70000035}
