"""ARM: A32 and Thumb. Encodings: Arm Architecture Reference Manual ARMv7-A/R (DDI 0406), chapters A5 to A8; calls: AAPCS32.

Code of both kinds stands in one program: calls are looked for in both ways, and a hit tells which kind stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.inspection.elf_image import ElfImage
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
    FixedWidth,
    Op,
    Site,
    Window,
    branch,
    jump,
    signed,
    spoil,
    spoil_mask,
)
from fwcheck.inspection.machines.thumb import read_thumb

_CALLS = re.compile(
    rb"[\x0a\x0b\x1a\x1b\x2a\x2b\x3a\x3b\x4a\x4b\x5a\x5b\x6a\x6b\x7a\x7b\x8a\x8b\x9a\x9b\xaa\xab\xba\xbb\xca\xcb\xda\xdb\xea\xeb\xfa\xfb]"
)
_LOADS_PC = re.compile(rb"\xe5", re.DOTALL)
_THUMB_CALLS = re.compile(rb"[\xf0-\xf7](?=[\x90-\x9f\xb0-\xbf\xc0-\xff])", re.DOTALL)
_PC = 15
_SAVED = 0xFF0


class Arm(FixedWidth):
    """Code of ARM, little endian (BE8 and BE32 are not read)."""

    arguments = (0, 1, 2, 3)
    stack = (13,)
    saved = frozenset(range(4, 12))
    capstone = ("CS_ARCH_ARM", "CS_MODE_ARM")

    def __init__(self, image: ElfImage, wanted: frozenset[str]) -> None:
        super().__init__(image, wanted)
        self._thumb: set[int] = set()  # calls that stand in Thumb code

    @property
    def thumb_sites(self) -> set[int]:
        """Calls in Thumb code."""
        return self._thumb

    def sites(self) -> Iterator[Site]:
        targets = {**self.local, **self._stubs()}
        found = [*self._arm_sites(targets), *self._thumb_calls(targets)]
        yield from found

    def _arm_sites(self, targets: dict[int, str]) -> Iterator[Site]:
        for (segment, data), words in zip(self.code, self.words, strict=True):
            base = segment.address
            for index in self.tops(data, _CALLS):
                word = words[index]
                target = base + 8 + 4 * (index + ((word & 0xFFFFFF ^ 0x800000) - 0x800000))
                if word >> 24 & 1 or word >> 28 == 15:
                    self.entries.add(target)
                if target in targets:
                    yield Site(base + 4 * index, targets[target])

    def _thumb_calls(self, targets: dict[int, str]) -> Iterator[Site]:
        for segment, data in self.code:
            base = segment.address
            for hit in _THUMB_CALLS.finditer(data[1::2]):
                at = 2 * hit.start()
                first = data[at] | data[at + 1] << 8
                second = data[at + 2] | data[at + 3] << 8
                sign = first >> 10 & 1
                offset = (
                    (second >> 13 & 1 ^ sign ^ 1) << 23
                    | (second >> 11 & 1 ^ sign ^ 1) << 22
                    | (first & 0x3FF) << 12
                    | (second & 0x7FF) << 1
                ) - (sign << 24)
                target = base + at + 4 + offset
                if not second & 0x1000:
                    target &= ~3  # blx to A32
                if target in targets:
                    self._thumb.add(base + at)
                    yield Site(base + at, targets[target])
                if second >> 14 & 1:
                    self.entries.add(target)

    def _stubs(self) -> dict[int, str]:
        """PLT entries: ``add ip, pc, #a; add ip, ip, #b; ldr pc, [ip, #c]!``, three or four instructions, A32."""
        found = {}
        for (segment, data), words in zip(self.code, self.words, strict=True):
            for index in self.tops(data, _LOADS_PC):
                word = words[index]
                if word & 0xFFFFF000 not in (0xE5BCF000, 0xE59CF000) or index < 2:
                    continue
                first, total = index - 1, word & 0xFFF
                while first >= max(index - 3, 0) and words[first] & 0xFFFFF000 == 0xE28CC000:
                    total += _rotated(words[first])
                    first -= 1
                if first < 0 or words[first] & 0xFFFFF000 != 0xE28FC000:
                    continue
                address = segment.address + 4 * first
                name = self.slots.get(address + 8 + _rotated(words[first]) + total & 0xFFFFFFFF)
                if name:
                    found[address] = name
                    if first and words[first - 1] in (0x46C04778, 0xE7FD4778):  # bx pc; nop or b .-2: the way in from Thumb
                        found[address - 4] = name
        return found

    def sweep(self, low: int, high: int, site: int) -> Window:
        if site not in self._thumb:
            return super().sweep(low, high, site)
        code = self.segment_of(site)
        if code is None:
            return []
        segment, data = code
        return read_thumb(data, max(low - segment.address, 0), high - segment.address, segment.address)

    def decode(self, word: int) -> Op:
        condition = word >> 28
        if condition == 15:
            return CALLS if word >> 25 & 7 == 5 else NOTHING
        op = _decode(word)
        if condition == 14 or op is NOTHING or op is CALLS:
            return op
        if op[0] == JUMP:
            return branch(op[2]) if op[3] else NOTHING
        if op[0] == 1:
            return op
        return spoil(op[1])


