"""NRV2B, NRV2D and NRV2E, the methods of UCL that UPX packs with (the bit stream of UCL 1.03).

Bits come from words of 8, 16 or 32 bits (little-endian), highest bit first; a word is fetched from the data when a bit
is wanted, and literals and low bytes of distances are fetched between the words. A set bit announces a literal; else a
prefix code gives the upper part of a distance.
"""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError

_END = 0xFFFFFFFF
_FAR = {"b": 0xD00, "d": 0x500, "e": 0x500}  # distances beyond which a match is one byte longer


class _Input:
    def __init__(self, data: bytes, width: int) -> None:
        self.data = data
        self.at = 0
        self._width = width  # of a word, in bytes
        self._bits = 0
        self._left = 0

    def bit(self) -> int:
        if not self._left:
            end = self.at + self._width
            if end > len(self.data):
                raise FormatError("NRV data are cut off")
            self._bits = int.from_bytes(self.data[self.at : end], "little")
            self.at = end
            self._left = 8 * self._width
        self._left -= 1
        return self._bits >> self._left & 1

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value


def unpack(data: bytes, size: int, variant: str, width: int) -> bytes:
    """Exactly ``size`` bytes out of ``data``; ``variant`` is b, d or e. Raises FormatError."""
    out, source, last = bytearray(), _Input(data, width), 1
    bit, far = source.bit, _FAR[variant]
    try:
        while len(out) < size:
            if bit():
                out.append(source.byte())
                continue
            upper = _upper(source, variant)
            if upper == 2:
                distance, short = last, bit() if variant != "b" else 0
            else:
                value = (upper - 3) * 256 + source.byte()
                if value & _END == _END:
                    break
                short = ~value & 1
                distance = last = (value if variant == "b" else value >> 1) + 1
            length = _length(source, variant, short) + (distance > far) + 1
            _copy(out, distance, min(length, size - len(out)))
    except IndexError as error:
        raise FormatError("NRV data are cut off") from error
    if len(out) != size:
        raise FormatError(f"{size} bytes announced, {len(out)} came out of NRV data")
    return bytes(out)


def _upper(source: _Input, variant: str) -> int:
    value = 1
    while True:
        value = value * 2 + source.bit()
        if value > 1 << 25:
            raise FormatError("NRV data: an impossible distance")
        if source.bit():
            return value
        if variant != "b":
            value = (value - 1) * 2 + source.bit()


def _length(source: _Input, variant: str, short: int) -> int:
    """The length of a match less one; ``short`` is the bit that came with the distance."""
    if variant == "e":
        if short:
            return 1 + source.bit()
        if source.bit():
            return 3 + source.bit()
        return _long(source) + 3
    if variant == "b":
        short = source.bit()
    value = short * 2 + source.bit()
    return value or _long(source) + 2


def _long(source: _Input) -> int:
    value = 1
    while True:
        value = value * 2 + source.bit()
        if value > 1 << 25:
            raise FormatError("NRV data: an impossible length")
        if source.bit():
            return value


def _copy(out: bytearray, distance: int, length: int) -> None:
    begin = len(out) - distance
    if begin < 0:
        raise FormatError("NRV data: a match before the beginning")
    piece = out[begin : begin + length]
    while len(piece) < length:
        piece += piece[: length - len(piece)]
    out += piece
