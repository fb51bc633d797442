"""PowerPC in 32 bits, big endian. Encodings: "Power ISA" book I; calls: the PowerPC supplement of the System V ABI.

Only programs whose PLT can be told: those at fixed addresses, and those with the PLT in data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.inspection.machines.machine import (
    ADD,
    ADDI,
    CALLS,
    CONST,
    JUMPS,
    LOAD,
    MOVE,
    NOTHING,
    ORI,
    FixedWidth,
    Op,
    Site,
    branch,
    jump,
    signed,
    spoil,
)

_CALLS = re.compile(rb"[\x48-\x4b]", re.DOTALL)
_MTCTR_R11, _BCTR = 0x7D6903A6, 0x4E800420


class PowerPc(FixedWidth):
    """Code of 32-bit PowerPC."""

    arguments = (3, 4, 5, 6, 7, 8, 9, 10)
    result = 3
    stack = (1,)
    saved = frozenset(range(14, 32))
    capstone = ("CS_ARCH_PPC", "CS_MODE_32+CS_MODE_BIG_ENDIAN")

    def sites(self) -> Iterator[Site]:
        targets = {**self.local, **self.slots, **self._stubs()}
        for (segment, data), words in zip(self.code, self.words, strict=True):
            base = segment.address
            for index in self.tops(data, _CALLS):
                word = words[index]
                target = signed(word & 0x3FFFFFC, 26) + (0 if word & 2 else base + 4 * index)
                if word & 1:
                    self.entries.add(target)
                if target in targets:
                    yield Site(base + 4 * index, targets[target])

    def _stubs(self) -> dict[int, str]:
        """PLT call stubs of fixed programs: ``lis r11, hi; lwz r11, lo(r11); mtctr r11; bctr``."""
        found = {}
        for (segment, data), words in zip(self.code, self.words, strict=True):
            for index in self.tops(data, re.compile(rb"\x3d")):
                if index + 3 < len(words) and words[index] >> 16 == 0x3D60 and words[index + 1] >> 16 == 0x816B:
                    name = self.slots.get(((words[index] & 0xFFFF) << 16) + signed(words[index + 1], 16) & 0xFFFFFFFF)
                    if name and words[index + 2] == _MTCTR_R11 and words[index + 3] == _BCTR:
                        found[segment.address + 4 * index] = name
        return found

    def decode(self, word: int) -> Op:
        op, register, source, number = word >> 26, word >> 21 & 31, word >> 16 & 31, signed(word, 16)
        if op in (14, 15):
            number <<= 16 if op == 15 else 0
            return (CONST, register, number, 0) if source == 0 else (ADDI, register, source, number)
        if op in (24, 25):  # ori and oris: the written register stands second
            return ORI, source, register, (word & 0xFFFF) << (16 if op == 25 else 0)
        if op == 18:
            return CALLS if word & 1 else jump(signed(word & 0x3FFFFFC, 26))
        if op == 16:
            return CALLS if word & 1 else branch(signed(word & 0xFFFC, 16))
        if op == 19:
            if word & 1:
                return CALLS
            return JUMPS if word >> 21 & 31 == 20 and word >> 1 & 0x3FF in (16, 528) else NOTHING
        if op == 32:
            return (LOAD, register, source, number) if source else spoil(register)
        if op == 31:
            return _extended(word)
        if op in (10, 11, 17, 36, 37, 38, 39, 44, 45, 47) or 48 <= op <= 63:
            return spoil(source) if op in (37, 39, 45, 49, 51, 53, 55) else NOTHING
        if op in (7, 8, 12, 13):
            return spoil(register)
        return spoil(register, source)


def _extended(word: int) -> Op:
    register, source, other, kind = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31, word >> 1 & 0x3FF
    if kind == 444:  # or; mr where both are the same
        return (MOVE, source, register, 0) if register == other else spoil(source)
    if kind == 266:
        return ADD, register, source, other
    return NOTHING if kind in (0, 32, 467, 144) else spoil(register, source)
