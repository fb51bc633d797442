"""Between which releases a content was made, where it holds no version: by texts and symbols that came or went with a release.

The entries of ``traits.toml`` say which texts belong to one part of a program. When the part is there, each of its texts that is
there bounds the release from below, each that is missing bounds it from above.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator
from functools import cache
from importlib import resources

import msgspec

from fwcheck.inspection.patterns import Needle
from fwcheck.model import ElfFacts, ReleaseSpan, release_order

_FILE = "traits.toml"
_EXPORTS = 4096  # exported symbols that are kept: of a longer list the absence of one says nothing


class _Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str = ""
    symbol: str = ""
    part: bool = False
    since: str = ""
    absent: str | None = None
    before: str = ""


class _Trait(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``traits.toml``; see its head for the fields."""

    component: str
    part: str
    anchors: tuple[str, ...]
    marks: tuple[_Mark, ...]
    source: str
    soname: str = ""
    exports: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class _Parts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    component: str
    names: tuple[str, ...]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    trait: tuple[_Trait, ...]
    parts: tuple[_Parts, ...]


def table_bytes() -> bytes:
    """The data file as stored: it is part of the inspector's version."""
    return resources.files("fwcheck.inspection").joinpath(_FILE).read_bytes()


@cache
def traits() -> tuple[_Trait, ...]:
    """The entries, in order."""
    return _file().trait


@cache
def _file() -> _File:
    return msgspec.convert(tomllib.loads(table_bytes().decode()), _File)


def parts(raw: bytes, components: Collection[str]) -> tuple[str, ...]:
    """Of these components, the parts that the program may be built with: ``busybox:awk``. What is not named is not built in."""
    return tuple(
        f"{each.component}:{name}"
        for each in _file().parts
        if each.component in components
        for name in each.names
        if name.encode() + b"\0" in raw
    )


def needles() -> tuple[Needle, ...]:
    """The first anchor of each entry: without it nothing else is looked for."""
    return tuple(dict.fromkeys(_needle(trait) for trait in traits()))


def _needle(trait: _Trait) -> Needle:
    return Needle(trait.anchors[0].encode(), False)


def read(raw: bytes, seen: frozenset[Needle] | None, elf: ElfFacts | None) -> tuple[ReleaseSpan, ...]:
    """What the texts of a program say of its releases. ``seen``: the needles that stand in it; None: not known."""
    return tuple(_spans(raw, seen, elf))


def _spans(raw: bytes, seen: frozenset[Needle] | None, elf: ElfFacts | None) -> Iterator[ReleaseSpan]:
    found: set[str] = set()
    for trait in traits():
        if trait.component in found or (seen is not None and _needle(trait) not in seen):
            continue
        if trait.soname and (elf is None or not re.fullmatch(trait.soname, elf.soname or "")):
            continue
        if trait.exports and (elf is None or not set(trait.exports) <= set(elf.exports)):
            continue
        anchor = raw.find(trait.anchors[0].encode())
        if any(text.encode() not in raw for text in trait.anchors) or any(text.encode() in raw for text in trait.without):
            continue
        if (span := _span(trait, raw, elf, anchor)) is not None:
            found.add(trait.component)
            yield span


def _span(trait: _Trait, raw: bytes, elf: ElfFacts | None, offset: int) -> ReleaseSpan | None:
    exports = frozenset(elf.exports) if elf is not None else frozenset[str]()
    told = [(mark, _holds(mark, raw, exports)) for mark in trait.marks]
    if len(exports) >= _EXPORTS:
        told = [(mark, held) for mark, held in told if held or not mark.symbol]
    held = [mark for mark, there in told if there]
    first = max((mark.since for mark in held if mark.since), key=release_order, default="")
    ends = [(mark.before, mark) for mark in held if mark.before]
    ends += [(bound, mark) for mark, there in told if not there and (bound := _without(mark))]
    ends = [(bound, mark) for bound, mark in ends if mark in held or release_order(bound) > release_order(first)]
    before, last = min(ends, key=lambda pair: release_order(pair[0]), default=("", None))
    if not (first or before) or (first and before and release_order(first) >= release_order(before)):
        return None
    words = [f'"{_name(mark)}" is there' for mark in held if mark.since == first and first][:1]
    if last is not None:
        words.append(f'"{_name(last)}" is {"there" if last in held else "not"}')
    return ReleaseSpan(
        component=trait.component,
        first=first,
        before=before,
        offset=offset,
        text=f"{trait.part}: {', '.join(dict.fromkeys(words))}",
    )


def _without(mark: _Mark) -> str:
    """What lacks the mark is older than this."""
    return mark.since if mark.absent is None else mark.absent


def _name(mark: _Mark) -> str:
    return (mark.text or mark.symbol).strip()


def _holds(mark: _Mark, raw: bytes, exports: frozenset[str]) -> bool:
    if mark.symbol:
        return mark.symbol in exports
    return mark.text.encode() + (b"" if mark.part else b"\0") in raw
