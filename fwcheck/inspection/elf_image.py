"""An ELF program as memory: what stands at an address, which address stands for which imported function.

Only what tracing calls needs: loadable segments, dynamic symbols and relocations, MIPS' GOT, symbol tables for names of callers.
It works from the program headers, because vendors cut the section table off. Layouts and constants: System V ABI (gABI) chapters
4 and 5, the Linux ``<elf.h>``, and the processor supplement of MIPS (ABI "PIC" chapter: GOT, ``_gp``).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple

_MOST_SEGMENTS = 64
_MOST_TAGS = 256
_MOST_SYMBOLS = 1 << 16
_MOST_RELOCATIONS = 1 << 16
_LONGEST_NAME = 256
_MIPS, _ARM = 8, 40
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_RELRO = 1, 2, 3, 0x6474E552
_ET_DYN = 3
_SHT_SYMTAB = 2
_RELATIVE = {3: 8, 62: 8, 40: 23, 183: 1027, 243: 3, 20: 22}  # R_*_RELATIVE by e_machine
# R_*_JUMP_SLOT and R_*_GLOB_DAT by e_machine: the relocations that put the address of a function into a pointer.
_FUNCTIONS = {
    3: (7, 6), 62: (7, 6), 40: (22, 21), 183: (1026, 1025), 243: (5, 2, 1), 20: (21, 20), 8: (127,),
}  # fmt: skip
_TABLES = {"hash": 4, "strings": 5, "symbols": 6, "rela": 7, "rela_size": 8, "strings_size": 10, "rel": 17, "rel_size": 18,
           "plt_size": 2, "plt_kind": 20, "plt": 23, "got": 3}  # fmt: skip
_MIPS_LOCAL, _MIPS_SYMBOLS, _MIPS_FIRST = 0x7000000A, 0x70000011, 0x70000013  # LOCAL_GOTNO, SYMTABNO, GOTSYM
GP_BIAS = 0x7FF0  # of MIPS: _gp points that far behind the beginning of the GOT


class Segment(NamedTuple):
    """A loaded range: address, offset and length of what the file gives, and its flags."""

    address: int
    offset: int
    size: int
    flags: int  # PF_X 1, PF_W 2, PF_R 4


class Symbol(NamedTuple):
    """A symbol of one of the tables."""

    name: str
    value: int
    size: int
    kind: int  # STT_*: 2 is a function
    section: int  # 0: undefined, imported


class ElfImage:
    """An ELF file of either class and byte order; raises ValueError or struct.error where its headers make no sense."""

    def __init__(self, content: bytes) -> None:
        if content[:4] != b"\x7fELF" or content[4] not in (1, 2) or content[5] not in (1, 2):
            raise ValueError("no ELF header")
        self.content = content
        self.wide = content[4] == 2
        self.order: Literal["<", ">"] = "<" if content[5] == 1 else ">"
        self.machine: int = struct.unpack_from(self.order + "H", content, 18)[0]
        self.type: int = struct.unpack_from(self.order + "H", content, 16)[0]
        self.flags: int = struct.unpack_from(self.order + "I", content, 48 if self.wide else 36)[0]
        self._pointer = struct.Struct(self.order + ("Q" if self.wide else "I"))
        headers = list(self._headers())
        self.segments = sorted(Segment(a, o, s, f) for kind, f, o, a, s in headers if kind == _PT_LOAD and s > 0)
        self._starts = [each.address for each in self.segments]
        self.shared = not any(kind == _PT_INTERP for kind, *_ in headers) and self.type == _ET_DYN
        self.relro = next(((a, a + s) for kind, _, _, a, s in headers if kind == _PT_RELRO), (0, 0))
        self._dynamic = next(((o, s) for kind, _, o, _, s in headers if kind == _PT_DYNAMIC), (0, 0))

    def _headers(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Type, flags, offset, address and size in the file of each program header that lies inside the file."""
        at = struct.unpack_from(self.order + ("Q" if self.wide else "I"), self.content, 32 if self.wide else 28)[0]
        size, number = struct.unpack_from(self.order + "HH", self.content, 54 if self.wide else 42)
        layout = struct.Struct(self.order + ("IIQQQQQQ" if self.wide else "IIIIIIII"))
        if size < layout.size:
            return
        for index in range(min(number, _MOST_SEGMENTS)):
            if at + index * size + layout.size > len(self.content):
                return
            fields = layout.unpack_from(self.content, at + index * size)
            kind, flags, offset, address, in_file = (
                (fields[0], fields[1], fields[2], fields[3], fields[5])
                if self.wide
                else (fields[0], fields[6], fields[1], fields[2], fields[4])
            )
            if offset < len(self.content):
                yield kind, flags, offset, address, min(in_file, len(self.content) - offset)

    # ----------------------------------------------------------------------- memory

    def segment(self, address: int) -> Segment | None:
        """The segment that gives the byte at ``address``; None when the file gives none."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        found = self.segments[index]
        return found if address < found.address + found.size else None

    def offset(self, address: int) -> int | None:
        """The file offset of ``address``."""
        found = self.segment(address)
        return address - found.address + found.offset if found is not None else None

    def fixed(self, address: int) -> bool:
        """Whether what stands at ``address`` stays as it is while the program runs, once the loader is done."""
        found = self.segment(address)
        if found is None:
            return False
        low, high = self.got_range
        return not found.flags & 2 or self.relro[0] <= address < self.relro[1] or low <= address < high

    def pointer(self, address: int) -> int | None:
        """The pointer stored at ``address``, relocated for a load address of 0."""
        if address in self.relocated:
            return self.relocated[address]
        at = self.offset(address)
        if at is None or at + self._pointer.size > len(self.content):
            return None
        value: int = self._pointer.unpack_from(self.content, at)[0]
        return value

    def word(self, address: int) -> int | None:
        """The 32 bits at ``address``."""
        at = self.offset(address)
        if at is None or at + 4 > len(self.content):
            return None
        value: int = struct.unpack_from(self.order + "I", self.content, at)[0]
        return value

    # ----------------------------------------------------------------------- dynamic linking

    @cached_property
    def tags(self) -> dict[int, int]:
        """The dynamic section: the first value of each tag."""
        at, size = self._dynamic
        layout = struct.Struct(self.order + ("QQ" if self.wide else "II"))
        found: dict[int, int] = {}
        for index in range(min(size // layout.size, _MOST_TAGS)):
            tag, value = layout.unpack_from(self.content, at + index * layout.size)
            if tag == 0:
                break
            found.setdefault(tag & 0xFFFFFFFF, value)
        return found

    def _tag(self, name: str) -> int:
        return self.tags.get(_TABLES[name], 0)

    @cached_property
    def symbols(self) -> list[Symbol]:
        """The dynamic symbols; their table ends where the string table begins, as all linkers lay it out."""
        start, strings = self._tag("symbols"), self._tag("strings")
        at, names = self.offset(start) if start else None, self.offset(strings) if strings else None
        if at is None or names is None:
            return []
        size = 24 if self.wide else 16
        number = self._symbol_number(start, strings, size)
        return self._read_symbols(at, number * size, names, self._tag("strings_size"))

    def _symbol_number(self, start: int, strings: int, size: int) -> int:
        if self.machine == _MIPS and _MIPS_SYMBOLS in self.tags:
            return min(self.tags[_MIPS_SYMBOLS], _MOST_SYMBOLS)
        at = self.offset(self._tag("hash")) if self._tag("hash") else None
        if at is not None and at + 8 <= len(self.content):
            chains: int = struct.unpack_from(self.order + "I", self.content, at + 4)[0]  # nchain: one for each symbol
            return min(chains, _MOST_SYMBOLS)
        return min((strings - start) // size, _MOST_SYMBOLS) if strings > start else 0

    def _read_symbols(self, at: int, size: int, names: int, names_size: int) -> list[Symbol]:
        layout = struct.Struct(self.order + ("IBBHQQ" if self.wide else "IIIBBH"))
        table = self.content[at : at + size]
        strings = self.content[names : names + names_size]
        found = []
        for fields in layout.iter_unpack(table[: len(table) - len(table) % layout.size]):
            name, info, section, value, length = (
                (fields[0], fields[1], fields[3], fields[4], fields[5])
                if self.wide
                else (fields[0], fields[3], fields[5], fields[1], fields[2])
            )
            end = strings.find(b"\0", name, name + _LONGEST_NAME) if 0 < name < len(strings) else -1
            text = strings[name:end].decode("latin-1") if end > name else ""
            found.append(Symbol(text, value, length, info & 15, section))
        return found

    def _relocations(self) -> Iterator[tuple[int, int, int, int | None]]:
        """Address, kind, symbol and addend of the relocations that the loader applies."""
        rela = self._tag("plt_kind") == 7
        for start, size, explicit in (
            (self._tag("rela"), self._tag("rela_size"), True),
            (self._tag("rel"), self._tag("rel_size"), False),
            (self._tag("plt"), self._tag("plt_size"), rela),
        ):
            at = self.offset(start) if start else None
            if at is None:
                continue
            form = ("QQq" if explicit else "QQ") if self.wide else ("IIi" if explicit else "II")
            layout = struct.Struct(self.order + form)
            table = self.content[at : at + min(size, _MOST_RELOCATIONS * layout.size)]
            for fields in layout.iter_unpack(table[: len(table) - len(table) % layout.size]):
                info = fields[1]
                kind, symbol = (info & 0xFFFFFFFF, info >> 32) if self.wide else (info & 0xFF, info >> 8)
                yield fields[0], kind, symbol, fields[2] if explicit else None

    @cached_property
    def _bound(self) -> tuple[dict[int, str], dict[int, int]]:
        """Pointers to named functions, and pointers into this file, by where they are stored."""
        names: dict[int, str] = {}
        inside: dict[int, int] = {}
        functions, relative = _FUNCTIONS.get(self.machine, ()), _RELATIVE.get(self.machine, -1)
        for address, kind, symbol, addend in self._relocations():
            if kind == relative:
                value = addend
                if value is None and (at := self.offset(address)) is not None and at + self._pointer.size <= len(self.content):
                    value = self._pointer.unpack_from(self.content, at)[0]
                if value is not None:
                    inside[address] = value
            elif kind in functions and 0 < symbol < len(self.symbols) and (name := self.symbols[symbol].name):
                names[address] = name
                if self.symbols[symbol].section and self.symbols[symbol].value:
                    inside[address] = self.symbols[symbol].value
        return names, inside

    @property
    def slots(self) -> dict[int, str]:
        """Function names by the address of the pointer that the loader fills for them."""
        return self._bound[0] if self.machine != _MIPS else {**self._bound[0], **self._mips_slots}

    @property
    def relocated(self) -> dict[int, int]:
        """Addresses inside this file by where the loader stores them."""
        return self._bound[1]

    @cached_property
    def _mips_slots(self) -> dict[int, str]:
        """The global part of the GOT: one entry for each symbol from DT_MIPS_GOTSYM on, in their order."""
        got, local, first = self._tag("got"), self.tags.get(_MIPS_LOCAL), self.tags.get(_MIPS_FIRST)
        if not got or local is None or first is None:
            return {}
        size = self._pointer.size
        return {
            got + (local + index) * size: symbol.name
            for index, symbol in enumerate(self.symbols[first:])
            if symbol.name and symbol.kind in (0, 2)
        }

    @cached_property
    def got_range(self) -> tuple[int, int]:
        """The part of the GOT whose entries are set by the loader, once, or hold addresses of this file from the start."""
        got, step = self._tag("got"), self._pointer.size
        if not got:
            return 0, 0
        if self.machine == _MIPS:
            return got, got + min(self.tags.get(_MIPS_LOCAL, 0), _MOST_SYMBOLS) * step
        end = got + 3 * step  # what the loader keeps there for itself
        while end in self.relocated or end in self.slots:
            end += step
        return got, end

    @property
    def got(self) -> int:
        """DT_PLTGOT: the base of the GOT; 0 when there is none."""
        return self._tag("got")

    # ----------------------------------------------------------------------- names of functions

    @cached_property
    def functions(self) -> dict[int, tuple[str, int]]:
        """Functions of this file by address: name and size, from the symbol table and from the dynamic symbols."""
        found: dict[int, tuple[str, int]] = {}
        for symbol in (*self.symbols, *self._table()):
            if symbol.kind == 2 and symbol.section and symbol.name and symbol.value:
                value = symbol.value & ~1 if self.machine == _ARM else symbol.value  # bit 0: Thumb
                found.setdefault(value, (symbol.name, symbol.size))
        return found

    def _table(self) -> list[Symbol]:
        """The symbols of SHT_SYMTAB, where the file has it still."""
        at = struct.unpack_from(self.order + ("Q" if self.wide else "I"), self.content, 40 if self.wide else 32)[0]
        size, number = struct.unpack_from(self.order + "HH", self.content, 58 if self.wide else 46)
        layout = struct.Struct(self.order + ("IIQQQQIIQQ" if self.wide else "10I"))
        if size != layout.size or at == 0 or at + number * size > len(self.content):
            return []
        sections = [layout.unpack_from(self.content, at + index * size) for index in range(number)]
        table = next((each for each in sections if each[1] == _SHT_SYMTAB and each[6] < len(sections)), None)
        if table is None:
            return []
        strings = sections[table[6]]
        return self._read_symbols(table[4], min(table[5], _MOST_SYMBOLS * 24), strings[4], strings[5])
