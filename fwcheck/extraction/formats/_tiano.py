"""The compression of EFI 1.1 and of Tiano: LZ77 with Huffman codes in blocks (UEFI Specification 2.10, chapter 19).

Layout: packed size and unpacked size (32 bits, little-endian), then bits, highest first. A block: 16 bits with the
number of its symbols, the lengths of the code that packs lengths, of the code for characters and match lengths (up to
510 symbols), and of the code for distances. The number of distance symbols takes 4 bits in EFI 1.1 and 5 bits in Tiano;
nothing else differs.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError

EFI, TIANO = 4, 5
_CHARACTERS, _LENGTHS, _DISTANCES = 510, 19, 31
_MATCH = 253  # symbols from 256 on are match lengths from 3 on
_PIECE = 64 << 10
_OUTPUT_LIMIT = 16 << 20  # decoded in Python: more would take too long

_Table = tuple[int, list[tuple[int, int]]]  # bits looked at, then (symbol, bits used) by their value


class _Bits:
    """Bits of the packed data, highest first; zeros behind the end, as the reference decoder has it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._held = 0
        self._count = 0

    def peek(self, count: int) -> int:
        while self._count < count:
            word = self._data[self._at : self._at + 8].ljust(8, b"\0")
            self._at += 8
            if self._at > len(self._data) + 64:
                raise FormatError("EFI compression: the data are cut off")
            self._held = self._held << 64 | int.from_bytes(word, "big")
            self._count += 64
        return self._held >> (self._count - count)

    def skip(self, count: int) -> None:
        self._count -= count
        self._held &= (1 << self._count) - 1

    def take(self, count: int) -> int:
        value = self.peek(count)
        self.skip(count)
        return value

    def symbol(self, table: _Table) -> int:
        width, entries = table
        symbol, used = entries[self.peek(width)]
        self.skip(used)
        return symbol


def unpacked_size(data: bytes) -> int:
    """The size the header gives; raises FormatError when the header cannot be true."""
    packed, size = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    if len(data) < 9 or packed > len(data) - 8 or not 0 < size <= _OUTPUT_LIMIT or size > packed * 4096 + 256:
        raise FormatError("EFI compression: implausible sizes")
    return size


def unpack(data: bytes, variant: int) -> Iterator[bytes]:
    """What the data unpack to; ``variant`` is EFI or TIANO. Raises FormatError."""
    left, bits = unpacked_size(data), _Bits(data[8:])
    out, given, size = bytearray(), 0, left
    count = 0
    while len(out) < size:
        if count == 0:
            count = bits.take(16) or 1 << 16
            lengths = _code(_lengths(bits, _LENGTHS, 5, 3))
            characters = _code(_character_lengths(bits, lengths))
            distances = _code(_lengths(bits, _DISTANCES, variant, -1))
        count -= 1
        symbol = bits.symbol(characters)
        if symbol < 256:
            out.append(symbol)
        else:
            _copy(out, _distance(bits, distances), min(symbol - _MATCH, size - len(out)))
        if len(out) - given >= _PIECE:
            yield bytes(out[given:])
            given = len(out)
    yield bytes(out[given:])


def _distance(bits: _Bits, table: _Table) -> int:
    symbol = bits.symbol(table)
    return (1 << (symbol - 1)) + bits.take(symbol - 1) + 1 if symbol > 1 else symbol + 1


def _copy(out: bytearray, distance: int, length: int) -> None:
    begin = len(out) - distance
    if begin < 0:
        raise FormatError("EFI compression: a match before the beginning")
    piece = out[begin : begin + length]
    while len(piece) < length:
        piece += piece[: length - len(piece)]
    out += piece


def _lengths(bits: _Bits, most: int, width: int, special: int) -> list[int]:
    """The code lengths of a small alphabet; behind symbol ``special`` two bits say how many have none."""
    count = bits.take(width)
    if count == 0:
        return _single(bits.take(width), most)
    if count > most:
        raise FormatError("EFI compression: too many codes")
    out: list[int] = []
    while len(out) < count:
        length = bits.take(3)
        if length == 7:
            while bits.take(1):
                length += 1
        if length > 16:
            raise FormatError("EFI compression: a code of more than 16 bits")
        out.append(length)
        if len(out) == special:
            out += [0] * bits.take(2)
    return out


def _character_lengths(bits: _Bits, table: _Table) -> list[int]:
    count = bits.take(9)
    if count == 0:
        return _single(bits.take(9), _CHARACTERS)
    out: list[int] = []
    while len(out) < count:
        symbol = bits.symbol(table)
        if symbol > 2:
            out.append(symbol - 2)
        else:
            out += [0] * (1 if symbol == 0 else bits.take(4) + 3 if symbol == 1 else bits.take(9) + 20)
    if len(out) > _CHARACTERS:
        raise FormatError("EFI compression: too many characters")
    return out


def _single(symbol: int, most: int) -> list[int]:
    """An alphabet of one symbol, which takes no bit: marked by a length of -1."""
    if symbol >= most:
        raise FormatError("EFI compression: a symbol that does not exist")
    return [0] * symbol + [-1]


def _code(lengths: list[int]) -> _Table:
    """The table of a canonical code; raises FormatError unless it is complete."""
    if lengths and lengths[-1] == -1:
        return 0, [(len(lengths) - 1, 0)]
    width = max(lengths, default=0)
    entries: list[tuple[int, int]] = []
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        entries += [(symbol, length)] * (1 << (width - length))
        if len(entries) > 1 << width:
            break
    if not width or width > 16 or len(entries) != 1 << width:
        raise FormatError("EFI compression: the lengths of a code do not fit together")
    return width, entries
