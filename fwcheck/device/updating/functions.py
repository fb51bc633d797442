"""Which functions of Lua, PHP, Python and Perl have a meaning for an update: read from ``functions.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import ClassVar

from fwcheck.device.updating.evaluation import Called
from fwcheck.device.updating.meanings import checks, commands, network, values
from fwcheck.device.updating.meanings import files as on_files
from fwcheck.device.updating.meanings.invocation import Invocation, Meaning
from fwcheck.device.updating.program import Follower
from fwcheck.device.updating.table import BRINGING, BRINGING_PHP
from fwcheck.device.updating.values import Pairs, kind_of

_CHECK = re.compile(
    r"(?i)(?:\w*_)?(?:verif\w*|validate|authenticate|check|is_?valid)_?\w*"
    r"(?:sig|sign|signature|signed|image|firmware|fw|pkg|package|bundle|update|ota|hash|md5|sha\d*|checksum|crc|integrity)\w*"
    r"|verify|\w*(?:signature|firmware|image|package|md5|checksum|crc)_?(?:verif\w*|check\w*|valid\w*|ok|supported)"
)
_BRINGS = r"fetch|client|receive|moved|listen"  # how the meanings of functions that bring something begin


def _handler(name: str) -> Meaning:
    place = next(each for each in (commands, network, checks, on_files, values) if hasattr(each, name))
    made: Meaning = getattr(place, name)
    return made


@cache
def _table(language: str) -> Mapping[str, Meaning]:
    """The functions of a language with their meanings."""
    told = tomllib.loads((files(__package__) / "functions.toml").read_text(encoding="utf-8"))[language]
    return {name: _handler(handler) for handler, names in told.items() for name in names}


@cache
def _bringing(language: str) -> frozenset[str]:
    """The last parts of the names of functions that bring something over a network."""
    brought = (name for name, meaning in _table(language).items() if re.match(_BRINGS, meaning.__name__))
    return BRINGING | BRINGING_PHP | {re.split(r"[.:]+", name)[-1] for name in brought}


class Followed(Follower):
    """A program with the meanings of its language's functions."""

    checks_by_name: ClassVar[re.Pattern[str]] = _CHECK

    def means(self, called: Called) -> Pairs | None:
        """What a function of the language or a library does; None where nobody knows."""
        table = _table(self.program.language)
        if called.call.receiver is not None:
            method = called.name.removeprefix(".")
            found = table.get(f"{kind_of(called.receiver)}:{method}") or table.get(f":{method}")
        else:
            found = table.get(called.name)
        return found(Invocation(self, *called)) if found is not None else None

    @property
    def brings(self) -> frozenset[str]:
        """The last parts of the names of functions that bring something over a network."""
        return _bringing(self.program.language)

    def guessed(self, called: Called) -> Pairs | None:
        """A function that is named like a check is taken for one of which nothing is known."""
        bare = called.name.replace("::", ".").replace(":", ".").rpartition(".")[2]
        if (called.arguments or called.named) and len(bare) < 60 and self.checks_by_name.fullmatch(bare):
            return checks.by_name(Invocation(self, *called))
        return None
