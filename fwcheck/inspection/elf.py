"""What one ELF file says of itself: read directly where it is as linkers make it, else by lief, and by pyelftools at last.

Layouts and constants: System V ABI (gABI) chapters 4 and 5, the Linux ``<elf.h>``, and the processor supplements of MIPS and
ARM. ``None`` always means that the file does not allow an answer, never "no".
"""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fwcheck.inspection import elf_notes
from fwcheck.inspection.elf_direct import Unusual, read_directly, undefined_names
from fwcheck.inspection.elf_fallback import read_with_pyelftools
from fwcheck.inspection.elf_judgement import EXPORT_LIMIT, IMPORT_LIMIT, MACHINES, ElfUnreadable, Shape, judge
from fwcheck.model import ElfFacts

_VERSION_LIMIT = 256
_GLOBAL = frozenset({1, 2, 10})  # STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE: the upper half of st_info


class Symbols(NamedTuple):
    """Names of one symbol table."""

    imports: set[str]
    exports: set[str]


def read_elf(content: bytes) -> ElfFacts:
    """The facts of an ELF file; raises ElfUnreadable when neither reader understands it."""
    if len(content) < 52:
        raise ElfUnreadable(f"ELF header cut off after {len(content)} bytes")
    with contextlib.suppress(Unusual, struct.error, ValueError, OverflowError):
        return read_directly(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lief warns of every number it has no name for
            facts = _by_lief(content)
    except (UnicodeDecodeError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = f"lief: {type(error).__name__}"
    else:
        if facts is not None:
            return facts
        reason = "lief: not readable"
    try:
        return read_with_pyelftools(content)
    except ElfUnreadable as error:
        raise ElfUnreadable(f"{reason}; pyelftools: {error}") from None


def _lief() -> Any:
    import lief  # noqa: PLC0415  # 0.25 s, for tables of instructions: only processes that meet an unusual file pay it

    lief.logging.disable()
    return lief


def _by_lief(content: bytes) -> ElfFacts | None:
    elf = _lief().ELF
    config = elf.ParserConfig()
    config.parse_relocations = config.parse_symtab_symbols = config.parse_overlay = config.parse_notes = False
    binary = elf.parse(content, config)
    if binary is None:
        return None
    sections = {_name(section): (section.file_offset, section.size, section.type.value) for section in binary.sections}
    shape = _shape(elf, binary)
    dynamic = _dynamic_symbols(binary)
    table = undefined_names(content, sections) if shape.type == 1 else None
    imports, exports = (table, set[str]()) if table is not None else dynamic
    needed, rpath = _libraries(elf, binary)
    versions = _versions(binary)
    little = content[5] != 2
    return ElfFacts(
        **judge(shape, needed, imports, exports, content, sections),
        machine=MACHINES.get(int.from_bytes(content[18:20], "little" if little else "big"), "unknown"),
        bits=64 if content[4] == 2 else 32,
        endian="little" if little else "big",
        interpreter=shape.interpreter,
        soname=shape.soname,
        needed=needed,
        rpath=rpath,
        imports=tuple(sorted(imports)[:IMPORT_LIMIT]),
        exports=tuple(sorted(exports)[:EXPORT_LIMIT]),
        symbol_versions=versions,
        **elf_notes.remarks(content, sections, _note_ranges(elf, binary, sections), little=little),
        reader="lief",
    )


def _name(thing: Any) -> str:
    """A lief name; "" where its bytes are no text (lief raises these two for damaged names)."""
    try:
        name = thing.name
    except (UnicodeDecodeError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def _shape(elf: Any, binary: Any) -> Shape:
    segments = elf.Segment.TYPE
    stack, relro = None, False
    for segment in binary.segments:
        if segment.type == segments.GNU_STACK:
            stack = int(segment.flags)
        elif segment.type == segments.GNU_RELRO:
            relro = True
    tags = elf.DynamicEntry.TAG
    flags = flags_1 = 0
    soname = None
    numbers = set()
    for entry in binary.dynamic_entries:
        tag = entry.tag
        numbers.add(_tag_number(tag))
        if tag == tags.FLAGS:
            flags = entry.value
        elif tag == tags.FLAGS_1:
            flags_1 = entry.value
        elif tag == tags.SONAME:
            soname = _name(entry) or None
    interpreter = binary.interpreter if binary.has_interpreter else None
    return Shape(
        type=binary.header.file_type.value,
        dynamic=len(numbers) > 1,
        interpreter=interpreter.rstrip("\0") or None if isinstance(interpreter, str) else None,
        soname=soname,
        flags=flags,
        flags_1=flags_1,
        tags=frozenset(numbers),
        stack=stack,
        relro=relro,
    )


def _tag_number(tag: Any) -> int:
    """The DT_* value: lief keeps the machine in the bits above 32 of processor-specific tags."""
    return int(tag.value) & 0xFFFFFFFF


def _libraries(elf: Any, binary: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tags = elf.DynamicEntry.TAG
    needed: list[str] = []
    paths: list[str] = []
    for entry in binary.dynamic_entries:
        try:
            if entry.tag == tags.NEEDED:
                needed.append(entry.name)
            elif entry.tag == tags.RPATH:
                paths += entry.rpath.split(":")
            elif entry.tag == tags.RUNPATH:
                paths += entry.runpath.split(":")
        except (UnicodeDecodeError, TypeError, AttributeError):
            continue
    return tuple(needed[:256]), tuple(path for path in paths[:64] if path)


def _dynamic_symbols(binary: Any) -> Symbols:
    imports: set[str] = set()
    exports: set[str] = set()
    for symbol in binary.dynamic_symbols:
        try:
            name = symbol.name
            if not name:
                continue
            if symbol.shndx == 0:
                imports.add(name)
            elif symbol.information >> 4 in _GLOBAL:
                exports.add(name)
        except (UnicodeDecodeError, TypeError, ValueError):
            continue
    return Symbols(imports, exports)


def _versions(binary: Any) -> tuple[str, ...]:
    names: set[str] = set()
    for requirement in binary.symbols_version_requirement:
        names.update(_name(auxiliary) for auxiliary in requirement.get_auxiliary_symbols())
    for definition in binary.symbols_version_definition:
        names.update(_name(auxiliary) for auxiliary in definition.auxiliary_symbols)
    names.discard("")
    return tuple(sorted(names)[:_VERSION_LIMIT])


def _note_ranges(elf: Any, binary: Any, sections: Mapping[str, tuple[int, int, int]]) -> Iterable[tuple[int, int]]:
    """Offsets and sizes of all notes: of SHT_NOTE sections, of PT_NOTE segments where there are no sections."""
    found = [(at, size) for at, size, kind in sections.values() if kind == 7]
    if not found:
        note = elf.Segment.TYPE.NOTE
        found = [(segment.file_offset, segment.physical_size) for segment in binary.segments if segment.type == note]
    return found
