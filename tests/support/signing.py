"""A key that tests sign with: always the same, because seeds are compared between processes; it protects nothing."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

P = int(
    "d5312d9ef79de7c9f4a190e0a87539e2acffdc27cae5b6427e6abb631d4831c48bf7087b4d705fc9882d09e73bd2855a"
    "8b521293a22d8d3de95d571d5e9cf2823645d5e20728a1ef1fff6f9ed10c1a1c4a9aae92e11e3b01bf8165ac05643459"
    "9b2056a8c778c2b157a8f9d5762f2532f31c49fd963e873fec417b142ffeb861",
    16,
)
Q = int(
    "c3c7870b35ed867c9659cf4a38e8c0b7ad8f0151dd2147b55de0b82aec5b3726b97215d43a14fac777a644c3aa2bde18"
    "305a84ce8e0da177efb495d67419902d5065c88ff14910fa1f1638876fcaaa78983f352c6abda0c9ea3130cfad21ae49"
    "4a9f4df04c21436065ebdf58c4ab57b3751f5b510c238010c3edf59b13871a13",
    16,
)


@cache
def key() -> rsa.RSAPrivateKey:
    """A key of this test alone, always the same: seeds are compared between processes."""
    private = pow(65537, -1, (P - 1) * (Q - 1))
    public = rsa.RSAPublicNumbers(65537, P * Q)
    parts = private % (P - 1), private % (Q - 1), rsa.rsa_crt_iqmp(P, Q)
    return rsa.RSAPrivateNumbers(P, Q, private, *parts, public).private_key()


@cache
def large_key(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key of 4,096 or 8,192 bits without the time to look for primes: of the published primes of RFC 3526 and RFC 7919.

    Both documents give the formula: all ones above and below, pi (RFC 3526) or e (RFC 7919) between them, and a number that
    makes it a prime.
    """
    pi_more, e_more = {4096: (124476, 560316), 8192: (240904, 5736041)}[bits]
    half = bits // 2
    pi, e = _pi_and_e(half - 130)
    p, q = (2**half - 2 ** (half - 64) - 1 + 2**64 * each for each in (pi + pi_more, e + e_more))
    private = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, private, private % (p - 1), private % (q - 1), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(65537, p * q)
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _pi_and_e(bits: int) -> tuple[int, int]:
    """Both numbers times ``2**bits``, rounded down: Machin's formula, and the sum of the inverse factorials."""
    one = 1 << bits + 64

    def arctan(inverse: int) -> int:
        total = term = one // inverse
        number, sign = 3, -1
        while term:
            term //= inverse * inverse
            total += sign * (term // number)
            number, sign = number + 2, -sign
        return total

    e, term, number = one, one, 1
    while term:
        term //= number
        e, number = e + term, number + 1
    return 4 * (4 * arctan(5) - arctan(239)) >> 64, e >> 64
