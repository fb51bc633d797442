"""Rubin coding in JFFS2 nodes: a binary arithmetic coder whose probabilities are one per bit of a byte.

Layout: Linux kernel, ``fs/jffs2/compr_rubin.c``. ``dynrubin`` nodes begin with the eight probabilities, in 1/256; ``rubinmips``
has fixed ones. Kernels from 2.6 on write either under the number of the other. Nothing in a stream says which it is, but only the
right one uses it up: an encoder writes as many bits as its decoder reads.
"""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError

_MIPS_DIVIDER = 1043
_MIPS = (277, 249, 290, 267, 229, 341, 212, 241)
_UPPER = 1 << 15
_LOWER = _UPPER - 1
_LARGEST = 32 << 10  # bytes of one node: kernels write a page at most


def rubin(packed: bytes, size: int, *, dynamic_first: bool) -> bytes:
    """Exactly ``size`` bytes; raises FormatError when no kind of Rubin coding uses up ``packed``."""
    if size > _LARGEST:
        raise FormatError(f"a Rubin node of {size} bytes")
    for dynamic in (dynamic_first, not dynamic_first):
        if not dynamic:
            out = _decode(packed, size, _MIPS_DIVIDER, _MIPS)
        else:
            out = _decode(packed[8:], size, 256, tuple(packed[:8])) if len(packed) > 8 else None
        if out is not None:
            return out
    raise FormatError("broken Rubin node")


def _decode(packed: bytes, size: int, divider: int, weights: tuple[int, ...]) -> bytes | None:
    """The bytes that ``packed`` holds; None when they end earlier or later than it does."""
    bits = bin(int.from_bytes(b"\1" + packed, "big"))[3:]
    if len(bits) < 16:
        return None
    zeros = [divider - one for one in weights]
    p, q, received, at = 2 * _UPPER, 0, int(bits[:16], 2), 16
    out = bytearray()
    while len(out) < size:
        byte = 0
        for place, zero in enumerate(zeros):
            while q >= _UPPER or p + q <= _UPPER:
                if at >= len(bits):
                    return None
                q, p, received = (q & _LOWER) << 1, p << 1, (received & _LOWER) << 1 | (bits[at] == "1")
                at += 1
            low = min(max(zero * p // divider, 1), p - 1)
            if received >= q + low:
                q, p = q + low, p - low
                byte |= 1 << place
            else:
                p = low
        out.append(byte)
    return bytes(out) if (at + 7) // 8 == len(packed) else None
