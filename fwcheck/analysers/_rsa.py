"""What a modulus gives away: whether its factors can be had without trying, from it alone or from several together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

# Moduli of the broken generator are powers of 65537 modulo each of these primes.
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
# Primes made by going on from one to the next are found at the first step; a hundred steps cost half a millisecond.
_STEPS = 100
_LEAST_PRIME = 128  # bits


@cache
def _powers(prime: int) -> frozenset[int]:
    """The powers of 65537 modulo a prime."""
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime - 1))


def of_broken_generator(modulus: int) -> bool:
    """Whether a modulus has the mark of CVE-2017-15361 (a random one has it once in 2^27)."""
    return all(modulus % prime in _powers(prime) for prime in _ROCA_PRIMES)


def close_primes(modulus: int) -> bool:
    """Whether Fermat's method finds the factors within a few steps: they lie side by side (CVE-2022-26320)."""
    if modulus < 9 or modulus % 2 == 0:
        return False
    middle = math.isqrt(modulus)
    if middle * middle == modulus:
        return True
    for step in range(1, _STEPS + 1):
        square = (middle + step) ** 2 - modulus
        root = math.isqrt(square)
        if root * root == square:
            return middle + step - root > 1
    return False


def sharing(moduli: Sequence[int]) -> dict[int, int]:
    """The moduli that have a prime in common with another one of the list, each with such a one.

    Each is set against the product of all others, reduced as it grows: a fifth of the cost of a gcd for each pair.
    """
    distinct = list(dict.fromkeys(each for each in moduli if each > 1))
    suspects = []
    for each in distinct:
        rest = 1
        for other in distinct:
            if other != each:
                rest = rest * other % each
        if math.gcd(rest, each) > 1:
            suspects.append(each)
    pairs = ((each, next((one for one in suspects if one != each and _in_common(each, one)), 0)) for each in suspects)
    return {each: other for each, other in pairs if other}


def _in_common(one: int, other: int) -> bool:
    """Whether two moduli share what can be a prime of a key: numbers that are no moduli share small factors."""
    return math.gcd(one, other).bit_length() >= _LEAST_PRIME
