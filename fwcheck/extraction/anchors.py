"""The few bytes of a signature that are worth searching for.

A signature says all it knows of a header: classes, gaps, runs of zeros. A search engine slows down on just these. So the pass
over the image looks for short literal strings, the rarest ones that each signature must contain, and the whole signature is
compared where one of them was found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

LONGEST = 6  # bytes of an anchor: more do not make it rarer in practice
ALTERNATIVES = 48  # branches of a signature, and literals of one anchor
RARE = 15.0  # bits: an anchor that comes less often than once in 32 KiB of ordinary bytes
LARGEST_SPLIT = 16
_REPEATED = 0.3  # bits
_FEW = 8

Bytes = frozenset[int]


class Anchor(NamedTuple):
    """A literal, and how many bytes of the signature lie before its end."""

    literal: bytes
    end: int


def anchors(pattern: bytes, width: int) -> list[Anchor] | None:
    """Literals of which every match of ``pattern`` (``width`` bytes) holds one; None when none is rare enough to look for."""
    try:
        branches = list(_branches(_parser().parse(pattern, 16)))  # 16: DOTALL
    except (_Variable, import_module("re").error):
        return None
    if any(len(branch) != width for branch in branches):
        return None
    found: set[Anchor] = set()
    for branch in branches:
        best = max(_windows(branch), key=lambda one: one[0], default=(0.0, 0, 0))
        if best[0] < RARE:
            return None
        begin, end = best[1:]
        found.update(Anchor(bytes(each), end) for each in product(*(sorted(some) for some in branch[begin:end])))
    return sorted(found) if len(found) <= ALTERNATIVES * 4 else None


def first_bytes(pattern: bytes) -> bytes:
    """Which bytes a match may begin with: 256 bits, byte ``n`` is bit ``n % 8`` of byte ``n // 8``."""
    try:
        allowed = frozenset().union(*(branch[0] if branch else _ANY for branch in _branches(_parser().parse(pattern, 16))))
    except (_Variable, import_module("re").error):
        allowed = _ANY
    bits = bytearray(32)
    for byte in allowed:
        bits[byte >> 3] |= 1 << (byte & 7)
    return bytes(bits)


def split(pattern: bytes) -> list[bytes]:
    """A signature that begins with a small class, as one expression for each of its bytes: engines look for literals."""
    try:
        (operator, argument), *_ = _parser().parse(pattern, 16)
        first = _set(argument) if str(operator) == "IN" else _ANY
    except (_Variable, ValueError, import_module("re").error):
        return [pattern]
    end = pattern.find(b"]")
    if len(first) > LARGEST_SPLIT or pattern[:1] != b"[" or pattern[end - 1 : end] == b"\\":
        return [pattern]
    return [b"\\x%02x" % byte + pattern[end + 1 :] for byte in sorted(first)]


def _windows(branch: list[Bytes]) -> Iterator[tuple[float, int, int]]:
    """Every stretch that can be written as few literals: its rarity in bits, begin and end. Shorter ones first."""
    for begin in range(len(branch)):
        count, bits = 1, 0.0
        for end in range(begin + 1, min(begin + LONGEST, len(branch)) + 1):
            count *= len(branch[end - 1])
            if count > ALTERNATIVES:
                break
            # Bytes come in runs: one that repeats the byte before it says next to nothing.
            again = end - 1 > begin and branch[end - 1] & branch[end - 2] and len(branch[end - 1]) < _FEW
            bits += _REPEATED if again else _rarity(branch[end - 1])
            # A literal costs a little too: among equals the one with fewer of them wins.
            yield bits - math.log2(count) / 4, begin, end


@cache
def _rarity(some: Bytes) -> float:
    return -math.log2(sum(_FREQUENCY[byte] for byte in some))


def _frequencies() -> list[float]:
    """How often each byte comes in firmware, roughly: zeros and 0xFF fill it, text and small numbers are common."""
    weights = [1.0] * 256
    weights[0], weights[0xFF] = 90.0, 30.0
    for byte in (1, 2, 3, 4, 8, 0x10, 0x20, 0x40, 0x80):
        weights[byte] = 5.0
    for byte in range(0x61, 0x7B):
        weights[byte] = 4.0
    for byte in (*range(0x30, 0x3A), *range(0x41, 0x5B)):
        weights[byte] = 2.0
    return [weight / sum(weights) for weight in weights]


_FREQUENCY = _frequencies()


class _Variable(Exception):
    """Something whose length or bytes are not fixed."""


def _parser() -> Any:
    return import_module("re._parser")


def _branches(parsed: Iterable[tuple[Any, Any]]) -> Iterator[list[Bytes]]:
    """The alternatives of a parsed expression, each as the sets of bytes allowed at its positions."""
    out: list[list[Bytes]] = [[]]
    for operator, argument in parsed:
        choices = list(_choices(str(operator), argument))
        if len(out) * len(choices) > ALTERNATIVES:
            raise _Variable
        out = [[*done, *more] for done in out for more in choices]
    yield from out


def _choices(operator: str, argument: Any) -> Iterator[list[Bytes]]:
    if operator == "LITERAL":
        yield [frozenset([argument])]
    elif operator == "NOT_LITERAL":
        yield [_ANY - {argument}]
    elif operator == "ANY":
        yield [_ANY]
    elif operator == "IN":
        yield [_set(argument)]
    elif operator == "SUBPATTERN":
        yield from _branches(argument[-1])
    elif operator == "BRANCH":
        for each in argument[1]:
            yield from _branches(each)
    elif operator == "MAX_REPEAT" and argument[0] == argument[1]:
        inner = list(_branches(argument[2]))
        if len(inner) != 1:
            raise _Variable
        yield inner[0] * int(argument[0])
    else:
        raise _Variable


_ANY: Bytes = frozenset(range(256))


def _set(items: Iterable[tuple[Any, Any]]) -> Bytes:
    chosen: set[int] = set()
    negated = False
    for operator, argument in items:
        if str(operator) == "NEGATE":
            negated = True
        elif str(operator) == "LITERAL":
            chosen.add(argument)
        elif str(operator) == "RANGE":
            chosen.update(range(argument[0], argument[1] + 1))
        else:
            raise _Variable
    return _ANY - chosen if negated else frozenset(chosen)
