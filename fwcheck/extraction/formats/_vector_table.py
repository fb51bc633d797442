"""The vector table of ARM Cortex-M (ARMv6-M, ARMv7-M and ARMv8-M Architecture Reference Manuals, exception model).

Words, little-endian: initial stack pointer, then addresses of handlers, odd because they are Thumb code: reset, NMI, hard
fault, memory management, bus, usage and secure fault (7; NXP's LPC have a checksum there), 8 to 10 reserved, SVCall, debug
monitor, reserved, PendSV, SysTick, then interrupts of the device.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Final

import msgspec

from fwcheck.extraction.source import ByteSource

CORE: Final = 16
_WORDS = struct.Struct("<16I")
_MANDATORY = (1, 2, 3)  # reset, NMI, hard fault
_HANDLERS = (1, 2, 3, 4, 5, 6, 11, 12, 14, 15)
_RESERVED = (8, 9, 10, 13)
_SPAN_LIMIT: Final = 16 << 20
# Where the makers of microcontrollers put RAM (16 MiB each that begin here), and flash
_RAM = {0x10, 0x18, 0x1C, 0x1F, 0x20, 0x21, 0x22, 0x24, 0x28, 0x2F, 0x30, 0x38}
_FLASH = (
    0x00000000, 0x08000000, 0x0C000000, 0x00400000, 0x01000000, 0x10000000, 0x14000000, 0x1A000000, 0x1B000000,
    0x30000000, 0x60000000, 0x70000000, 0x90000000,
)  # fmt: skip
_LOOP: Final = b"\xfe\xe7"  # an endless loop: what the default handler of most start-up files is
_STEP: Final = 0x100
# How compiled functions begin: push, load of a literal, wide load and move, barrier, disabling of interrupts
_BEGINS = tuple(bytes([value]) for value in b"\xb5\xb4\x48\x49\x4a\x4b\x20\x21\xbf\xe9\xf8\xb6\xf3\x46")


class VectorTable(msgspec.Struct, frozen=True):
    """A sound vector table: its stack pointer and the addresses of its handlers, without the Thumb bit."""

    stack: int
    handlers: tuple[int, ...]  # of the core, in order, absent ones left out
    checksummed: bool  # LPC: the first eight words add up to zero

    @property
    def reset(self) -> int:
        """The address of the reset handler."""
        return self.handlers[0]


def vector_table(source: ByteSource, offset: int, room: int) -> VectorTable | None:
    """The table at ``offset`` of an image of at most ``room`` bytes; None when there is none."""
    raw = source.peek(offset, _WORDS.size)
    if len(raw) < _WORDS.size:
        return None
    words = _WORDS.unpack(raw)
    stack = words[0]
    if stack % 4 or stack >> 24 not in _RAM or not stack & 0xFFFFFF:
        return None
    if any(words[index] for index in _RESERVED) or not all(words[index] for index in _MANDATORY):
        return None
    handlers = [words[index] for index in _HANDLERS if words[index]]
    if not all(each & 1 for each in handlers) or max(handlers) - min(handlers) >= min(room, _SPAN_LIMIT):
        return None
    return VectorTable(stack, tuple(each & ~1 for each in handlers), sum(words[:8]) & 0xFFFFFFFF == 0)


def load_address(source: ByteSource, offset: int, size: int, table: VectorTable) -> int | None:
    """Where an image of ``size`` bytes is meant to lie, as far as its handlers tell; None where nothing tells.

    Possible are places at which all handlers lie inside the image, behind the table. The right one is where the default handler
    is an endless loop, and the others begin like functions.
    """
    low = max(max(table.handlers) + 2 - size, 0)
    high = min(table.handlers) - 4 * CORE
    base = max((each for each in _FLASH if each <= high), default=0)
    places = range(max(base, low + -low % _STEP), high + 1, _STEP)
    if len(places) == 0:
        return None
    default, times = Counter(table.handlers).most_common(1)[0]
    best: tuple[int, int] | None = None
    for place in places[: 1 << 14]:
        score = 4 * (times > 1 and source.peek(offset + default - place, 2) == _LOOP)
        score += sum(source.peek(offset + each - place + 1, 1) in _BEGINS for each in set(table.handlers))
        # The more a place is aligned, the likelier it is one that people choose.
        score = 16 * score + ((place & -place).bit_length() if place else 32) // 2
        if best is None or score > best[0]:
            best = score, place
    return best[1] if best is not None and best[0] >= 32 else None
