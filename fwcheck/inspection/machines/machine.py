"""What every instruction set has to tell for calls to be traced, and the small language it tells it in.

An instruction becomes an :data:`Op`: what it does to one register, where that can be followed, else which registers it spoils.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

from fwcheck.inspection.elf_image import ElfImage, Segment

Op = tuple[int, int, int, int]
"""Kind, register written, and two operands: registers or a number, as the kind says."""

NONE = 0  # writes no register that could hold an argument; a branch to address + a where b is 1
SPOIL = 1  # the register holds something unknown; ``a`` is a bit mask of further registers
CONST = 2  # register = a
MOVE = 3  # register = register a
ADDI = 4  # register = register a + b
ADD = 5  # register = register a + register b
ORI = 6  # register = register a | b
PC = 7  # register = (address of the instruction & ~b) + a
PCADD = 8  # register = address of the instruction + register a + b
LOAD = 9  # register = word at register a + b
LOADX = 10  # register = word at register a + register b
LOADPC = 11  # register = word at (address of the instruction & ~b) + a
INSERT = 12  # 16 bits of the register are replaced by a, b bits from the right
CALL = 13  # a call: registers that are not saved across calls are spoilt
JUMP = 14  # never goes on to the next instruction; leads to address + a where b is 1
PUSH = 15  # a register or a number goes on the stack: register a, or number b where a is -1
STORE = 16  # register a, or number b where a is -1, goes to the stack at the offset that stands in place of the register

NOTHING: Op = (NONE, -1, 0, 0)
CALLS: Op = (CALL, -1, 0, 0)
JUMPS: Op = (JUMP, -1, 0, 0)
_ADDRESS = itemgetter(0)
WINDOW = 64  # instructions before a call that are looked at
_LONGEST = 64 << 10  # bytes of one function that are read
_STRETCH = 4 << 10  # bytes that are read together where functions are not known


def spoil(register: int, *more: int) -> Op:
    """An instruction whose results cannot be followed."""
    mask = 0
    for each in more:
        mask |= 1 << each
    return SPOIL, register, mask, 0


def spoil_mask(mask: int) -> Op:
    """The same for registers given as a bit mask."""
    return SPOIL, -1, mask, 0


def branch(offset: int) -> Op:
    """A branch that may be taken or not."""
    return NONE, -1, offset, 1


def jump(offset: int) -> Op:
    """A branch that is always taken."""
    return JUMP, -1, offset, 1


def signed(value: int, bits: int) -> int:
    """The lowest ``bits`` of a number, read as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


class Site(NamedTuple):
    """A call: address of the instruction, and the name of what is called."""

    address: int
    name: str


Window = list[tuple[int, Op]]
"""Instructions in their order, with their addresses; the last ones are those nearest to the call."""


class Code(NamedTuple):
    """The instructions of one function, or of what is around a call where nothing says where its function begins."""

    ops: Window
    places: dict[int, int]  # address to place in ``ops``
    labels: dict[int, list[int]]  # where its branches lead to, and where those stand
    known: bool  # it begins where a function begins


