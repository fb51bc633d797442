"""Checksums and digests that headers carry, recomputed over ranges of a source, and how they are told.

Everything here is linear in the range and done by native code, never byte by byte.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from array import array
from collections.abc import Iterable
from functools import cache

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_LANES = 1024  # bytes of one row of the Fletcher sum
_ROWS = 2048  # rows until a 32-bit lane of the second sum could overflow, at most: 255 * rows * (rows + 1) / 2 < 2**32
_MASK = 0xFFFFFFFF
_CHECK = 64 << 20  # bytes between two looks at the clock
DIGESTS = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})  # by the names of hashlib

_MIRRORED = bytes(int(f"{each:08b}"[::-1], 2) for each in range(256))

Range = tuple[int, int]  # offset, size


def sum8(source: ByteSource, offset: int, size: int) -> int:
    """The sum of all bytes of a range."""
    return sum(sum(chunk) for chunk in source.window(offset, size).chunks())


def sum16(source: ByteSource, offset: int, size: int, *, big: bool) -> int:
    """The sum of all 16-bit words of a range; an odd last byte is a word whose second byte is zero."""
    return _words(source, offset, size, "H", big=big)


def sum32(source: ByteSource, offset: int, size: int, *, big: bool) -> int:
    """The sum of all 32-bit words of a range; a short last word is filled up with zeros."""
    return _words(source, offset, size, "I", big=big)


def _words(source: ByteSource, offset: int, size: int, code: str, *, big: bool) -> int:
    total = 0
    for chunk in source.window(offset, size).chunks():
        words = array(code)
        words.frombytes(bytes(chunk) + bytes(-len(chunk) % words.itemsize))
        if big is (sys.byteorder == "little"):
            words.byteswap()
        total += sum(words)
    return total


def digest(name: str, source: ByteSource, *ranges: Range, before: bytes = b"", behind: bytes = b"") -> bytes:
    """A hash (a name of hashlib) over ranges, with bytes that stand in no range before or behind them."""
    hashed = hashlib.new(name, before, usedforsecurity=False)
    for offset, size in ranges:
        for chunk in source.window(offset, size).chunks():
            hashed.update(chunk)
    hashed.update(behind)
    return hashed.digest()


def digest_of(name: str, source: ByteSource, limits: Limits) -> bytes:
    """A hash over all of ``source``; raises FormatError for a name that is not in DIGESTS, and Spent."""
    if name not in DIGESTS:
        raise FormatError(f"no digest is called {name!r}")
    hashed = hashlib.new(name, usedforsecurity=False)
    seen = 0
    for chunk in source.chunks():
        hashed.update(chunk)
        seen += len(chunk)
        if seen >= _CHECK and limits.meter is not None:
            limits.meter.check()
            seen = 0
    return hashed.digest()


def posix_cksum(source: ByteSource, offset: int, size: int) -> int:
    """The CRC of the program cksum: not reflected, the length behind the bytes. Mirrored bytes let zlib compute it."""
    value = _MASK  # zlib begins with the complement of this: zero
    for chunk in source.window(offset, size).chunks():
        value = zlib.crc32(bytes(chunk).translate(_MIRRORED), value)
    length = size.to_bytes((size.bit_length() + 7) // 8, "little")
    value = zlib.crc32(length.translate(_MIRRORED), value) ^ _MASK
    return int(f"{value:032b}"[::-1], 2) ^ _MASK


def crc32_plain(data: bytes | memoryview) -> int:
    """CRC-32 begun with all ones and not inverted at the end, as UBI, UBIFS and littlefs have it."""
    return zlib.crc32(data) ^ _MASK


@cache
def _crc32c_table() -> tuple[int, ...]:
    out = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901
        out.append(value)
    return tuple(out)


def crc32c(data: bytes | bytearray, value: int = 0xFFFFFFFF) -> int:
    """CRC32C (Castagnoli) without the final inversion; for the few bytes of a header, not for contents."""
    table = _crc32c_table()
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value


def crc32_msb_first(source: ByteSource, offset: int, size: int, zeros: Range = (0, 0)) -> int:
    """CRC-32 of the usual polynomial, most significant bit first, without final inversion (CRC-32/MPEG-2).

    ``zeros``: offset in the range and length of a field that counts as zeros. It is the usual CRC of bits in reverse.
    """
    value, at = 0, 0
    for chunk in source.window(offset, size).chunks():
        data = bytearray(chunk)
        begin, end = max(zeros[0] - at, 0), min(zeros[0] + zeros[1] - at, len(data))
        if begin < end:
            data[begin:end] = bytes(end - begin)
        value = zlib.crc32(data.translate(_MIRRORED), value)
        at += len(data)
    return int(f"{value ^ _MASK:032b}"[::-1], 2)


def fletcher(pieces: Iterable[bytes | memoryview]) -> int:
    """Netgear's sum: of all bytes, and of all sums so far; both folded to 16 bits."""
    low = high = 0
    for piece in pieces:
        for at in range(0, len(piece), _LANES * _ROWS):
            chunk = piece[at : at + _LANES * _ROWS]
            plain, running = _running(chunk)
            high = (high + len(chunk) * low + running) & _MASK
            low = (low + plain) & _MASK
    return _folded(high) << 16 | _folded(low)


def _running(chunk: bytes | memoryview) -> tuple[int, int]:
    """The sum of the bytes, and the sum of all sums so far: rows of bytes, spread to 32-bit lanes, are added as integers."""
    rows = -(-len(chunk) // _LANES)
    lanes = bytearray(4 * rows * _LANES)
    lanes[: 4 * len(chunk) : 4] = chunk
    one = two = 0
    for at in range(0, len(lanes), 4 * _LANES):
        one += int.from_bytes(lanes[at : at + 4 * _LANES], "little")
        two += one
    first, second = (memoryview(each.to_bytes(4 * _LANES, "little")).cast("I") for each in (one, two))
    if sys.byteorder == "big":
        raise FormatError("sums of this kind are computed on little-endian machines only")
    plain = sum(first)
    # A byte at row r, lane c counts once for every byte from it to the end: what was added behind the end is taken off.
    behind = rows * _LANES - len(chunk)
    return plain, _LANES * sum(second) - sum(lane * value for lane, value in enumerate(first)) - behind * plain


def _folded(value: int) -> int:
    value = (value & 0xFFFF) + (value >> 16)
    return (value + (value >> 16)) & 0xFFFF


def verdict(problems: list[str], what: str, right: bool | None) -> str:
    """``CRC32 right`` or ``CRC32 wrong``, which is a problem too; None where the bytes are not all there."""
    if right is False:
        note(problems, f"wrong {what}")
    return f"{what} {right_or_wrong(right)}"


def right_or_wrong(right: bool | None) -> str:
    """``right``, ``wrong``, or that nothing can be told."""
    return "cannot be checked" if right is None else "right" if right else "wrong"
