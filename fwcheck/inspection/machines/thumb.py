"""Thumb and Thumb-2. Encodings: Arm Architecture Reference Manual ARMv7-A/R (DDI 0406), chapters A5.2, A5.3 and A6."""

from __future__ import annotations

from fwcheck.inspection.machines.machine import (
    ADD,
    ADDI,
    CALLS,
    CONST,
    INSERT,
    JUMP,
    JUMPS,
    LOAD,
    LOADPC,
    LOADX,
    MOVE,
    NOTHING,
    ORI,
    PC,
    PCADD,
    SPOIL,
    Op,
    Window,
    branch,
    jump,
    signed,
    spoil,
    spoil_mask,
)

_SP, _PC = 13, 15


def read_thumb(data: bytes, low: int, high: int, base: int) -> Window:
    """The instructions from offset ``low`` to ``high`` of code at ``base``."""
    found: Window = []
    at, conditional = low & ~1, 0
    high = min(high, len(data) - 3)
    while at < high:
        first = data[at] | data[at + 1] << 8
        wide = first >> 11 >= 0x1D
        op = _wide(first, data[at + 2] | data[at + 3] << 8) if wide else _narrow(first)
        if conditional:  # inside an IT block
            conditional -= 1
            if op[0] == JUMP:
                op = branch(op[2]) if op[3] else NOTHING
            elif op[0] not in (0, SPOIL) and op is not CALLS:
                op = spoil(op[1])
        if first >> 8 == 0xBF and first & 15:
            conditional = 4 - ((first & -first).bit_length() - 1)
        found.append((base + at, op))
        at += 4 if wide else 2
    return found


def _narrow(word: int) -> Op:
    top, low, next_low = word >> 11, word & 7, word >> 3 & 7
    if top == 0:
        return spoil(low) if word & 0x7C0 else (MOVE, low, next_low, 0)
    if top <= 2:
        return spoil(low)
    if top == 3:
        if not word >> 10 & 1:
            return spoil(low) if word >> 9 & 1 else (ADD, low, next_low, word >> 6 & 7)
        number = word >> 6 & 7
        return ADDI, low, next_low, -number if word >> 9 & 1 else number
    if top <= 7:
        register, number = word >> 8 & 7, word & 0xFF
        if top == 4:
            return CONST, register, number, 0
        return NOTHING if top == 5 else (ADDI, register, register, number if top == 6 else -number)
    if top == 8:
        return _register(word)
    if top == 9:
        return LOADPC, word >> 8 & 7, 4 + 4 * (word & 0xFF), 3
    if top <= 11:
        kind = word >> 9 & 7
        return NOTHING if kind < 3 else (LOADX, low, next_low, word >> 6 & 7) if kind == 4 else spoil(low)
    if top <= 17:
        if not top & 1:
            return NOTHING
        return (LOAD, low, next_low, 4 * (word >> 6 & 31)) if top == 13 else spoil(low)
    if top <= 21:
        if top == 20:
            return PC, word >> 8 & 7, 4 + 4 * (word & 0xFF), 3
        return NOTHING if top == 18 else spoil(word >> 8 & 7)
    return _rest(word)


def _register(word: int) -> Op:
    """Data processing on two registers, and the instructions that reach the high registers."""
    if not word >> 10 & 1:
        return NOTHING if word >> 6 & 15 in (8, 10, 11) else spoil(word & 7)
    kind, register, other = word >> 8 & 3, word >> 4 & 8 | word & 7, word >> 3 & 15
    if kind == 3:
        return CALLS if word >> 7 & 1 else JUMPS
    if kind == 1:
        return NOTHING
    if register == _PC:
        return JUMPS
    if kind == 2:
        return (MOVE, register, other, 0) if other != _PC else spoil(register)
    return (PCADD, register, register, 4) if other == _PC else (ADD, register, register, other)


def _rest(word: int) -> Op:
    top = word >> 11
    if top in (22, 23):  # miscellaneous
        if word >> 9 == 0x5E:
            return JUMPS if word >> 8 & 1 else spoil_mask(word & 0x0F)  # pop: saved registers come back at the end
        if word >> 12 == 0xB and word & 0x500 == 0x100:  # cbz, cbnz
            return branch(4 + ((word >> 9 & 1) << 6 | (word >> 3 & 31) << 1))
        return spoil(word & 7) if word >> 8 in (0xB2, 0xBA) else NOTHING
    if top == 24:
        return spoil(word >> 8 & 7)
    if top == 25:
        return spoil_mask(word & 0xFF | 1 << (word >> 8 & 7))
    if top in (26, 27):
        return spoil(0) if word >> 8 == 0xDF else JUMPS if word >> 8 == 0xDE else branch(4 + 2 * signed(word, 8))
    return jump(4 + 2 * signed(word, 11)) if top == 28 else NOTHING


