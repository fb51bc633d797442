"""Facts that the project keeps itself: ``known.toml`` (vulnerabilities) and ``lifecycle.toml`` (ends of support)."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterator
from importlib import resources

import msgspec

from fwcheck.vulnerabilities.sources.facts import Affected, Elsewhere, Ending, Score

_BOUND = re.compile(r"^(>=|<=|<|=)(\S+)$")


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    component: str
    id: str
    source: str
    affected: list[str] = []
    score: float | None = None
    elsewhere: bool = False


class _KnownFile(msgspec.Struct, forbid_unknown_fields=True):
    vulnerability: list[_Known]


class _Branch(msgspec.Struct, forbid_unknown_fields=True):
    component: str
    branch: str
    ended: dt.date
    source: str


class _LifecycleFile(msgspec.Struct, forbid_unknown_fields=True):
    branch: list[_Branch]


def vulnerabilities() -> Iterator[Affected | Elsewhere | Score]:
    """The entries of ``known.toml``. Raises ValueError naming an entry whose range cannot be read."""
    for entry in msgspec.convert(tomllib.loads(_text("known.toml")), _KnownFile).vulnerability:
        if entry.elsewhere:
            yield Elsewhere(entry.component, entry.id, entry.source)
        for text in entry.affected:
            yield affected(entry.component, entry.id, text, entry.source)
        if entry.score is not None:
            yield Score(entry.id, entry.score, entry.source)


def affected(component: str, cve: str, text: str, source: str = "public advisory") -> Affected:
    """A range written as ``>=1.0 <1.2``, ``<=2.6`` or ``=2.3.4``."""
    start, end, end_included = "", "", False
    for word in text.split():
        bound = _BOUND.match(word)
        if bound is None:
            raise ValueError(f"{cve}: range {text!r} cannot be read")
        if bound[1] in (">=", "="):
            start = bound[2]
        if bound[1] != ">=":
            end, end_included = bound[2], bound[1] != "<"
    return Affected(component, cve, start, True, end, end_included, source)


def endings() -> Iterator[Ending]:
    """The entries of ``lifecycle.toml``."""
    for entry in msgspec.convert(tomllib.loads(_text("lifecycle.toml")), _LifecycleFile).branch:
        yield Ending(entry.component, entry.branch, entry.ended.isoformat(), entry.source)


def _text(name: str) -> str:
    return resources.files("fwcheck.vulnerabilities").joinpath(name).read_text(encoding="utf-8")
