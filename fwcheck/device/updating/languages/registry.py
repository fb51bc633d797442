"""The reader of each language, found by what a script says of itself. Grammars are loaded when a script of theirs is read."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module

from fwcheck.device.updating.form import Program

_INTERPRETERS = re.compile(r"(?:^|[/\s])(lua|php|python|perl|micropython)")
_SUFFIXES = {".lua": "lua", ".php": "php", ".phtml": "php", ".inc": "php", ".py": "python", ".pl": "perl", ".pm": "perl"}


def language_of(path: str, interpreter: str | None, kind: str) -> str:
    """The language of a script, "" where it is none of these."""
    hit = _INTERPRETERS.search(interpreter or "")
    if hit:
        return "python" if hit[1] == "micropython" else hit[1]
    if kind == "php":
        return "php"
    name = path.rpartition("/")[2]
    return _SUFFIXES.get(name[name.rfind(".") :].lower(), "") if "." in name else ""


@lru_cache(maxsize=64)
def read(language: str, text: str) -> Program:
    """A script of one of these languages in the small form."""
    made: Program = import_module(f"fwcheck.device.updating.languages.{language}").read(text)
    return made
