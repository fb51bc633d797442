"""Comparison of upstream versions, in the ways that firmware's usual projects count.

One order serves all: numbers by value, a release before its fix releases (1.0 < 1.0.1), a letter after the bare number
(OpenSSL: 1.0.2 < 1.0.2a < 1.0.2z < 1.0.2za), a patch level after it (OpenSSH: 7.7 < 7.7p1), a word for work in progress before it
(2.0-devel, 2.4.2b1, 1.2.0-rc3 < the number alone). A number with a leading zero is a fraction (BusyBox: 1.01 < 1.1.0).
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"\d+|[a-z]+")
_BEFORE = {"dev": 0, "devel": 0, "git": 0, "svn": 0, "snapshot": 0, "alpha": 1, "beta": 2, "b": 2, "pre": 3, "test": 3, "rc": 4}
_WORD, _END, _LETTER, _NUMBER = 0, 1, 2, 3
_TOKENS = 16  # no version has more; what follows does not count
Key = tuple[tuple[int, int, str], ...]


@lru_cache(maxsize=65536)
def key(version: str) -> Key:
    """What versions are sorted by: the key of a version is less than that of a later one. Takes any text."""
    tokens = _TOKEN.findall(version.lower())[:_TOKENS]
    parts: list[tuple[int, int, str]] = []
    lead = 0
    while lead < len(tokens) and tokens[lead].isdigit():
        lead += 1
    numbers = tokens[:lead]
    while len(numbers) > 1 and not numbers[-1].strip("0"):  # 1.0 and 1.0.0 name one release
        numbers.pop()
    parts += [(_NUMBER, _value(number), "") for number in numbers]
    rest = tokens[lead:]
    for index, token in enumerate(rest):
        if token.isdigit():
            parts.append((_NUMBER, _value(token), ""))
        elif token in _BEFORE and (token != "b" or (index + 1 < len(rest) and rest[index + 1].isdigit())):
            parts.append((_WORD, _BEFORE[token], ""))
        else:
            parts.append((_LETTER, 0, token))
    parts.append((_END, 0, ""))
    return tuple(parts)


def _value(digits: str) -> int:
    """Millionths, so that 01 lies between 0 and 1; numbers beyond 18 digits count as equal."""
    number = int(digits[:18])
    zeros = len(digits) - len(digits.lstrip("0")) if number else 0
    return number * 1_000_000 // int(10 ** min(zeros, 6))


def compare(left: str, right: str) -> int:
    """-1, 0 or 1 as ``left`` is before, equal to or after ``right``."""
    a, b = key(left), key(right)
    return (a > b) - (a < b)


def within(version: str, start: str, start_included: bool, end: str, end_included: bool) -> bool:
    """Whether a version lies in a range; an empty bound is open."""
    if start and (compare(version, start) < 0 or (compare(version, start) == 0 and not start_included)):
        return False
    return not end or compare(version, end) < 0 or (compare(version, end) == 0 and end_included)


def branch_of(version: str, branch: str) -> bool:
    """Whether a version belongs to a branch: 1.0.2k to 1.0.2, 4.4.92 to 4.4, but 1.10 not to 1.1."""
    rest = version.lower().removeprefix(branch.lower())
    return version.lower().startswith(branch.lower()) and not rest[:1].isdigit()