def _wide(first: int, second: int) -> Op:
    if first >> 11 == 0x1E:
        return _branch(first, second) if second >> 15 else _immediate(first, second)
    kind = first >> 9 & 15
    register = second >> 8 & 15
    if first >> 11 == 0x1D and kind == 4:
        return _several(first, second)
    if first >> 11 == 0x1D and kind == 5:
        return _shifted(first, second)
    if first >> 11 == 0x1F and kind == 12:
        return _single(first, second)
    if first >> 11 == 0x1F and kind == 13:
        return spoil(register, second >> 12)
    return spoil(second >> 12, first & 15)  # coprocessors: some move to registers


def _branch(first: int, second: int) -> Op:
    if second >> 14 & 1:
        return CALLS
    sign = first >> 10 & 1
    if second >> 12 & 1:
        upper = (second >> 13 & 1 ^ sign ^ 1) << 23 | (second >> 11 & 1 ^ sign ^ 1) << 22
        return jump(4 + (upper | (first & 0x3FF) << 12 | (second & 0x7FF) << 1) - (sign << 24))
    if first & 0x380 == 0x380:
        return spoil(second >> 8 & 15) if first & 0xFFE0 == 0xF3E0 else NOTHING
    upper = sign << 20 | (second >> 11 & 1) << 19 | (second >> 13 & 1) << 18
    return branch(4 + signed(upper | (first & 0x3F) << 12 | (second & 0x7FF) << 1, 21))


def _immediate(first: int, second: int) -> Op:
    register, source = second >> 8 & 15, first & 15
    number = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    if first >> 9 & 1:
        kind = first & 0xFBF0
        if kind in (0xF240, 0xF2C0):
            number |= source << 12
            return (INSERT, register, number, 16) if kind == 0xF2C0 else (CONST, register, number, 0)
        if kind in (0xF200, 0xF2A0):
            number = number if kind == 0xF200 else -number
            return (PC, register, number + 4, 3) if source == _PC else (ADDI, register, source, number)
        return spoil(register)
    value, op = _expanded(number), first >> 5 & 15
    if register == _PC:
        return NOTHING  # comparisons
    if op in (2, 3) and source == _PC:
        return CONST, register, value if op == 2 else ~value & 0xFFFFFFFF, 0
    if op == 2:
        return ORI, register, source, value
    if op in (8, 13):
        return ADDI, register, source, value if op == 8 else -value
    return spoil(register)


def _expanded(number: int) -> int:
    """ThumbExpandImm."""
    low = number & 0xFF
    if number >> 10 == 0:
        return (low, low << 16 | low, low << 24 | low << 8, low * 0x01010101)[number >> 8 & 3]
    by = number >> 7
    value = 0x80 | number & 0x7F
    return (value >> by | value << 32 - by) & 0xFFFFFFFF


def _several(first: int, second: int) -> Op:
    """Several registers, pairs, table branches, exclusive accesses."""
    base, load = first & 15, first >> 4 & 1
    if not first >> 6 & 1:
        mask = (1 << base if first >> 5 & 1 else 0) | (second if load else 0)
        return JUMPS if load and second >> 15 else spoil_mask(mask & ~0xFF0 if base == _SP else mask)
    if first & 0xFFF0 == 0xE8D0 and second & 0xFFE0 == 0xF000:
        return JUMPS
    mask = (1 << base if first >> 5 & 1 else 0) | (1 << (second >> 12) | 1 << (second >> 8 & 15) if load else 0)
    return spoil_mask(mask) if load or mask else spoil(second & 15)  # strex writes its status


def _shifted(first: int, second: int) -> Op:
    register, source, other, op = second >> 8 & 15, first & 15, second & 15, first >> 5 & 15
    if register == _PC:
        return NOTHING
    if second & 0x70F0:
        return spoil(register)
    if op == 2 and source == _PC:
        return MOVE, register, other, 0
    return (ADD, register, source, other) if op == 8 else spoil(register)


def _single(first: int, second: int) -> Op:
    base, register = first & 15, second >> 12
    positive = first >> 7 & 1
    back = not positive and second >> 11 & 1 and second >> 8 & 1
    if not first >> 4 & 1:
        return spoil_mask(1 << base) if back and base != _PC else NOTHING
    if first >> 5 & 3 != 2:
        return spoil(register, base) if back else spoil(register)
    if register == _PC:
        return JUMPS
    if base == _PC:
        return LOADPC, register, 4 + (second & 0xFFF if positive else -(second & 0xFFF)), 3
    if positive:
        return LOAD, register, base, second & 0xFFF
    if second & 0xFC0 == 0:
        return spoil(register) if second & 0x30 else (LOADX, register, base, second & 15)
    return spoil(register, base) if back else spoil(register)
