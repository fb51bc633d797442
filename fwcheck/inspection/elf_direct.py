"""ELF facts read straight from the tables of a well-formed file; whatever is unusual about one is left to lief.

Importing lief costs more than reading a thousand files, and nearly every file of an image is as its linker made it. Such a file
is read here, to the same facts; the first contradiction between its tables raises :class:`Unusual`, and lief has the last word.
Layouts and constants: System V ABI (gABI) chapters 4 and 5, the Linux ``<elf.h>``, "LSB" chapter 10.7 (symbol versions).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fwcheck.inspection import elf_notes
from fwcheck.inspection.elf_judgement import EXPORT_LIMIT, IMPORT_LIMIT, MACHINES, Shape, judge
from fwcheck.model import ElfFacts

Sections = dict[str, tuple[int, int, int]]

_KNOWN = frozenset({3, 8, 20, 21, 22, 40, 42, 62, 183, 243, 258})  # machines whose files were compared with what lief says
_MOST_SECTIONS, _MOST_SEGMENTS, _MOST_TAGS, _MOST_VERSIONS = 4096, 64, 512, 256
_MOST_SYMBOLS = 1 << 17
_VERSION_LIMIT = 256
_LONGEST = 4096  # bytes of one name
_TEXT = 16 << 20  # bytes of all names: tables may name the same bytes over and over
_GLOBAL = frozenset({1, 2, 10})  # STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE
_REL, _EXEC, _DYN = 1, 2, 3
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE, _PT_STACK, _PT_RELRO = 1, 2, 3, 4, 0x6474E551, 0x6474E552
_NOTE, _NOBITS, _DYNSYM = 7, 8, 11
_NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ, _SYMENT, _SONAME, _RPATH, _RUNPATH, _FLAGS = 1, 4, 5, 6, 10, 11, 14, 15, 29, 30
_FLAGS_1, _VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFB, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_MIPS, _MIPS_SYMBOLS = 8, 0x70000011


class Unusual(Exception):
    """The tables of a file do not fit together, or are of a kind that is not read here."""


class _Program(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    size: int  # in the file
    memory: int


def read_directly(content: bytes) -> ElfFacts:
    """The facts of a well-formed ELF file; raises Unusual or struct.error for any other."""
    file = _File(content)
    file.check()
    shape = file.shape()
    if shape.type == _REL:
        imports, exports = file.undefined(), set[str]()
    else:
        imports, exports = file.symbols()
    needed = file.names(_NEEDED)
    return ElfFacts(
        **judge(shape, needed, imports, exports, content, file.sections),
        machine=MACHINES.get(file.machine, "unknown"),
        bits=64 if file.wide else 32,
        endian="little" if file.little else "big",
        interpreter=shape.interpreter,
        soname=shape.soname,
        needed=needed[:256],
        rpath=tuple(path for path in file.paths()[:64] if path),
        imports=tuple(sorted(imports)[:IMPORT_LIMIT]),
        exports=tuple(sorted(exports)[:EXPORT_LIMIT]),
        symbol_versions=file.versions(),
        **elf_notes.remarks(content, file.sections, file.notes(), little=file.little),
        reader="direct",
    )


class _File:
    def __init__(self, content: bytes) -> None:
        if content[4] not in (1, 2) or content[5] not in (1, 2) or content[6] != 1:
            raise Unusual("identification")
        self.content = content
        self.wide = content[4] == 2
        self.little = content[5] == 1
        self.order = "<" if self.little else ">"
        header = struct.Struct(self.order + ("HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH")).unpack_from(content, 16)
        self.type, self.machine = header[0], header[1]
        self._head = header[3:]
        self._left = _TEXT
        self.programs = list(self._programs())
        self.sections: Sections = {}
        self._dynsym: tuple[int, int] | None = None
        self._read_sections()
        self.tags = list(self._dynamic())
        self.tag = dict(reversed(self.tags))  # the first of each

    def check(self) -> None:
        """Raises Unusual where the file is not what a linker writes."""
        if self.machine not in _KNOWN or self.type not in (_REL, _EXEC, _DYN):
            raise Unusual("machine or type")
        if (self.type == _REL) != (not self.programs) or (self.type == _REL and ".symtab" not in self.sections):
            raise Unusual("no segments, or no symbols")
        if any(each.offset + each.size > len(self.content) for each in self.programs if each.kind != _PT_STACK):
            raise Unusual("segment outside the file")

    def _programs(self) -> Iterator[_Program]:
        at, size, number = self._head[1], self._head[5], self._head[6]
        if not number:
            return
        layout = struct.Struct(self.order + ("IIQQQQQQ" if self.wide else "IIIIIIII"))
        if size != layout.size or number > _MOST_SEGMENTS or at + size * number > len(self.content):
            raise Unusual("program headers")
        for fields in layout.iter_unpack(self.content[at : at + size * number]):
            if self.wide:
                kind, flags, offset, address, _, in_file, memory, _ = fields
            else:
                kind, offset, address, _, in_file, memory, flags, _ = fields
            yield _Program(kind, flags, offset, address, in_file, memory)

    def _read_sections(self) -> None:
        at, size, number, names_at = self._head[2], self._head[7], self._head[8], self._head[9]
        if not at and not number:
            return
        layout = struct.Struct(self.order + ("IIQQQQIIQQ" if self.wide else "10I"))
        if not 0 < names_at < number <= _MOST_SECTIONS or size != layout.size or at + size * number > len(self.content):
            raise Unusual("section headers")
        rows = list(layout.iter_unpack(self.content[at : at + size * number]))
        names = self._piece(rows[names_at][4], rows[names_at][5])
        for name, kind, _, _, offset, length, *_ in rows:
            if kind not in (0, _NOBITS) and offset + length > len(self.content):
                raise Unusual("section outside the file")
            self.sections[self._string(names, name)] = (offset, length, kind)
            if kind == _DYNSYM:
                if self._dynsym is not None:
                    raise Unusual("two tables of dynamic symbols")
                self._dynsym = (offset, length)

    def _dynamic(self) -> Iterator[tuple[int, int]]:
        """The dynamic section up to its end: tags without what is said of the machine, and values."""
        places = [each for each in self.programs if each.kind == _PT_DYNAMIC]
        if not places:
            return
        layout = struct.Struct(self.order + ("QQ" if self.wide else "II"))
        raw = self._piece(places[0].offset, places[0].size)
        if len(places) > 1 or not raw:
            raise Unusual("dynamic segment")
        for index, (tag, value) in enumerate(layout.iter_unpack(raw[: len(raw) - len(raw) % layout.size])):
            if tag == 0:
                return
            if index >= _MOST_TAGS or tag > 0x7FFFFFFF:
                break
            yield tag, value
        raise Unusual("dynamic section without end")

    def _piece(self, at: int, size: int) -> bytes:
        if at + size > len(self.content):
            raise Unusual("table outside the file")
        return self.content[at : at + size]

    def _offset(self, address: int) -> int:
        for each in self.programs:
            if each.kind == _PT_LOAD and each.address <= address < each.address + each.size:
                return address - each.address + each.offset
        raise Unusual("address outside the file")

    def shape(self) -> Shape:
        """What is judged of the file."""
        interpreters = [self._piece(each.offset, each.size) for each in self.programs if each.kind == _PT_INTERP]
        stacks = [each.flags for each in self.programs if each.kind == _PT_STACK]
        sonames = self.names(_SONAME)
        if len(interpreters) > 1 or len(stacks) > 1 or len(sonames) > 1:
            raise Unusual("said twice")
        interpreter = interpreters[0].rstrip(b"\0") if interpreters else b""
        if b"\0" in interpreter or not interpreter.isascii() or (interpreters and not interpreter):
            raise Unusual("interpreter")
        return Shape(
            type=self.type,
            dynamic=bool(self.tags),
            interpreter=interpreter.decode() or None,
            soname=(sonames[0] or None) if sonames else None,
            flags=self.tag.get(_FLAGS, 0),
            flags_1=self.tag.get(_FLAGS_1, 0),
            tags=frozenset(self.tag),
            stack=stacks[0] if stacks else None,
            relro=any(each.kind == _PT_RELRO for each in self.programs),
        )

    def _strings(self) -> bytes:
        if _STRTAB not in self.tag or not self.tag.get(_STRSZ):
            raise Unusual("no string table")
        strings = self._piece(self._offset(self.tag[_STRTAB]), self.tag[_STRSZ])
        if strings[-1]:
            raise Unusual("string table without end")
        return strings

    def _string(self, strings: bytes, at: int) -> str:
        """A string of a table; raises Unusual for one that is cut off, or no plain text."""
        end = strings.find(b"\0", at, at + _LONGEST)
        if end < 0 or not (text := strings[at:end]).isascii():
            raise Unusual("string")
        self._left -= len(text)
        if self._left < 0:
            raise Unusual("more names than bytes")
        return text.decode("ascii")

    def names(self, wanted: int) -> tuple[str, ...]:
        """The strings that dynamic entries of one kind name."""
        values = [value for tag, value in self.tags if tag == wanted]
        if not values:
            return ()
        strings = self._strings()
        return tuple(self._string(strings, value) for value in values)

    def paths(self) -> list[str]:
        """Where libraries are looked for, in the order of the entries."""
        held = {_RPATH: iter(self.names(_RPATH)), _RUNPATH: iter(self.names(_RUNPATH))}
        return [path for tag, _ in self.tags if tag in held for path in next(held[tag]).split(":")]

    def symbols(self) -> tuple[set[str], set[str]]:
        """Names of undefined and of defined dynamic symbols."""
        imports, exports = set[str](), set[str]()
        if _SYMTAB not in self.tag:
            if self._dynsym is not None or self.tags:
                raise Unusual("no table of dynamic symbols")
            return imports, exports
        size = 24 if self.wide else 16
        at, number = self._offset(self.tag[_SYMTAB]), self._number(size)
        if self.tag.get(_SYMENT, size) != size or (self._dynsym is not None and self._dynsym[0] != at):
            raise Unusual("dynamic symbols")
        strings = self._strings()
        for fields in struct.iter_unpack(self.order + ("IBxH16x" if self.wide else "I8xBxH"), self._piece(at, number * size)):
            name, info, section = fields
            if name:
                text = self._string(strings, name)
                if text and not section:
                    imports.add(text)
                elif text and info >> 4 in _GLOBAL:
                    exports.add(text)
        return imports, exports

    def _number(self, size: int) -> int:
        """How many dynamic symbols there are: all that tells it has to agree."""
        told = set()
        if self._dynsym is not None:
            told.add(self._dynsym[1] // size)
        if _HASH in self.tag:
            told.add(struct.unpack_from(self.order + "I", self.content, self._offset(self.tag[_HASH]) + 4)[0])
        if self.machine == _MIPS and _MIPS_SYMBOLS in self.tag:
            told.add(self.tag[_MIPS_SYMBOLS])
        if len(told) != 1 or (number := told.pop()) > _MOST_SYMBOLS:
            raise Unusual("number of dynamic symbols")
        return number

    def undefined(self) -> set[str]:
        """The undefined names of a relocatable file."""
        return undefined_names(self.content, self.sections) or set()

    def versions(self) -> tuple[str, ...]:
        """Names of the symbol versions that are needed and defined."""
        names: set[str] = set()
        # Verneed: version, number, file, first, next; Vernaux: hash, flags, other, name, next.
        names.update(self._versions(_VERNEED, _VERNEEDNUM, ("HHIII", 1, 3, 4), ("IHHII", 3, 4)))
        # Verdef: version, flags, index, number, hash, first, next; Verdaux: name, next.
        names.update(self._versions(_VERDEF, _VERDEFNUM, ("HHHHIII", 3, 5, 6), ("II", 0, 1)))
        names.discard("")
        return tuple(sorted(names)[:_VERSION_LIMIT])

    def _versions(self, table: int, count: int, outer: tuple[str, int, int, int], inner: tuple[str, int, int]) -> Iterator[str]:
        if table not in self.tag:
            return
        strings, at, number = self._strings(), self._offset(self.tag[table]), self.tag.get(count, 0)
        if not 0 < number <= _MOST_VERSIONS:
            raise Unusual("number of versions")
        for place in range(number):
            fields = struct.unpack_from(self.order + outer[0], self.content, at)
            held, first, following = fields[outer[1]], fields[outer[2]], fields[outer[3]]
            if held > _MOST_VERSIONS or (not following) != (place == number - 1):
                raise Unusual("list of versions")
            below = at + first
            for index in range(held):
                names = struct.unpack_from(self.order + inner[0], self.content, below)
                yield self._string(strings, names[inner[1]])
                if (not names[inner[2]]) != (index == held - 1):
                    raise Unusual("list of versions")
                below += names[inner[2]]
            at += following

    def notes(self) -> list[tuple[int, int]]:
        """Offsets and sizes of all notes: of sections, of segments where there are no sections."""
        found = [(at, size) for at, size, kind in self.sections.values() if kind == _NOTE]
        return found or [(each.offset, each.size) for each in self.programs if each.kind == _PT_NOTE]


def undefined_names(content: bytes, sections: Mapping[str, tuple[int, int, int]]) -> set[str] | None:
    """The undefined names of a relocatable file's .symtab (kernel modules import through it); None where it has none."""
    if ".symtab" not in sections:
        return None
    at, size, _ = sections[".symtab"]
    strings_at, strings_size, _ = sections.get(".strtab", (0, 0, 0))
    strings = content[strings_at : strings_at + strings_size]
    # Of an entry only st_name and st_shndx are unpacked: the tables of large modules have a hundred thousand entries.
    layout = struct.Struct(("<" if content[5] != 2 else ">") + ("I2xH16x" if content[4] == 2 else "I10xH"))
    table = content[at : at + size]
    names = [name for name, section in layout.iter_unpack(table[: len(table) - len(table) % layout.size]) if name and not section]
    imports = {
        strings[name : end if (end := strings.find(b"\0", name)) >= 0 else None][:256].decode("utf-8", "replace")
        for name in names[:IMPORT_LIMIT]
    }
    imports.discard("")
    return imports
