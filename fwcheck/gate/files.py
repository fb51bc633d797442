"""How the files of a team are read: strictly, so that a misspelt demand is an error and not a gate that never closes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

import msgspec

_SIZE_LIMIT = 1 << 20
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(.*?)`)?", re.DOTALL)
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*?)`")
_INDEX = re.compile(r"\[(\d+)\]")

Held = TypeVar("Held", bound=msgspec.Struct)


class BrokenFile(ValueError):
    """The file is not what it has to be; the message is one line and names the file."""


def load(path: Path, kind: type[Held], known: Collection[str]) -> Held:
    """The content of a TOML file as ``kind``. ``known`` are the keys that a misspelt one is compared with.

    Raises BrokenFile with one line when it cannot be read or is none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise BrokenFile(f"{path}: {error.strerror}") from error
    if len(content) > _SIZE_LIMIT:
        raise BrokenFile(f"{path}: larger than 1 MiB")
    return parse(content, str(path), kind, known)


def parse(content: bytes, name: str, kind: type[Held], known: Collection[str]) -> Held:
    """These bytes of a TOML file as ``kind``. Raises BrokenFile with one line, which begins with ``name``, when they are none."""
    try:
        return msgspec.toml.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise BrokenFile(f"{name}: {_sentence(str(error), known)}") from error
    except RecursionError as error:
        raise BrokenFile(f"{name}: nested too deeply") from error


def nearest(word: str, known: Collection[str]) -> str:
    """``"; did you mean X"`` where a known word is close, else nothing."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}" if close else ""


def _sentence(message: str, known: Collection[str]) -> str:
    """The decoder's message in the words of the file."""
    unknown = _UNKNOWN.search(message)
    if unknown:
        where = f" in {_place(unknown[2])}" if unknown[2] else ""
        return " ".join(f"unknown key {unknown[1]}{where}{nearest(unknown[1], known)}".split())
    place = _PLACE.search(message)
    told = _PLACE.sub("", message).replace("Object missing required field", "missing key")
    return " ".join((f"{_place(place[1])}: " if place and place[1] else "").split() + told.split())


def _place(path: str) -> str:
    """``waiver[2].expires`` as people count: ``waiver 3, expires``."""
    return _INDEX.sub(lambda hit: f" {int(hit[1]) + 1}", path).replace("[...]", "").replace(".", ", ")
