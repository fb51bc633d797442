"""The words that are tried on a shipped password: what vendors and attackers use, and what the image says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import chain, islice

_DERIVED = 240  # words made from names and clues, at most
_TAILS = (
    *(
        "123",
        "1234",
        "1",
        "12345",
        "123456",
        "12",
        "@123",
        "!",
        "01",
        "888",
        "666",
        "@1234",
        "#123",
        "_123",
        "123!",
        "@2020",
        "00",
    ),
    *(
        "1!",
        "2",
        "@",
        "#",
        "!@#",
        "111",
        "000",
        "88",
        "99",
        "2015",
        "2016",
        "2017",
        "2018",
        "2019",
        "2020",
        "2021",
        "2022",
        "2023",
    ),
    *(
        "2024",
        "2014",
        "2013",
        "2012",
        "2010",
        "321",
        "007",
        "1111",
        "8888",
        "@2018",
        "@2019",
        "@2021",
        "@12345",
        "@123456",
        "pass",
    ),
)


@cache
def default_passwords() -> tuple[str, ...]:
    """The shipped word list, most likely first."""
    text = resources.files("fwcheck.device").joinpath("default_passwords.txt").read_text("utf-8")
    return tuple(dict.fromkeys(line for line in text.splitlines() if line and not line.startswith("# ")))


def words(names: Sequence[str], clues: Sequence[str], candidates: Sequence[str], count: int) -> list[str]:
    """The first ``count`` words for one hash, most likely first.

    ``names``: the accounts it belongs to; ``clues``: words of the image about itself; ``candidates``: passwords that stand in the
    image in plain text. Where few words are tried, each source has its share.
    """
    common = default_passwords()
    own = derived(names, clues)
    near = own[: max(6, count // 6)]
    plain = candidates[: max(8, count // 4)]
    first = [*common[:20], *plain, *near] if count < len(common) else [*plain, *near]
    order = chain(("",), first, common, candidates, own, _expanded(chain(clues, candidates[:40], common)))
    return list(islice(_once(order), count + 1))


def _once(every: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for word in every:
        if word not in seen and len(word) <= 64 and "\0" not in word:
            seen.add(word)
            yield word


def _expanded(bases: Iterable[str]) -> Iterator[str]:
    """Words of the list with other capitals and with the tails that people add: likely bases with likely tails first."""
    stems = [word for word in _once(bases) if re.fullmatch(r"[A-Za-z][A-Za-z_.-]{1,15}", word)][:1500]
    for width, first, last in ((400, 0, 6), (150, 6, len(_TAILS)), (1500, 0, 3), (800, 3, 12), (500, 12, len(_TAILS))):
        for stem in stems[:width]:
            if first == 0:
                yield from (stem.capitalize(), stem.upper(), stem.lower(), stem[::-1], stem + stem)
            for tail in _TAILS[first:last]:
                yield stem + tail
                yield stem.capitalize() + tail


def derived(names: Sequence[str], clues: Sequence[str]) -> tuple[str, ...]:
    """Words that vendors make from account names, host names and models."""
    out: list[str] = []
    for name in names:
        tails = (name + tail for tail in ("123", "1234", "12345", "123456", "1"))
        out += (name, *tails, name[::-1], name.capitalize(), name.upper())
        out += (name + name, name + "@123", name + "!", name + "2020", "1234" + name, name.lower())
    for clue in clues:
        parts = [part for part in re.split(r"[^A-Za-z0-9]+", clue) if len(part) > 2]
        for word in dict.fromkeys((clue, re.sub(r"[-_ .]", "", clue), *parts)):
            low = word.lower()
            out += (word, low, word.upper(), low.capitalize())
            out += (low + tail for tail in ("123", "1234", "12345", "123456", "1", "@123", "admin", "root"))
            out += (low.capitalize() + "123", low.capitalize() + "@123", "admin" + low, "root" + low, low[::-1])
    return tuple(dict.fromkeys(word for word in out if word and len(word) <= 64))[:_DERIVED]
