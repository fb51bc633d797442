"""The methods lh4 to lh7 of LHA, and 1 to 3 of ARJ: a sliding window whose codes are coded by Huffman.

Layout: LHa for UNIX, huf.c and slide.c; Open-source ARJ, decode.c, which has the code sizes of lh7.

A block has a count of codes (16 bits), the lengths of a code for lengths, with it those of the code for literals and match
lengths, and those of the code for positions. There is no native decoder at hand: this one goes code by code, and is bounded by
the caller.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError

LIMIT = 16 << 20  # unpacked bytes: some ten seconds
WINDOWS = {b"-lh4-": 12, b"-lh5-": 13, b"-lh6-": 15, b"-lh7-": 16, b"arj": 16}  # bits of the window
_LITERALS, _LENGTHS = 510, 19  # codes for literals and match lengths, and for code lengths
_FIRST = 3  # shortest match
_DEEPEST = 16  # bits of a code

_Table = tuple[int, list[int]]  # bits looked up at once; for each value of them: code << 5 | length


def unpacked(data: bytes, size: int, method: bytes) -> Iterator[bytes]:
    """The ``size`` bytes that ``data`` unpacks to, block by block; raises FormatError."""
    return _Lzh(data, size, WINDOWS[method]).run()


class _Lzh:
    def __init__(self, data: bytes, size: int, window: int) -> None:
        self._data, self._size, self._window = data, size, 1 << window
        self._positions, self._width = (14, 4) if window <= 13 else (window + 1, 5)
        self._at = 0  # of the next byte
        self._bits = self._held = 0  # bits read, not used yet; how many

    def run(self) -> Iterator[bytes]:
        out = bytearray(b" " * self._window)
        left = self._size
        while left > 0:
            before = len(out)
            self._block(out, left)
            if len(out) == before:
                raise FormatError("an LHA block that gives nothing")
            left -= len(out) - before
            yield bytes(out[before:])
            del out[: len(out) - self._window]

    def _fill(self, count: int) -> None:
        while self._held < count:
            piece = self._data[self._at : self._at + 4]
            if not piece and self._at > len(self._data) + 8:
                raise FormatError("an LHA stream that ends too early")
            self._at += 4
            self._bits = self._bits << 32 | int.from_bytes(piece.ljust(4, b"\0"), "big")
            self._held += 32

    def _take(self, count: int) -> int:
        if not count:
            return 0
        self._fill(count)
        self._held -= count
        value = self._bits >> self._held
        self._bits &= (1 << self._held) - 1
        return value

    def _code(self, table: _Table) -> int:
        depth, entries = table
        if not depth:
            return entries[0] >> 5
        self._fill(depth)
        found = entries[self._bits >> (self._held - depth)]
        length = found & 31
        if not length:
            raise FormatError("an LHA code that does not exist")
        self._held -= length
        self._bits &= (1 << self._held) - 1
        return found >> 5

    def _block(self, out: bytearray, left: int) -> None:
        count = self._take(16)
        literals = self._literals(self._lengths(_LENGTHS, 5, 3))
        positions = self._lengths(self._positions, self._width, -1)
        end = len(out) + left
        for _ in range(count):
            code = self._code(literals)
            if code < 256:
                out.append(code)
            else:
                length = code - 256 + _FIRST
                bits = self._code(positions)
                distance = ((1 << (bits - 1)) + self._take(bits - 1) if bits else 0) + 1
                if distance > self._window:
                    raise FormatError("an LHA match before the window")
                begin = len(out) - distance
                piece = out[begin : begin + length]
                if distance < length:
                    piece = (piece * (length // distance + 1))[:length]
                out += piece
            if len(out) >= end:
                del out[end:]
                return

    def _lengths(self, most: int, width: int, special: int) -> _Table:
        """The code for lengths, or for positions: its lengths stand in three bits each, or more in unary."""
        count = self._take(width)
        if not count:
            return 0, [self._take(width) << 5]
        lengths: list[int] = []
        while len(lengths) < min(count, most):
            length = self._take(3)
            while length >= 7 and self._take(1):
                length += 1
                if length > _DEEPEST:
                    raise FormatError("an LHA code of too many bits")
            lengths.append(length)
            if len(lengths) == special:
                lengths += [0] * self._take(2)
        return _table(lengths)

    def _literals(self, coded: _Table) -> _Table:
        """The code for literals and match lengths: lengths are coded, runs of zeros in three forms."""
        count = self._take(9)
        if not count:
            return 0, [self._take(9) << 5]
        lengths: list[int] = []
        while len(lengths) < min(count, _LITERALS):
            code = self._code(coded)
            if code > 2:
                lengths.append(code - 2)
            else:
                lengths += [0] * (1 if code == 0 else self._take(4) + 3 if code == 1 else self._take(9) + 20)
        return _table(lengths[:_LITERALS])


def _table(lengths: list[int]) -> _Table:
    """Canonical codes, in order of their length and number, as a table of the deepest one's width."""
    depth = max(lengths, default=0)
    if not depth or depth > _DEEPEST:
        raise FormatError("an LHA code of no bits or too many")
    entries = [0] * (1 << depth)
    at = 0
    for length in range(1, depth + 1):
        span = 1 << (depth - length)
        for code, each in enumerate(lengths):
            if each == length:
                if at + span > len(entries):
                    raise FormatError("an LHA code with more codes than bits")
                entries[at : at + span] = [code << 5 | length] * span
                at += span
    return depth, entries
