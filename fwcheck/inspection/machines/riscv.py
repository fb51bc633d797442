"""RISC-V with compressed instructions. Encodings: "The RISC-V Instruction Set Manual", volume I; calls: the RISC-V psABI."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

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
    Machine,
    Op,
    Site,
    Window,
    branch,
    jump,
    signed,
    spoil,
)

_JAL = re.compile(rb"(?=[\x6f\xef][\x00\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0])", re.DOTALL)
_JALR = re.compile(
    rb"(?=\xe7\x80[\x00-\xff]|\x67\x00[\x03\x13\x23\x33\x43\x53\x63\x73\x83\x93\xa3\xb3\xc3\xd3\xe3\xf3])", re.DOTALL
)


_SHORT_JUMP = re.compile(rb"[\xa0-\xbf]", re.DOTALL)


class RiscV(Machine):
    """Code of RV32 and RV64."""

    arguments = (10, 11, 12, 13, 14, 15, 16, 17)
    result = 10
    stack = (2,)
    saved = frozenset({8, 9, *range(18, 28)})

    def __init__(self, image: ElfImage, wanted: frozenset[str]) -> None:
        super().__init__(image, wanted)
        self.pointer_bits = 64 if image.wide else 32
        self.capstone = ("CS_ARCH_RISCV", ("CS_MODE_RISCV64" if image.wide else "CS_MODE_RISCV32") + "+CS_MODE_RISCVC")

    def sites(self) -> Iterator[Site]:
        targets = {**self.local, **self._stubs()}
        found: list[Site] = []
        for segment, data in self.code:
            base = segment.address
            for hit in _JAL.finditer(data):
                at = hit.start()
                if at & 1 or at + 4 > len(data):
                    continue
                word = int.from_bytes(data[at : at + 4], "little")
                target = base + at + _jump(word)
                if word >> 7 & 31 == 1:
                    self.entries.add(target)
                if target in targets:
                    found.append(Site(base + at, targets[target]))
            for hit in _SHORT_JUMP.finditer(data[1::2]):
                at = 2 * hit.start()
                target = base + at + _short_jump(data[at] | data[at + 1] << 8)
                if target in targets and data[at] & 3 == 1:
                    found.append(Site(base + at, targets[target]))
            for hit in _JALR.finditer(data):
                at = hit.start()
                if at & 1 or not 4 <= at <= len(data) - 4:
                    continue
                upper, word = struct.unpack_from("<II", data, at - 4)
                if upper & 0x7F == 0x17 and upper >> 7 & 31 == word >> 15 & 31:
                    target = base + at - 4 + signed(upper & 0xFFFFF000, 32) + signed(word >> 20, 12)
                    self.entries.add(target)
                    if target in targets:
                        found.append(Site(base + at, targets[target]))
        yield from found

    def _stubs(self) -> dict[int, str]:
        """PLT entries: ``auipc t3, hi; l[wd] t3, lo(t3); jalr t1, t3; nop``."""
        found: dict[int, str] = {}
        for segment, data in self.code:
            mark = struct.pack("<I", 0x000E0367)
            at = data.find(mark)
            while at >= 0 and len(found) < 1 << 14:
                if at >= 8 and not at & 1:
                    upper, load = struct.unpack_from("<II", data, at - 8)
                    if upper & 0xFFF == 0xE17 and load & 0xFFFFF in (0xE3E03, 0xE2E03):
                        address = segment.address + at - 8
                        name = self.slots.get(address + signed(upper & 0xFFFFF000, 32) + signed(load >> 20, 12))
                        if name:
                            found[address] = name
                at = data.find(mark, at + 2)
        return found

    def known(self, register: int, address: int) -> int | None:
        return 0 if register == 0 else None

    def sweep(self, low: int, high: int, site: int) -> Window:
        code = self.segment_of(site)
        if code is None:
            return []
        segment, data = code
        found: Window = []
        at, end = max(low - segment.address, 0) & ~1, min(high - segment.address, len(data) - 3)
        while at < end:
            first = data[at] | data[at + 1] << 8
            wide = first & 3 == 3
            op = _decode(int.from_bytes(data[at : at + 4], "little")) if wide else _short(first, wide=self.image.wide)
            found.append((segment.address + at, op))
            at += 4 if wide else 2
        return found


def _jump(word: int) -> int:
    offset = (word >> 31) << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11 | (word >> 21 & 0x3FF) << 1
    return signed(offset, 21)


def _short_jump(word: int) -> int:
    bits = (
        (word >> 12 & 1) << 11 | (word >> 11 & 1) << 4 | (word >> 9 & 3) << 8 | (word >> 8 & 1) << 10
        | (word >> 7 & 1) << 6 | (word >> 6 & 1) << 7 | (word >> 3 & 7) << 1 | (word >> 2 & 1) << 5
    )  # fmt: skip
    return signed(bits, 12)


def _short_branch(word: int) -> int:
    bits = (word >> 12 & 1) << 8 | (word >> 10 & 3) << 3 | (word >> 5 & 3) << 6 | (word >> 3 & 3) << 1 | (word >> 2 & 1) << 5
    return signed(bits, 9)


def _decode(word: int) -> Op:
    kind, register, source, function = word & 0x7F, word >> 7 & 31, word >> 15 & 31, word >> 12 & 7
    if kind == 0x37:
        return CONST, register, signed(word & 0xFFFFF000, 32), 0
    if kind == 0x17:
        return PC, register, signed(word & 0xFFFFF000, 32), 0
    if kind in (0x13, 0x1B) and function == 0:
        number = signed(word >> 20, 12)
        return (CONST, register, number, 0) if source == 0 else (ADDI, register, source, number)
    if kind == 0x33 and word >> 25 == 0 and function == 0:
        return ADD, register, source, word >> 20 & 31
    if kind == 0x03 and function in (2, 3):
        return LOAD, register, source, signed(word >> 20, 12)
    if kind in (0x67, 0x6F):
        return CALLS if register else jump(_jump(word)) if kind == 0x6F else JUMPS
    if kind == 0x63:
        offset = (word >> 31) << 12 | (word >> 7 & 1) << 11 | (word >> 25 & 63) << 5 | (word >> 8 & 15) << 1
        return branch(signed(offset, 13))
    if kind in (0x23, 0x27, 0x07, 0x0F):
        return NOTHING
    return spoil(register) if register else NOTHING


def _short(word: int, *, wide: bool) -> Op:
    quarter, function, register = word & 3, word >> 13, word >> 7 & 31
    low, high = 8 + (word >> 2 & 7), 8 + (word >> 7 & 7)
    number = signed((word >> 12 & 1) << 5 | word >> 2 & 31, 6)
    if quarter == 0:
        if function == 3 and wide:
            return LOAD, low, high, (word >> 10 & 7) << 3 | (word >> 5 & 3) << 6
        return spoil(low) if function in (0, 2, 3) else NOTHING
    if quarter == 1:
        if function == 0:
            return (ADDI, register, register, number) if register else NOTHING
        if function == 1:
            return (ADDI, register, register, number) if wide else CALLS
        if function == 2:
            return CONST, register, number, 0
        if function == 3:
            return (CONST, register, number << 12, 0) if register != 2 else NOTHING
        if function == 4:
            return spoil(high)
        return jump(_short_jump(word)) if function == 5 else branch(_short_branch(word))
    if function == 4:
        other = word >> 2 & 31
        if not other:
            return CALLS if word >> 12 & 1 else JUMPS
        return (ADD, register, register, other) if word >> 12 & 1 else (MOVE, register, other, 0)
    if function == 3 and wide:
        return LOAD, register, 2, (word >> 2 & 7) << 6 | (word >> 5 & 3) << 3 | (word >> 12 & 1) << 5
    return spoil(register) if function in (0, 2, 3) else NOTHING
