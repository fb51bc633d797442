"""Hashes over ranges of a source, and what firmware formats say of one: right, wrong, or not to be checked."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from fwcheck.extraction.source import ByteSource


def digest(source: ByteSource, offset: int, size: int, name: str = "sha256") -> bytes:
    """Hash of a range by the name that :mod:`hashlib` has for it; raises FormatError when it lies outside the source."""
    state = hashlib.new(name)
    for chunk in source.window(offset, size).chunks():
        state.update(chunk)
    return state.digest()


_REVERSED: Final = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def crc32_msb_first(source: ByteSource, offset: int, size: int, zeros: tuple[int, int] = (0, 0)) -> int:
    """CRC-32 of the usual polynomial, most significant bit first, without final inversion (CRC-32/MPEG-2).

    ``zeros``: offset in the range and length of a field that counts as zeros. It is the usual CRC of bits in reverse.
    """
    value, at = 0, 0
    for chunk in source.window(offset, size).chunks():
        data = bytearray(chunk)
        begin, end = max(zeros[0] - at, 0), min(zeros[0] + zeros[1] - at, len(data))
        if begin < end:
            data[begin:end] = bytes(end - begin)
        value = zlib.crc32(data.translate(_REVERSED), value)
        at += len(data)
    return int(f"{value ^ 0xFFFFFFFF:032b}"[::-1], 2)


def verdict(right: bool, what: str, problems: list[str]) -> str:
    """``what`` with right or wrong behind it; a wrong one is noted among the problems."""
    if not right:
        problems.append(f"wrong {what}")
    return f"{what} {'right' if right else 'wrong'}"
