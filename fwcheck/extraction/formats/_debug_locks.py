"""Words of a memory image that lock a microcontroller's debug port, where the image writes them.

Sources: nRF51 Reference Manual (UICR.RBPCONF), nRF52832, nRF52840 and nRF5340 Product Specifications (UICR.APPROTECT), ST RM0008,
RM0090, RM0091, RM0351 (option bytes, level of read-out protection). The same word means different things in different parts of a
family: what is said is what all of them make of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fwcheck.extraction.source import ByteSource


class _Word(NamedTuple):
    address: int
    size: int
    name: str
    read: Callable[[int], str]  # of the word: "locked", "partly", "open", or "" where it depends on the part


def _rbpconf(word: int) -> str:
    return "" if word == 0xFFFFFFFF else "locked" if word >> 8 & 0xFF == 0 else "open"  # erased: nRF52 has no such word


def _approtect(word: int) -> str:
    """0x00 locks every revision; 0x5A asks for an open port (revision 3 on); 0xFF is open before revision 3 and locked after."""
    return {0x00: "locked", 0x5A: "open"}.get(word & 0xFF, "")


def _approtect_33(word: int) -> str:
    return {0: "locked", 0x50FA50FA: "open"}.get(word, "")


def _rdp(word: int) -> str:
    return {0xAA: "open", 0xCC: "locked", 0xA5: ""}.get(word & 0xFF, "partly")  # 0xA5 is level 0 of the F1 and level 1 of others


_PAGE = 4096
_WORDS = (
    _Word(0x10001208, 4, "nRF52 UICR.APPROTECT", _approtect),
    _Word(0x10001004, 4, "nRF51 UICR.RBPCONF", _rbpconf),
    _Word(0x00FF8000, 4, "nRF53 UICR.APPROTECT", _approtect_33),
    _Word(0x1FFFF800, 1, "STM32F0/F1/F3 option byte RDP", _rdp),
    _Word(0x1FFFC001, 1, "STM32F2/F4 option byte RDP", _rdp),
    _Word(0x1FFF7800, 1, "STM32L4/G0/G4/WB option byte RDP", _rdp),
)


def debug_lock(begin: int, data: ByteSource) -> dict[str, str]:
    """Detail of a range of memory that holds such a word: ``debug_lock`` and the word; empty for other ranges."""
    for each in _WORDS:
        at = each.address - begin
        if 0 <= at < _PAGE and at + each.size <= data.size:  # a range of its own, not flash that goes on to there
            word = int.from_bytes(data.peek(at, each.size), "little")
            return {"debug_lock": each.read(word) or "unknown", "debug_lock_word": f"{each.name} is 0x{word:0{2 * each.size}x}"}
    return {}
