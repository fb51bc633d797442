"""What the byte values of an unread region tell: as even as a cipher's, packed, or plain under a short XOR key.

Chi-square compares the counts of the 256 byte values with equal ones. Random bytes, and so ciphertext, give 255 on average with a
standard deviation of sqrt(510), whatever the size of the sample (Pearson 1900); packed data miss that as the sample grows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cached_property
from typing import Final

import msgspec

from fwcheck.extraction.coverage import Class
from fwcheck.extraction.source import ByteSource

SAMPLED: Final = 64 << 10  # bytes of a region that are looked at
_PIECES: Final = 16
_ODD: Final = 2  # pieces of a ciphertext that may be something else
_FREEDOM: Final = 255
_SPREAD: Final = 4 * math.sqrt(2 * _FREEDOM)  # four standard deviations: one random region in ten thousand lies outside
_TELLING: Final = 4096  # bytes below which packed data cannot be told from a cipher's
_DENSE: Final = 7.2  # bits per byte that code, text and tables stay below
_FILLINGS: Final = (0x00, 0xFF, 0x20)
_PERIODS: Final = 64  # longest XOR key looked for
_LETTERS: Final = bytes(range(97, 123)) + bytes(range(65, 91))
_CHARACTERS: Final = 20  # different ones that a text has at least
_TEXT: Final = re.compile(rb"[\t\n\r\x20-\x7e]{64,}")
# what only stands in plain firmware: at the beginning of a region, and anywhere in it
_MAGICS = (
    (b"\x27\x05\x19\x56", "a U-Boot image"), (b"hsqs", "SquashFS"), (b"sqsh", "SquashFS"), (b"\x7fELF", "ELF"),
    (b"\xd0\x0d\xfe\xed", "a device tree"), (b"\x1f\x8b\x08\x00", "gzip"), (b"\xfd7zXZ\0", "xz"), (b"PK\3\4", "ZIP"),
    (b"UBI#", "UBI"), (b"HDR0", "TRX"), (b"BZh91AY&SY", "bzip2"), (b"\x5d\0\0\x80\0", "LZMA"),
)  # fmt: skip
_WORDS = (
    (b"U-Boot 20", "U-Boot"), (b"Linux version ", "a Linux kernel"), (b"Uncompressing Linux", "a Linux kernel"),
    (b"BusyBox v", "BusyBox"), (b"bootargs=", "a boot environment"), (b"console=tty", "boot arguments"),
    (b"-----BEGIN ", "PEM"), (b"#!/bin/sh", "shell scripts"), (b"/lib/ld-", "executables"),
    (b"GCC: (", "compiled code"), (b"<!DOCTYPE", "web pages"), (b"Copyright (", "readable text"),
)  # fmt: skip


class Evenness(msgspec.Struct, frozen=True, dict=True):
    """A sample of a region, taken all over it, and what it tells."""

    sample: bytes

    @cached_property
    def counts(self) -> Counter[int]:
        """How often each byte value occurs."""
        return Counter(self.sample)

    @cached_property
    def entropy(self) -> float:
        """Bits per byte."""
        total = len(self.sample)
        return -sum(n / total * math.log2(n / total) for n in self.counts.values()) if total else 0.0

    @cached_property
    def chi_square(self) -> float:
        """Against equal counts, 255 degrees of freedom; 0.0 for no data."""
        return _chi_square(self.counts, len(self.sample))

    @cached_property
    def like_cipher(self) -> bool:
        """Whether chi-square is what random bytes give, once the least even pieces, a header or a table, are left out."""
        if abs(self.chi_square - _FREEDOM) <= _SPREAD:
            return True
        size = SAMPLED // _PIECES
        if len(self.sample) < SAMPLED:
            return False
        pieces = [self.sample[at : at + size] for at in range(0, SAMPLED, size)]
        pieces.sort(key=lambda piece: _chi_square(Counter(piece), size))
        even = b"".join(pieces[:-_ODD])
        return abs(_chi_square(Counter(even), len(even)) - _FREEDOM) <= _SPREAD

    def detail(self) -> dict[str, str | int]:
        """The figures as a node shows them."""
        return {"entropy": f"{self.entropy:.3f}", "chi_square": f"{self.chi_square:.1f}"}

    def reason(self, which: Class) -> str:
        """Why a region of this class was not read."""
        if which is Class.ENCRYPTED:
            if len(self.sample) < _TELLING or self.like_cipher:
                return "bytes as even as a cipher's: encrypted, or packed by an unknown method; nothing inside was read"
            if repeats(self.sample):
                return "blocks repeat, and are as even as a cipher's: encrypted block by block (ECB); nothing inside was read"
            return (
                f"dense, but less even than a cipher's bytes (chi-square {self.chi_square:.0f}, expected {_FREEDOM}): packed "
                "by an unknown method, or only partly encrypted; nothing inside was read"
            )
        if self.entropy >= _DENSE:
            return "no known container format, dense as packed data or media; searched for strings and patterns only"
        return "no known container format; searched for strings and patterns only"


def _chi_square(counts: Counter[int], total: int) -> float:
    expected = total / 256
    return sum((n - expected) ** 2 for n in counts.values()) / expected + (256 - len(counts)) * expected if total else 0.0


def evenness(source: ByteSource, offset: int, length: int) -> Evenness:
    """Of a region: all of it up to :data:`SAMPLED` bytes, else pieces from all over it."""
    if length <= SAMPLED:
        return Evenness(source.read(offset, length))
    size = SAMPLED // _PIECES
    steps = (length - size) // (_PIECES - 1) // 8 * 8  # pieces keep the grid of cipher blocks
    return Evenness(b"".join(source.read(offset + steps * number, size) for number in range(_PIECES)))


def repeats(data: bytes, block: int = 8) -> bool:
    """Whether blocks that are no filling occur more than once, as they never do in what was enciphered with chaining."""
    blocks = [data[at : at + block] for at in range(0, len(data) - block + 1, block)]
    common = Counter(blocks).most_common(1)
    return bool(common) and common[0][1] > 1 and len(set(common[0][0])) > 1


def xor_key(source: ByteSource, offset: int, length: int) -> tuple[bytes, str] | None:
    """A repeating key under which a region becomes plain, and what then stands in it; None when there is none.

    The filling of a plain image (0x00, 0xFF) shows the key itself: the commonest byte of each column of a period is taken for
    one filling byte under the key. Only what then reads as known plain contents, and did not before, is believed.
    """
    data = source.read(offset, min(length, SAMPLED))
    if _known(data):
        return None
    # Under a key of one byte filling is one byte still, and was cut off as padding: it stands beside the region.
    columns = [source.peek(offset - 1, 1), source.peek(offset + length, 1)]
    columns += [bytes(Counter(data[at::period]).most_common(1)[0][0] for at in range(period)) for period in _periods(data)]
    for column in columns:
        for filling in _FILLINGS:
            key = bytes(value ^ filling for value in column)
            if any(key) and (found := _known(_xor(data, key))):
                return _shortest(key), found
    return None


def _periods(data: bytes) -> list[int]:
    """Distances at which bytes equal each other far more often than by chance: lengths the key may have, short ones first."""
    number = int.from_bytes(data, "big")
    rates = {}
    for period in range(1, min(_PERIODS, len(data) // 16) + 1):
        differing = (number ^ (number >> 8 * period)).to_bytes(len(data), "big")[period:]
        rates[period] = differing.count(0) / len(differing)
    best = max(rates.values(), default=0.0)
    if best < 4 / 256:
        return []
    return [period for period, rate in rates.items() if rate >= 0.8 * best][:4]


def _xor(data: bytes, key: bytes) -> bytes:
    stream = (key * (len(data) // len(key) + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


def _shortest(key: bytes) -> bytes:
    return next(key[:size] for size in range(1, len(key) + 1) if key[:size] * (len(key) // size) == key)


def _known(data: bytes) -> str:
    """The plain contents that these bytes show; empty for none."""
    at_start = [what for magic, what in _MAGICS if data.startswith(magic)]
    found = at_start + [what for word, what in _WORDS if word in data]
    if found:
        return ", ".join(dict.fromkeys(found))
    return "readable text" if _readable(data) else ""


def _readable(data: bytes) -> bool:
    """Whether nearly all is text of words: letters for the greater part, and spaces, but no more of them than between words."""
    if sum(len(run[0]) for run in _TEXT.finditer(data)) <= 0.9 * len(data):
        return False
    letters = len(data) - len(data.translate(None, _LETTERS))
    return letters > 0.5 * len(data) and 0.02 * len(data) < data.count(b" ") < 0.3 * len(data) and len(set(data)) >= _CHARACTERS
