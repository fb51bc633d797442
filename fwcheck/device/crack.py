"""A short dictionary attack on shipped password hashes: default credentials that anybody would try first.

Words come from ``words.py``, most likely first. How many are tried is fixed per scheme in words, never in seconds, so the same
image gives the same answer on every machine.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from fwcheck.device import _digests
from fwcheck.device.hashes import guess_cost, unwrapped
from fwcheck.device.words import default_passwords, derived, words

__all__ = ["crack", "default_passwords", "derived"]

_BUDGET = 3_000_000  # nominal microseconds for all hashes of an image, spread over two threads
_THREADS = 2
_FEW = 60  # words for schemes made to be slow
_SOME = 1_200  # words for $5$ and $6$
_MANY = 4_500  # words for schemes of about a tenth of a millisecond
_MOST = 40_000  # words for DES and plain digests
_MOST_HASHES = 256
_SLOW = 5_000  # nominal microseconds from which a scheme counts as slow
_DATA_SIZE = 256 << 10  # larger than any struct crypt_data: libxcrypt 32 KiB, glibc 131 KiB

Check = Callable[[str], bool]


def crack(
    hashes: Mapping[str, Sequence[str]], clues: Iterable[str] = (), candidates: Iterable[str] = (), budget: int = _BUDGET
) -> dict[str, str]:
    """The plain passwords that were found, by hash, within a ``budget`` of nominal microseconds.

    ``hashes`` gives the account names of each hash, those that matter most first; ``clues`` are words of the image about itself
    (host name, vendor, model); ``candidates`` are passwords that stand in the image in plain text.
    """
    costs = {field: cost for field in list(hashes)[:_MOST_HASHES] if (cost := guess_cost(field)) is not None}
    if not costs:
        return {}
    seeds = tuple(dict.fromkeys(clue for clue in clues if clue))
    plain = tuple(dict.fromkeys(each for each in candidates if each))
    counts = _counts(costs, budget)
    found: dict[str, str] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for field in costs:
            names = tuple(dict.fromkeys(hashes[field]))
            # A password that opened one account is the first guess at the next.
            tried = words(names, seeds, tuple(dict.fromkeys((*found.values(), *plain))), counts[field])
            if (word := _try(field, names, tried, pool)) is not None:
                found[field] = word
    return found


def _counts(costs: Mapping[str, int], budget: int = _BUDGET) -> dict[str, int]:
    """Words for each hash: all it is entitled to where the budget allows; what one does not use goes to the others."""
    wanted = {field: _entitled(cost) * cost for field, cost in costs.items()}
    given: dict[str, int] = {}
    left = budget
    for place, (field, want) in enumerate(sorted(wanted.items(), key=lambda each: each[1])):
        given[field] = min(want, left // (len(wanted) - place))
        left -= given[field]
    return {field: given[field] // costs[field] for field in costs}


def _entitled(cost: int) -> int:
    return _FEW if cost >= _SLOW else _SOME if cost >= 400 else _MANY if cost >= 40 else _MOST


def _try(field: str, names: Sequence[str], tried: Sequence[str], pool: ThreadPoolExecutor) -> str | None:
    """The first word in order that fits: a thread stops only behind the best hit of all, so timing never changes the answer."""
    best = [len(tried)]
    checks = [_checker(field, names) for _ in range(_THREADS)]  # one each: crypt_r(3) writes into its own buffer

    def search(start: int) -> None:
        check = checks[start]
        for index in range(start, len(tried), _THREADS):
            if index > best[0]:
                return
            if check(tried[index]):
                best[0] = min(best[0], index)
                return

    list(pool.map(search, range(_THREADS)))
    return tried[best[0]] if best[0] < len(tried) else None


# --------------------------------------------------------------------------- checking one word


def _checker(field: str, names: Sequence[str]) -> Check:
    if field.startswith("{nt}") and _library() is not None:
        return _Crypt(f"$3$${field[4:].lower()}").check  # FreeBSD's name for the same hash
    if _digests.shape_of(field) is not None:
        return _digests.checker(field, names) or _never
    field = unwrapped(field)
    if field.startswith("$apr1$"):
        return _apache(field)
    return _Crypt(field).check if _library() is not None else _libpass(field)


def _never(_: str) -> bool:
    return False


class _Crypt:
    """Calls crypt_r(3) of the system's libcrypt with a buffer of its own: safe in a thread, and the interpreter lock is free."""

    def __init__(self, field: str) -> None:
        self._field = field.encode()
        self._buffer = ctypes.create_string_buffer(_DATA_SIZE)

    def check(self, word: str) -> bool:
        library = _library()
        if library is None:
            return False
        made = library.crypt_r(word.encode("utf-8", "surrogateescape"), self._field, self._buffer)
        return bool(made == self._field)


@cache
def _library() -> ctypes.CDLL | None:
    """The system's libcrypt when it computes a known answer, else None."""
    for name in ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.so"):
        try:
            library = ctypes.CDLL(name)
            library.crypt_r.restype = ctypes.c_char_p
            library.crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
        except (OSError, AttributeError):
            continue
        known = b"$1$fwcheck1$Rm46xnRlP0LoY.OK8zrCI/"
        if library.crypt_r(b"probe", known, ctypes.create_string_buffer(_DATA_SIZE)) == known:
            return library
    return None


def _apache(field: str) -> Check:
    """``$apr1$`` is ``$1$`` with another magic word in the first digest, which crypt(3) does not know."""
    from passlib.hash import apr_md5_crypt  # noqa: PLC0415  # slow to import and seldom needed

    return lambda word: _verified(apr_md5_crypt, word, field)


def _libpass(field: str) -> Check:
    """The pure-Python implementation, for systems without libxcrypt."""
    from passlib import hash as schemes  # noqa: PLC0415  # slow to import and seldom needed

    table = (
        ("$1$", "md5_crypt"),
        ("$5$", "sha256_crypt"),
        ("$6$", "sha512_crypt"),
        ("$sha1$", "sha1_crypt"),
        ("_", "bsdi_crypt"),
    )
    name = next((name for prefix, name in table if field.startswith(prefix)), "des_crypt")
    if re.match(r"\$(?:2|y|gy|7|md5|3)", field):
        return _never
    return lambda word: _verified(getattr(schemes, name), word, field)


def _verified(scheme: object, word: str, field: str) -> bool:
    try:
        return bool(scheme.verify(word, field))  # type: ignore[attr-defined]
    except (ValueError, TypeError):  # what libpass raises for a malformed hash
        return False
