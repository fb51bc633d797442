"""The provisions of ETSI EN 303 645 V3.1.3 by identifier: status, what is asked in our own words, what assesses it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from fwcheck.jcstar.catalogue import Lang

_NAMED = re.compile(r"EN 303 645 (\d+\.\d+-\d+[AB]?|6-\d[AB]?)")
_CONDITION = re.compile(r"[CF] \((\w+)\)")
# Provisions that V3.1.3 split in two; references of rules may name the number that both share.
_SPLIT = {"5.3-4": "5.3-4A", "5.3-6": "5.3-6A", "5.3-15": "5.3-15A", "5.6-4": "5.6-4A", "5.13-1": "5.13-1B", "6-3": "6-3A"}


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One text in both languages."""

    en: str
    ja: str

    def text(self, lang: Lang = "en") -> str:
        """The text in one language."""
        return self.ja if lang == "ja" else self.en


class Provision(Words, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provision. ``status``: M or R, with C (n) under a condition and F (x) where a feature is present."""

    id: str
    status: str
    ixit: tuple[str, ...] = ()

    @property
    def conditions(self) -> tuple[str, ...]:
        """Keys of the conditions and features that it depends on."""
        return tuple(_CONDITION.findall(self.status))


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    features: dict[str, Words]
    provision: tuple[Provision, ...]


def provisions() -> tuple[Provision, ...]:
    """Every provision, in the order of the standard."""
    return _table().provision


def features() -> Mapping[str, Words]:
    """Conditions and features by the keys that a status names."""
    return _table().features


def named(reference: str) -> str | None:
    """The provision that a reference of a rule names; None when it names none."""
    hit = _NAMED.search(reference)
    return None if hit is None else _SPLIT.get(hit[1], hit[1])


@cache
def _table() -> _Table:
    return msgspec.toml.decode((files(__package__) / "en303645.toml").read_bytes(), type=_Table)
