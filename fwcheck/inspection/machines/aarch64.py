"""AArch64. Encodings: Arm Architecture Reference Manual for A-profile (DDI 0487), chapter C4; calls: AAPCS64 (IHI 0055)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.inspection.machines.machine import (
    ADD,
    ADDI,
    CALLS,
    CONST,
    INSERT,
    JUMPS,
    LOAD,
    LOADPC,
    MOVE,
    NOTHING,
    PC,
    FixedWidth,
    Op,
    Site,
    branch,
    jump,
    signed,
    spoil,
    spoil_mask,
)

_CALLS = re.compile(rb"[\x94-\x97\x14-\x17]", re.DOTALL)  # bl, b
_BR_X17 = 0xD61F0220
_ZERO = 31  # the stack pointer where an address stands
_SAVED = 0x3FF80000


class AArch64(FixedWidth):
    """Code of AArch64, little endian as on every Linux."""

    arguments = (0, 1, 2, 3, 4, 5, 6, 7)
    stack = (31,)
    saved = frozenset(range(19, 30))
    pointer_bits = 64
    capstone = ("CS_ARCH_ARM64", "CS_MODE_ARM")

    def sites(self) -> Iterator[Site]:
        targets = {**self.local, **self._stubs()}
        for (segment, data), words in zip(self.code, self.words, strict=True):
            base = segment.address
            for index in self.tops(data, _CALLS):
                word = words[index]
                target = base + 4 * (index + ((word & 0x3FFFFFF ^ 0x2000000) - 0x2000000))
                if word >> 31:
                    self.entries.add(target)
                if target in targets:
                    yield Site(base + 4 * index, targets[target])

    def _stubs(self) -> dict[int, str]:
        """PLT entries: ``adrp x16; ldr x17, [x16, #n]; add x16, x16, #n; br x17``, after a landing pad where there is one."""
        found = {}
        for (segment, data), words in zip(self.code, self.words, strict=True):
            for index in self.tops(data, re.compile(rb"\xd6")):
                if words[index] != _BR_X17 or index < 4:
                    continue
                first = index - 3 if words[index - 3] & 0x9F00001F == 0x90000010 else index - 4
                page, load = self.decode(words[first]), words[first + 1]
                address = segment.address + 4 * first
                if words[first] & 0x9F00001F != 0x90000010 or load & 0xFFC003FF != 0xF9400211:
                    continue
                name = self.slots.get((address & ~0xFFF) + page[2] + (load >> 10 & 0xFFF) * 8)
                if name:
                    found[address] = name
                    if words[first - 1] & 0xFFFFFF3F == 0xD503241F:  # bti
                        found[address - 4] = name
        return found

    def decode(self, word: int) -> Op:
        register, top = word & 31, word >> 24
        if top & 0x1F == 0x10:  # adr, adrp
            offset = signed((word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3, 21)
            return (PC, register, offset << 12, 0xFFF) if top & 0x80 else (PC, register, offset, 0)
        if top & 0x1F == 0x11 or word & 0x1F800000 == 0x12800000:
            return _immediate(word)
        if word & 0x7F800000 == 0x32000000 and word >> 5 & 31 == _ZERO:
            value = _bitmask(word)
            return (CONST, register, value, 0) if value is not None else spoil(register)
        if word & 0x7FE0FFE0 == 0x2A0003E0:
            return (MOVE, register, word >> 16 & 31, 0) if word >> 16 & 31 != _ZERO else (CONST, register, 0, 0)
        if word & 0xFFE0FC00 == 0x8B000000:
            return ADD, register, word >> 5 & 31, word >> 16 & 31
        if top & 0x1C == 0x14 or word & 0xFE000000 == 0xD6000000:
            return _branch(word)
        if word >> 25 & 5 == 4:
            return _memory(word)
        return spoil(register) if register != _ZERO else NOTHING


def _immediate(word: int) -> Op:
    register, source = word & 31, word >> 5 & 31
    if word >> 24 & 0x1F == 0x11:
        number = (word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0)
        if word >> 29 & 1 and register == _ZERO:
            return NOTHING  # cmp, cmn
        return ADDI, register, source, -number if word >> 30 & 1 else number
    number, shift = word >> 5 & 0xFFFF, 16 * (word >> 21 & 3)
    kind = word >> 29 & 3
    if kind == 3:
        return INSERT, register, number, shift
    bits = 64 if word >> 31 else 32
    return CONST, register, number << shift if kind == 2 else ~(number << shift) & (1 << bits) - 1, 0


def _bitmask(word: int) -> int | None:
    """The number that a logical immediate stands for (DecodeBitMasks)."""
    rotate, ones = word >> 16 & 63, word >> 10 & 63
    length = ((word >> 22 & 1) << 6 | ~ones & 63).bit_length() - 1
    if length < 1:
        return None
    size = 1 << length
    count, rotate = (ones & size - 1) + 1, rotate & size - 1
    if count == size:
        return None
    element = (1 << count) - 1
    element = (element >> rotate | element << size - rotate) & (1 << size) - 1
    bits = 64 if word >> 31 else 32
    value = 0
    for at in range(0, bits, size):
        value |= element << at
    return value & (1 << bits) - 1


def _branch(word: int) -> Op:
    if word >> 26 & 0x1F == 5:
        return CALLS if word >> 31 else jump(4 * signed(word, 26))
    if word >> 25 == 0x6B:  # br, blr, ret
        return CALLS if word >> 21 & 15 in (1, 9) else JUMPS
    if word >> 24 & 0x7E == 0x36:  # tbz, tbnz
        return branch(4 * signed(word >> 5, 14))
    return branch(4 * signed(word >> 5, 19)) if word >> 24 & 0x7E in (0x34, 0x54) else spoil(word & 31)


def _memory(word: int) -> Op:
    """Loads and stores: a load of a pointer can be followed, other loads spoil, write-back spoils the base."""
    register, base = word & 31, word >> 5 & 31
    kind, vector = word >> 27 & 7, word >> 26 & 1
    if kind == 5:  # pairs
        mask = 1 << base if word >> 23 & 1 else 0
        if word >> 22 & 1 and not vector:
            mask |= 1 << register | 1 << (word >> 10 & 31)
        return spoil_mask(mask & ~_SAVED if base == _ZERO else mask)  # from the stack they come back when the function ends
    if kind == 3:  # literals
        offset = signed(word >> 5, 19) * 4
        return NOTHING if vector else (LOADPC, register, offset, 0) if word >> 30 == 1 else spoil(register)
    if kind == 7:
        if vector:
            return NOTHING if word >> 24 & 1 else spoil(base)
        load = word >> 22 & 3 != 0
        if word & 0xFFC00000 == 0xF9400000:
            return LOAD, register, base, (word >> 10 & 0xFFF) * 8
        back = not word >> 24 & 1 and not word >> 21 & 1 and word >> 10 & 1
        if load:
            return spoil(register, base) if back else spoil(register)
        return spoil(base) if back else NOTHING
    return spoil(register) if kind == 1 else NOTHING
