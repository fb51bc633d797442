"""A short dictionary attack on shipped password hashes: default credentials that anybody would try first.

Words come from ``default_passwords.txt`` (most likely first) and from what the image says of itself. How many are tried is
fixed per scheme in words, never in seconds, so the same image gives the same answer on every machine.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources

from fwcheck.device.hashes import guess_cost

_BUDGET = 3_400_000  # nominal microseconds for all hashes of an image, spread over two threads
_THREADS = 2
_FEW = 60  # words for schemes made to be slow
_SOME = 1_000  # words for $5$ and $6$
_SLOW = 5_000  # nominal microseconds from which a scheme counts as slow
_DERIVED = 160  # words made from clues, at most
_DATA_SIZE = 256 << 10  # larger than any struct crypt_data: libxcrypt 32 KiB, glibc 131 KiB

Check = Callable[[str], bool]


def crack(hashes: Mapping[str, Sequence[str]], clues: Iterable[str] = ()) -> dict[str, str]:
    """The plain passwords that were found, by hash.

    ``hashes`` gives the account names of each hash; ``clues`` are words of the image itself: host name, vendor, model.
    """
    costs = {field: cost for field in sorted(hashes) if (cost := guess_cost(field)) is not None}
    if not costs:
        return {}
    seeds = tuple(dict.fromkeys(clue for clue in clues if clue))
    share = _BUDGET // len(costs)
    found = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for field, cost in costs.items():
            words = _words(tuple(dict.fromkeys(hashes[field])), seeds, _count(cost, share))
            if (word := _try(field, words, pool)) is not None:
                found[field] = word
    return found


def _count(cost: int, share: int) -> int:
    most = _FEW if cost >= _SLOW else _SOME if cost >= 400 else 1 << 20
    return min(most, share // cost)


def _try(field: str, words: Sequence[str], pool: ThreadPoolExecutor) -> str | None:
    """The first word in order that fits: a thread stops only behind the best hit of all, so timing never changes the answer."""
    best = [len(words)]

    def search(start: int) -> None:
        check = _checker(field)
        for index in range(start, len(words), _THREADS):
            if index > best[0]:
                return
            if check(words[index]):
                best[0] = min(best[0], index)
                return

    list(pool.map(search, range(_THREADS)))
    return words[best[0]] if best[0] < len(words) else None


# --------------------------------------------------------------------------- words


@cache
def default_passwords() -> tuple[str, ...]:
    """The shipped word list, most likely first."""
    text = resources.files("fwcheck.device").joinpath("default_passwords.txt").read_text("utf-8")
    return tuple(dict.fromkeys(line for line in text.splitlines() if line and not line.startswith("# ")))


def _words(names: tuple[str, ...], clues: tuple[str, ...], count: int) -> list[str]:
    own = derived(names, clues)
    common = default_passwords()
    near = own[: max(6, count // 6)]  # leave room for the common words where only few are tried
    return list(dict.fromkeys(("", *near, *common[: max(0, count - len(near))], *own)))[: count + 1]


def derived(names: Sequence[str], clues: Sequence[str]) -> tuple[str, ...]:
    """Words that vendors make from account names, host names and models."""
    out: list[str] = []
    for name in names:
        out += (
            name,
            name + "123",
            name + "1234",
            name + "12345",
            name + "123456",
            name + "1",
            name[::-1],
            name.capitalize(),
            name.upper(),
        )
        out += (name + name, name + "@123", name + "!", name + "2020", "1234" + name, name.lower())
    for clue in clues:
        parts = [part for part in re.split(r"[^A-Za-z0-9]+", clue) if len(part) > 2]
        for word in dict.fromkeys((clue, clue.replace("-", "").replace("_", "").replace(" ", ""), *parts)):
            low = word.lower()
            out += (
                word,
                low,
                word.upper(),
                low.capitalize(),
                low + "123",
                low + "1234",
                low + "12345",
                low + "123456",
                low + "1",
            )
            out += (low + "@123", low.capitalize() + "123", low + "admin", "admin" + low, low + "root", "root" + low)
    return tuple(dict.fromkeys(word for word in out if word and len(word) <= 64))[:_DERIVED]


# --------------------------------------------------------------------------- checking one word


def _checker(field: str) -> Check:
    if field.startswith("{SHA}"):
        return lambda word: base64.b64encode(hashlib.sha1(word.encode(), usedforsecurity=False).digest()).decode() == field[5:]
    if field.startswith(("{nt}", "$apr1$")):
        return _libpass(field)
    if re.fullmatch(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}", field):
        name = {32: "md5", 40: "sha1", 64: "sha256"}[len(field)]
        return lambda word: hashlib.new(name, word.encode(), usedforsecurity=False).hexdigest() == field.lower()
    return _Crypt(field).check if _library() is not None else _libpass(field)


class _Crypt:
    """Calls crypt_r(3) of the system's libcrypt with a buffer of its own: safe in a thread, and the interpreter lock is free."""

    def __init__(self, field: str) -> None:
        self._field = field.encode()
        self._buffer = ctypes.create_string_buffer(_DATA_SIZE)

    def check(self, word: str) -> bool:
        library = _library()
        return library is not None and bool(library.crypt_r(word.encode(), self._field, self._buffer) == self._field)


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


def _libpass(field: str) -> Check:
    """The pure-Python implementation, for systems without libxcrypt and for hashes that crypt(3) does not know."""
    from passlib import hash as schemes  # noqa: PLC0415  # slow to import and seldom needed

    if field.startswith("{nt}"):
        return lambda word: bool(schemes.nthash.verify(word, field[4:]))
    table = (
        ("$1$", "md5_crypt"),
        ("$apr1$", "apr_md5_crypt"),
        ("$5$", "sha256_crypt"),
        ("$6$", "sha512_crypt"),
        ("_", "bsdi_crypt"),
    )
    handler = next((name for prefix, name in table if field.startswith(prefix)), "des_crypt")
    if field.startswith(("$2", "$y$", "$gy$")):
        return lambda _: False
    scheme = getattr(schemes, handler)

    def check(word: str) -> bool:
        try:
            return bool(scheme.verify(word, field))
        except (ValueError, TypeError):  # what libpass raises for a malformed hash
            return False

    return check
