"""MIPS, both byte orders, o32, n32 and n64.

Encodings: "MIPS32/64 Architecture For Programmers" volume II; calls: the MIPS processor supplement of the System V ABI (PIC:
functions are called through ``$t9``, loaded from the GOT below ``$gp``). MIPS16 and microMIPS code is not read.
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

from fwcheck.inspection.elf_image import GP_BIAS, ElfImage
from fwcheck.inspection.machines.machine import (
    ADD,
    ADDI,
    CALL,
    CALLS,
    CONST,
    JUMP,
    JUMPS,
    LOAD,
    MOVE,
    NOTHING,
    ORI,
    WINDOW,
    FixedWidth,
    Op,
    Site,
    Window,
    branch,
    jump,
    signed,
    spoil,
)

_JAL = re.compile(rb"[\x0c-\x0f]", re.DOTALL)
_BAL = re.compile(rb"[\x04-\x07]", re.DOTALL)
_MOVE_T9 = {  # addu or or, $t9, $n, $zero
    ">": re.compile(rb"(?=[\x00-\x03][\x00\x20\x40\x60\x80\xa0\xc0\xe0]\xc8[\x21\x25\x2d])", re.DOTALL),
    "<": re.compile(rb"(?=[\x21\x25\x2d]\xc8[\x00\x20\x40\x60\x80\xa0\xc0\xe0][\x00-\x03])", re.DOTALL),
}
_GP, _T9 = 28, 25
_JALR_T9, _JR_T9, _JR_RA = 0x0320F809, 0x03200008, 0x03E00008
_BEFORE_GP = 4  # instructions of a function that may stand before $gp is set
_REACH = 16  # instructions between loading $t9 and jumping there
_ABI2 = 0x20  # EF_MIPS_ABI2: n32


class Mips(FixedWidth):
    """Code of MIPS."""

    saved = frozenset({16, 17, 18, 19, 20, 21, 22, 23, _GP, 30})
    result = 2
    called_by = _T9
    stack = (29, 30)
    delayed = True

    def __init__(self, image: ElfImage, wanted: frozenset[str]) -> None:
        super().__init__(image, wanted)
        new = image.wide or bool(image.flags & _ABI2)
        self.arguments = (4, 5, 6, 7, 8, 9, 10, 11) if new else (4, 5, 6, 7)
        self.pointer_bits = 64 if image.wide else 32
        self.gp = image.got + GP_BIAS if image.got else None
        mode = "CS_MODE_MIPS64" if image.wide else "CS_MODE_MIPS32"
        self.capstone = ("CS_ARCH_MIPS", mode + ("+CS_MODE_BIG_ENDIAN" if image.order == ">" else ""))

    def sites(self) -> Iterator[Site]:
        loads = self._loads()
        targets = {**self.local, **self._stubs()}
        for number, ((segment, data), words) in enumerate(zip(self.code, self.words, strict=True)):
            base = segment.address
            for index in self.tops(data, _BAL):
                if words[index] >> 16 & 0xFC1F == 0x0411:
                    target = base + 4 * (index + 1 + signed(words[index], 16))
                    self.entries.add(target)
                    if target in targets:
                        yield Site(base + 4 * index, targets[target])
            for index in self.tops(data, _JAL):
                target = base + 4 * index & ~0xFFFFFFF | (words[index] & 0x3FFFFFF) << 2
                self.entries.add(target)
                if target in targets:
                    yield Site(base + 4 * index, targets[target])
            yield from self._through_got(number, loads)
            if self.own_calls:
                yield from self._through_pages(number, targets)

    def _through_pages(self, number: int, targets: dict[int, str]) -> Iterator[Site]:
        """Functions of this file: ``lw $t9, page($gp); addiu $t9, $t9, low; jalr $t9``, or without the middle."""
        segment, data = self.code[number]
        words = self.words[number]
        if self.gp is None:
            return
        for index in self.tops(data, re.compile(rb"\xdf" if self.image.wide else rb"\x8f")):
            if words[index] >> 16 not in (0x8F99, 0xDF99):
                continue
            slot = self.gp + signed(words[index], 16)
            value = self.image.pointer(slot) if slot not in self.slots and self.image.fixed(slot) else None
            if value is None or (not self._one_gp and self.gp_at(segment.address + 4 * index) != self.gp):
                continue
            at = index + 1
            while at < min(index + _REACH, len(words)) and self.decode(words[at])[1] != _T9 and self.decode(words[at])[0] < CALL:
                at += 1
            if at < len(words) and words[at] >> 16 in (0x2739, 0x6739):
                value, at = value + signed(words[at], 16), at + 1
            else:
                at = index + 1
            call = self._jump(words, at)
            if call is not None and value in targets:
                yield Site(segment.address + 4 * call, targets[value])

    def _through_got(self, number: int, loads: dict[int, str]) -> Iterator[Site]:
        """``lw $t9, n($gp)``, then ``jalr $t9`` before anything else is put there."""
        segment, data = self.code[number]
        words = self.words[number]
        if not loads:
            return
        pattern = re.compile(b"(?=" + b"|".join(re.escape(struct.pack(self.image.order + "I", word)) for word in loads) + b")")
        for found in pattern.finditer(data):
            if found.start() & 3:
                continue
            index = found.start() >> 2
            address = segment.address + 4 * index
            if not self._one_gp and self.gp_at(address) != self.gp:
                continue  # a program with several GOTs: another one counts here
            call = self._jump(words, index + 1)
            if call is not None:
                yield Site(segment.address + 4 * call, loads[words[index]])
        yield from self._through_register(number, loads)

    def _jump(self, words: array[int], first: int) -> int | None:
        """The next jump through $t9, while it still holds what it holds now."""
        for at in range(first, min(first + _REACH, len(words))):
            if words[at] in (_JALR_T9, _JR_T9) or words[at] >> 16 == 0x0411:  # bal: a jalr that the linker made shorter
                return at
            op = self.decode(words[at])
            if op[1] == _T9 or op is CALLS or op[0] == JUMP:
                return None
        return None

    def _through_register(self, number: int, loads: dict[int, str]) -> Iterator[Site]:
        """``move $t9, $n`` of a register that was loaded from the GOT: without optimisation, and for functions called often."""
        segment, data = self.code[number]
        words = self.words[number]
        anywhere = {word & 0xFC00FFFF | _GP << 21: name for word, name in loads.items()}
        for found in _MOVE_T9[self.image.order].finditer(data):
            if found.start() & 3:
                continue
            index = found.start() >> 2
            call = self._jump(words, index + 1)
            if call is None:
                continue
            register = words[index] >> 21 & 31
            for at in range(index - 1, max(index - WINDOW, -1), -1):
                op = self.decode(words[at])
                if op[1] == register:
                    name = anywhere.get(words[at] & 0xFFE0FFFF)
                    if name and (self._one_gp or self.gp_at(segment.address + 4 * index) == self.gp):
                        yield Site(segment.address + 4 * call, name)
                    break
                if op[0] == JUMP or (op is CALLS and register not in self.saved):
                    break

    def _loads(self) -> dict[int, str]:
        """The instruction that loads $t9 with a wanted function, by the function's place in the GOT."""
        if self.gp is None:
            return {}
        load = 0xDF990000 if self.image.wide else 0x8F990000
        return {load | slot - self.gp & 0xFFFF: name for slot, name in self.slots.items() if -0x8000 <= slot - self.gp < 0x8000}

    def _stubs(self) -> dict[int, str]:
        """PLT entries of programs that are not PIC: ``lui $15, hi; lw $25, lo($15); addiu $24, $15, lo; jr $25``."""
        found: dict[int, str] = {}
        for (segment, data), words in zip(self.code, self.words, strict=True):
            mark = struct.pack(self.image.order + "H", 0x3C0F)
            at = data.find(mark)
            while at >= 0 and len(found) < 1 << 14:
                index = at >> 2
                if index + 1 < len(words) and words[index] >> 16 == 0x3C0F and words[index + 1] >> 16 in (0x8DF9, 0xDDF9):
                    slot = (words[index] & 0xFFFF) << 16
                    name = self.slots.get(slot + signed(words[index + 1], 16))
                    if name:
                        found[segment.address + 4 * index] = name
                at = data.find(mark, at + 2)
        return found

    @cached_property
    def prologues(self) -> list[tuple[int, int]]:
        """Where functions set $gp (``lui; addiu; addu $gp, $gp, $t9`` in either order), and to what."""
        found = []
        marks = [struct.pack(self.image.order + "I", word) for word in (0x0399E021, 0x0399E02D, 0x033CE021)]
        pattern = re.compile(b"|".join(re.escape(mark) for mark in marks))
        for (segment, data), words in zip(self.code, self.words, strict=True):
            for hit in pattern.finditer(data):
                index = hit.start() >> 2
                near = range(max(index - 4, 0), min(index + 4, len(words)))
                high = next((at for at in near if words[at] >> 16 == 0x3C1C), None)
                low = next((at for at in near if words[at] >> 16 in (0x279C, 0x679C)), None)
                if high is not None and low is not None and not hit.start() & 3:
                    start = segment.address + 4 * high
                    delta = signed((words[high] & 0xFFFF) << 16, 32) + signed(words[low], 16)
                    found.append((start, delta))
        return sorted(found)

    @cached_property
    def _one_gp(self) -> bool:
        return not any(self._value_of(each) for each in self.prologues)

    def _value_of(self, prologue: tuple[int, int]) -> int:
        """How far off the known global pointer a function's is: a few instructions may stand before the lui."""
        start, delta = prologue
        off = start + delta - (self.gp or 0)
        return off if off not in range(0, 64, 4) else 0

    def gp_at(self, address: int) -> int | None:
        """The global pointer in the function around ``address``."""
        index = bisect_right(self.prologues, (address, 1 << 62)) - 1
        return self.gp if index < 0 or self._value_of(self.prologues[index]) == 0 else None

    def known(self, register: int, address: int) -> int | None:
        if register == _GP:
            return self.gp if self._one_gp else self.gp_at(address)
        return 0 if register == 0 else None

    @cached_property
    def starts(self) -> list[int]:
        known = sorted({*self.entries, *self.image.functions})
        found = set(known)
        for start, _ in self.prologues:
            index = bisect_right(known, start) - 1
            if index < 0 or start - known[index] > 4 * _BEFORE_GP or self._returns_in(known[index], start):
                found.add(start)
        return sorted(found)

    def _returns_in(self, low: int, high: int) -> bool:
        """Whether a function ends between two near addresses."""
        return any(self.image.word(address) == _JR_RA for address in range(low, high, 4))

    def sweep(self, low: int, high: int, site: int) -> Window:
        """Delay slots stand before their calls and jumps: that is when they run."""
        found = super().sweep(low, high, site)
        leaving = [index for index, (_, op) in enumerate(found[:-1]) if op[0] >= CALL]
        for index in reversed(leaving):
            found[index], found[index + 1] = found[index + 1], found[index]
        return found

    def decode(self, word: int) -> Op:
        op, source, target = word >> 26, word >> 21 & 31, word >> 16 & 31
        if op == 0:
            return _special(word)
        if op in (9, 8, 24, 25):
            number = signed(word, 16)
            return (CONST, target, number, 0) if source == 0 else (ADDI, target, source, number)
        if op == 13:
            return (CONST, target, word & 0xFFFF, 0) if source == 0 else (ORI, target, source, word & 0xFFFF)
        if op == 15:
            return CONST, target, signed((word & 0xFFFF) << 16, 32), 0
        if op in (35, 55):
            return LOAD, target, source, signed(word, 16)
        if word >> 16 == 0x1000:  # b
            return jump(4 + 4 * signed(word, 16))
        if op == 2:
            return JUMPS  # to a function mostly
        if op == 3 or (op == 1 and target in (16, 17)):
            return CALLS
        if 32 <= op <= 39 or op in (10, 11, 12, 14, 26, 27, 48, 52, 56):
            return spoil(target)
        if op in (16, 17, 18):
            return branch(4 + 4 * signed(word, 16)) if source == 8 else spoil(target) if source < 4 else NOTHING
        if op in (28, 31):
            return spoil(target, word >> 11 & 31)
        if op in (1, 4, 5, 6, 7, 20, 21, 22, 23):
            return branch(4 + 4 * signed(word, 16))
        return NOTHING


def _special(word: int) -> Op:
    source, target, register, function = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31, word & 63
    if function == 9:
        return CALLS
    if function == 8:
        return JUMPS
    if function in (0x21, 0x2D, 0x25):
        if target == 0 or source == 0:
            origin = source or target
            return (MOVE, register, origin, 0) if origin else (CONST, register, 0, 0)
        return (ADD, register, source, target) if function != 0x25 else spoil(register)
    if 0x18 <= function <= 0x1F or function in (0x11, 0x13) or register == 0:
        return NOTHING
    return spoil(register)