def _rotated(word: int) -> int:
    """A modified immediate constant: eight bits, rotated right by twice a four-bit number."""
    number, by = word & 0xFF, 2 * (word >> 8 & 15)
    return (number >> by | number << 32 - by) & 0xFFFFFFFF


def _decode(word: int) -> Op:
    kind = word >> 25 & 7
    if kind <= 1:
        return _processing(word)
    if kind <= 3:
        return _single(word)
    if kind == 4:
        base = word >> 16 & 15
        mask = (1 << base if word >> 21 & 1 else 0) | (word & 0xFFFF if word >> 20 & 1 else 0)
        if word >> 20 & 1 and word & 0x8000:
            return JUMPS
        return spoil_mask(mask & ~_SAVED if base == 13 else mask)  # from the stack they come back when the function ends
    if kind == 5:
        return CALLS if word >> 24 & 1 else jump(8 + 4 * signed(word, 24))
    if word & 0x0F000000 == 0x0F000000:
        return spoil(0)  # svc
    return spoil(word >> 12 & 15, word >> 16 & 15) if word >> 20 & 1 or kind == 6 else NOTHING


def _processing(word: int) -> Op:
    register, source = word >> 12 & 15, word >> 16 & 15
    if not word >> 25 & 1:
        if word & 0x0FFFFFD0 == 0x012FFF10:
            return CALLS if word >> 5 & 1 else JUMPS
        if word & 0x90 == 0x90:
            return _other(word)
    elif word & 0x0FB00000 == 0x03000000:
        number = (word >> 4 & 0xF000) | word & 0xFFF
        return (INSERT, register, number, 16) if word >> 22 & 1 else (CONST, register, number, 0)
    op = word >> 21 & 15
    if 8 <= op <= 11:
        return NOTHING if word >> 20 & 1 else spoil(register)
    if register == _PC:
        return JUMPS
    if word >> 25 & 1:
        number = _rotated(word)
        if op == 13:
            return CONST, register, number, 0
        if op == 15:
            return CONST, register, ~number & 0xFFFFFFFF, 0
        if op == 12 and source != _PC:
            return ORI, register, source, number
        if op in (2, 4):
            number = number if op == 4 else -number
            return (PC, register, number + 8, 0) if source == _PC else (ADDI, register, source, number)
        return spoil(register)
    other = word & 15
    if word & 0xFF0 or (other == _PC and source == _PC):
        return spoil(register)
    if op == 13:
        return (MOVE, register, other, 0) if other != _PC else (PC, register, 8, 0)
    if op == 4:
        if _PC in (source, other):
            return PCADD, register, other if source == _PC else source, 8
        return ADD, register, source, other
    return spoil(register)


def _other(word: int) -> Op:
    """Multiplications, halfwords, pairs of words, exclusive accesses."""
    register, second = word >> 12 & 15, word >> 16 & 15
    if word & 0x60 == 0:
        return spoil(register, second)
    back = not word >> 24 & 1 or word >> 21 & 1
    mask = 1 << second if back else 0
    if word >> 20 & 1:
        mask |= 1 << register
    elif word & 0x60 == 0x40:  # ldrd
        mask |= 3 << register
    return spoil_mask(mask)


def _single(word: int) -> Op:
    """Words and bytes; what is not one of them with this number is a media instruction."""
    register, base = word >> 12 & 15, word >> 16 & 15
    if word >> 25 & 1 and word >> 4 & 1:
        return spoil(register, base)
    back = not word >> 24 & 1 or word >> 21 & 1
    if not word >> 20 & 1:
        return spoil_mask(1 << base) if back else NOTHING
    if register == _PC:
        return JUMPS
    if back or word >> 22 & 1:
        return spoil(register, base) if back else spoil(register)
    if word >> 25 & 1:
        if word & 0xFF0 or not word >> 23 & 1:
            return spoil(register)
        return spoil(register) if base == _PC else (LOADX, register, base, word & 15)
    offset = word & 0xFFF if word >> 23 & 1 else -(word & 0xFFF)
    return (LOADPC, register, offset + 8, 0) if base == _PC else (LOAD, register, base, offset)