class Machine(ABC):
    """One program seen as code of one instruction set. ``wanted`` are the functions whose calls are looked for."""

    arguments: tuple[int, ...] = ()  # registers that carry the first arguments
    stack_arguments = False  # arguments are on the stack
    stack: tuple[int, ...] = ()  # registers that point to the stack
    delayed = False  # the instruction after a branch runs before the branch is taken
    result = 0  # register of the result
    called_by = -1  # register that holds the address of what is called
    saved: frozenset[int] = frozenset()  # registers that calls leave alone
    pointer_bits = 32
    capstone: tuple[str, str] = ("", "")  # architecture and mode, for what is asked of capstone
    own_calls = False  # calls of the program's own functions are looked for wherever they are hidden

    def __init__(self, image: ElfImage, wanted: frozenset[str]) -> None:
        self.image = image
        self.wanted = wanted
        self.code: list[tuple[Segment, bytes]] = [
            (segment, image.content[segment.offset : segment.offset + segment.size])
            for segment in image.segments
            if segment.flags & 1
        ]
        self.entries: set[int] = set()  # where calls lead to
        self._functions: dict[int, Code] = {}

    @abstractmethod
    def sites(self) -> Iterator[Site]:
        """The calls of wanted functions; fills ``entries`` on the way."""

    @abstractmethod
    def sweep(self, low: int, high: int, site: int) -> Window:
        """The instructions from ``low`` up to, not including, ``high``, as the code at ``site`` is to be read."""

    def code_of(self, site: int) -> Code:
        """The function around a call; a stretch of the code around it where that is not known or too long."""
        index = bisect_right(self.starts, site)
        start = self.starts[index - 1] if index else -_LONGEST
        known = site - start < _LONGEST
        low = start if known else site & -_STRETCH
        high = min(
            self.starts[index] if index < len(self.starts) else low + _LONGEST, low + (_LONGEST if known else 2 * _STRETCH)
        )
        found = self._functions.get(low)
        if found is None:
            ops = self.sweep(low if known else low - 4 * WINDOW, high, site)
            found = self._functions[low] = self._read(ops, known=known)
        if site not in found.places:  # data in between that looks like code
            found = self._read(self.sweep(site - 2 * WINDOW, site + 4 * WINDOW, site), known=False)
        return found

    @staticmethod
    def _read(ops: Window, *, known: bool) -> Code:
        labels: dict[int, list[int]] = {}
        for address, op in [each for each in ops if each[1][3] == 1]:
            if op[0] in (NONE, JUMP):
                labels.setdefault(address + op[2], []).append(address)
        return Code(ops, dict(zip(map(_ADDRESS, ops), range(len(ops)), strict=True)), labels, known)

    @cached_property
    def slots(self) -> dict[int, str]:
        """Pointers to wanted functions, by where they are stored."""
        return {address: name for address, name in self.image.slots.items() if name in self.wanted}

    @cached_property
    def local(self) -> dict[int, str]:
        """Wanted functions that this file has itself."""
        return {address: name for address, (name, _) in self.image.functions.items() if name in self.wanted}

    def known(self, register: int, address: int) -> int | None:
        """The value of a register that never changes in the function around ``address`` (zero, global pointer)."""
        return None

    def segment_of(self, address: int) -> tuple[Segment, bytes] | None:
        """The code around ``address``."""
        for segment, data in self.code:
            if segment.address <= address < segment.address + segment.size:
                return segment, data
        return None

    @cached_property
    def starts(self) -> list[int]:
        """Where functions begin, in order: what symbols and calls say."""
        return sorted(self.entries | set(self.image.functions))

    def start_of(self, address: int) -> int | None:
        """The beginning of the function around ``address``, None when nothing says so."""
        index = bisect_right(self.starts, address) - 1
        return self.starts[index] if index >= 0 else None


class FixedWidth(Machine):
    """Instruction sets of 32-bit words."""

    def __init__(self, image: ElfImage, wanted: frozenset[str]) -> None:
        super().__init__(image, wanted)
        self.words: list[array[int]] = []
        for _, data in self.code:
            words = array("I", data[: len(data) & ~3])
            if (image.order == "<") != (sys.byteorder == "little"):
                words.byteswap()
            self.words.append(words)
        self._decoded: dict[int, Op] = {}

    def tops(self, data: bytes, pattern: re.Pattern[bytes]) -> list[int]:
        """The numbers of the words whose most significant byte matches a one-byte pattern."""
        tops = data[3::4] if self.image.order == "<" else data[0::4]
        return [found.start() for found in pattern.finditer(tops)]

    @abstractmethod
    def decode(self, word: int) -> Op:
        """What one instruction does, wherever it stands."""

    def sweep(self, low: int, high: int, site: int) -> Window:
        for (segment, _), words in zip(self.code, self.words, strict=True):
            if segment.address <= site < segment.address + segment.size:
                first = max(low - segment.address, 0) >> 2
                last = max(high - segment.address, 0) >> 2
                piece = words[first:last]
                known = self._decoded
                for word in set(piece).difference(known):
                    known[word] = self.decode(word)
                begin = segment.address + 4 * first
                return list(zip(range(begin, begin + 4 * len(piece), 4), map(known.__getitem__, piece), strict=True))
        return []
