"""x86 in 32 and 64 bits, decoded by capstone: its instructions have no fixed length.

Calls: System V ABI, i386 supplement (arguments on the stack) and AMD64 supplement (``rdi rsi rdx rcx r8 r9``).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

from fwcheck.inspection.elf_image import ElfImage
from fwcheck.inspection.machines.machine import (
    ADD,
    ADDI,
    CALLS,
    CONST,
    JUMPS,
    LOAD,
    MOVE,
    NOTHING,
    PC,
    PUSH,
    STORE,
    Machine,
    Op,
    Site,
    Window,
    branch,
    jump,
    spoil,
)

_CALL = re.compile(rb"(?=[\xe8\xe9])", re.DOTALL)
_INDIRECT = re.compile(rb"(?=\xff[\x15\x25])", re.DOTALL)  # call, jmp through a pointer
_NAMES = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
_REGISTERS = {
    **{prefix + name: number for number, name in enumerate(_NAMES) for prefix in ("r", "e", "")},
    **{name[0] + half: number for number, name in enumerate(_NAMES[:4]) for half in ("l", "h")},
    **{name + "l": number for number, name in enumerate(_NAMES) if number > 3},
    **{f"r{number}{size}": number for number in range(8, 16) for size in ("", "d", "w", "b")},
}
_ADDRESS = re.compile(r"(?:[a-z]+ ptr )?\[(\w+)(?: ([+-]) (0x[0-9a-f]+|\d+))?\]")
_NUMBER = re.compile(r"-?(?:0x[0-9a-f]+|\d+)")
_NO_RESULT = ("cmp", "test", "nop", "push", "j", "endbr", "leave", "bt", "ucomis", "comis", "prefetch", "rep st", "stos")
_SP, _IP = 4, -2


class X86(Machine):
    """Code of i386 and x86-64."""

    result = 0
    stack = (4, 5)

    def __init__(self, image: ElfImage, wanted: frozenset[str]) -> None:
        super().__init__(image, wanted)
        self.long = image.machine == 62
        self.arguments = (7, 6, 2, 1, 8, 9) if self.long else ()
        self.stack_arguments = not self.long
        self.saved = frozenset({3, 5, 12, 13, 14, 15} if self.long else {3, 5, 6, 7})
        self.pointer_bits = 64 if self.long else 32
        self.capstone = ("CS_ARCH_X86", "CS_MODE_64" if self.long else "CS_MODE_32")
        self._engine: Any = None

    def sites(self) -> Iterator[Site]:
        targets = {**self.local, **self._stubs()}
        found: list[Site] = []
        near = struct.Struct("<i")
        for segment, data in self.code:
            base, end = segment.address, len(data)
            for hit in _CALL.finditer(data):
                at = hit.start()
                if at + 5 > end:
                    break
                target = base + at + 5 + near.unpack_from(data, at + 1)[0]
                if target in targets:
                    found.append(Site(base + at, targets[target]))
                if data[at] == 0xE8 and base <= target < base + end:
                    self.entries.add(target)
            for hit in _INDIRECT.finditer(data) if self.long else ():
                at = hit.start()
                if at + 6 <= end:
                    name = self.slots.get(base + at + 6 + near.unpack_from(data, at + 2)[0])
                    if name and (base + at) not in targets and data[at + 1] == 0x15:
                        found.append(Site(base + at, name))
        yield from found

    def _stubs(self) -> dict[int, str]:
        """PLT entries: ``jmp [rip+n]``, ``jmp [n]`` or ``jmp [ebx+n]``, after ``endbr`` and ``bnd`` where they are."""
        found = {}
        for segment, data in self.code:
            for hit in re.finditer(rb"\xff[\x25\xa3]", data):
                at = hit.start()
                if at + 6 > len(data):
                    break
                number = struct.unpack_from("<i", data, at + 2)[0]
                if data[at + 1] == 0xA3:
                    slot = self.image.got + number
                else:
                    slot = segment.address + at + 6 + number if self.long else number & 0xFFFFFFFF
                name = self.slots.get(slot)
                if name:
                    first = at - 1 if data[at - 1 : at] == b"\xf2" else at
                    found[segment.address + first] = name
                    if data[first - 4 : first - 1] == b"\xf3\x0f\x1e":
                        found[segment.address + first - 4] = name
        return found

    def sweep(self, low: int, high: int, site: int) -> Window:
        code = self.segment_of(site)
        if code is None:
            return []
        segment, data = code
        first = max(low - segment.address, 0)
        for slip in range(12):  # where no function is known to begin, an instruction may have been cut in two
            found = self._decoded(data[first + slip : max(high - segment.address, 0)], segment.address + first + slip)
            if any(address == site for address, _ in found):
                return found
        return []

    def _decoded(self, data: bytes, base: int) -> Window:
        if self._engine is None:
            import capstone  # noqa: PLC0415  # 60 ms: only for programs of x86

            self._engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64 if self.long else capstone.CS_MODE_32)
        return [(at, self._op(at, name, operands, size)) for at, size, name, operands in self._engine.disasm_lite(data, base)]

    def _thunk(self, operands: str) -> int | None:
        """The register that a thunk (``mov reg, [esp]; ret``) puts the address of the next instruction into."""
        if self.long or not _NUMBER.fullmatch(operands):
            return None
        at = self.image.offset(int(operands, 0))
        code = self.image.content[at : at + 4] if at is not None else b""
        return code[1] >> 3 & 7 if code[:1] == b"\x8b" and code[2:] == b"\x24\xc3" else None

    def _op(self, at: int, name: str, operands: str, size: int) -> Op:
        if name == "call":
            register = self._thunk(operands)
            return CALLS if register is None else (PC, register, size, 0)
        if name[0] == "j" and _NUMBER.fullmatch(operands):
            offset = int(operands, 0) - at
            return jump(offset) if name == "jmp" else branch(offset)
        if name in ("jmp", "ret", "hlt", "ud2", "bnd jmp", "notrack jmp"):
            return JUMPS
        first, _, second = operands.partition(", ")
        if name == "push":
            return self._stored(PUSH, 0, first)
        if name.startswith(_NO_RESULT):
            return NOTHING
        register = _REGISTERS.get(first, -1)
        if register < 0:
            place = _ADDRESS.fullmatch(first)
            if name == "mov" and place and place[1] == "esp":
                return self._stored(STORE, int(place[3] or "0", 0), second)
            return NOTHING
        if name == "pop":
            return NOTHING if register in self.saved else spoil(register)
        if name in ("mov", "movabs"):
            return self._moved(register, second)
        if name == "lea" and (place := _ADDRESS.fullmatch(second)):
            number = _signed_number(place)
            if place[1] in ("rip", "eip"):
                return PC, register, number + size, 0
            return ADDI, register, _REGISTERS.get(place[1], 16), number
        if name in ("xor", "sub") and first == second:
            return CONST, register, 0, 0
        if name in ("add", "sub") and _NUMBER.fullmatch(second):
            number = int(second, 0)
            return ADDI, register, register, number if name == "add" else -number
        if name == "add" and second in _REGISTERS:
            return ADD, register, register, _REGISTERS[second]
        return spoil(register)

    @staticmethod
    def _stored(kind: int, offset: int, what: str) -> Op:
        if _NUMBER.fullmatch(what):
            return kind, offset, -1, int(what, 0)
        return kind, offset, _REGISTERS.get(what, 16), 0

    @staticmethod
    def _moved(register: int, what: str) -> Op:
        if _NUMBER.fullmatch(what):
            return CONST, register, int(what, 0), 0
        if what in _REGISTERS:
            return MOVE, register, _REGISTERS[what], 0
        place = _ADDRESS.fullmatch(what)
        if place and place[1] not in ("rip", "eip") and place[1] in _REGISTERS and not what.startswith(("byte", "word")):
            return LOAD, register, _REGISTERS[place[1]], _signed_number(place)
        return spoil(register)


def _signed_number(place: re.Match[str]) -> int:
    number = int(place[3] or "0", 0)
    return -number if place[2] == "-" else number
