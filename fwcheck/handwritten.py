"""TOML files that people write, read strictly: what is wrong is told in words, with its line and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from typing import TypeVar

import msgspec
from msgspec import inspect

Key = str | int
ANY = ""  # a key that is not known
Held = TypeVar("Held", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_ENUM = re.compile(r"Invalid enum value ['\"]?(.*?)['\"]?(?: - at|$)", re.DOTALL)
_KEY = " - at `key` in "
_TYPES = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?( [<>]=? [-0-9.]+)?")
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(.*?)`")
_SYNTAX = re.compile(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)  # as tomllib says it
_STEP = re.compile(r"\[\.\.\.\]|([^.\[\]]+)|\[(\d+)\]")
_NAME = re.compile(r"""\"[^\"]*\"|'[^']*'|[^.\s"']+""")
_HEADER = re.compile(r"^[ \t]*(\[\[?)([^\]#]{1,400})\]")
_ASSIGNED = re.compile(r"^[ \t]*([A-Za-z0-9_\-\"'. \t]{1,400}?)[ \t]*=")
_KINDS = {
    "str": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a date without quotes, like 2027-01-31",
    "array": "a list",
    "object": "a table",
}
_LISTED = 12  # allowed values named in an error


class Misread(ValueError):
    """The content is not what it has to be. The message is one line; ``line`` is where, as far as that can be told."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(words)
        self.line = line

    def of(self, name: str) -> str:
        """The message with the file in front of it, as compilers say it: ``policy.toml:3: ...``."""
        return f"{name}:{self.line}: {self}" if self.line is not None else f"{name}: {self}"


def decode(content: bytes, kind: type[Held], known: Collection[str] = ()) -> Held:
    """The content as ``kind``; raises Misread. ``known``: keys that a misspelt one is compared with, beside those of ``kind``."""
    try:
        return msgspec.toml.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise _misread(str(error), content.decode("utf-8", "replace"), kind, known) from error
    except RecursionError as error:
        raise Misread("nested too deeply") from error


def nearest(word: str, known: Collection[str]) -> str:
    """``"; did you mean X"`` where a known word is close, else nothing."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}" if close else ""


def line_of(text: str, path: list[Key]) -> int | None:
    """The line on which a key stands, or the table that it is missing in: the longest part of the path that is written out."""
    best: tuple[int, int] | None = None
    counts: dict[tuple[Key, ...], int] = {}
    table: tuple[Key, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        at = table
        if header := _HEADER.match(line):
            table = at = tuple(_names(header[2]))
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = at = (*table, counts[table])
        elif assigned := _ASSIGNED.match(line):
            at = (*table, *_names(assigned[1]))
        else:
            continue
        fits = len(at) <= len(path) and all(wanted in (key, ANY) for key, wanted in zip(at, path, strict=False))
        if at and fits and (best is None or len(at) > best[0]):
            best = len(at), number
    return best[1] if best is not None else None


def _misread(message: str, text: str, kind: type[msgspec.Struct], known: Collection[str]) -> Misread:
    if syntax := _SYNTAX.match(message):
        words = f"is no TOML: {' '.join(syntax[1].split())}"
        if syntax[2] is None:
            return Misread(f"{words} (at the end)", text.rstrip().count("\n") + 1)
        return Misread(f"{words} (column {syntax[3]})", int(syntax[2]))
    place = _PLACE.search(message)
    path = list(_steps(place[1])) if place else []
    told = _PLACE.sub("", message)
    where = f"{_shown(path)}: " if path else ""
    if unknown := _UNKNOWN.search(told):
        inside = f" in {_shown(path)}" if path else ""
        words = f"unknown key {unknown[1]}{inside}{nearest(unknown[1], [*_keys(kind, path), *known])}"
        path.append(unknown[1])
    elif missing := _MISSING.search(told):
        words = f"{where}missing key `{missing[1]}`"
    elif enum := _ENUM.search(told):
        allowed = _allowed(kind, path)
        of = f"; there are {', '.join(allowed)}" if 0 < len(allowed) <= _LISTED else nearest(enum[1], allowed)
        words = f"{where}there is no {enum[1]!r}{of}"
        path += [enum[1]] if _KEY in message else []
    elif types := _TYPES.search(told):
        got = f", not {_KINDS.get(types[2], types[2])}" if types[2] and types[1] != "date" else ""
        kinds = " or ".join(_KINDS.get(each, each) for each in types[1].split(" | ") if each != "null")
        words = f"{where}takes {kinds}{types[3] or ''}{got}"
    else:
        words = where + told
    return Misread(" ".join(words.split()), line_of(text, path))


def _steps(path: str) -> Iterator[Key]:
    """``waiver[2].expires`` as keys and indexes; ``[...]`` stands for any key."""
    for step in _STEP.finditer(path):
        yield ANY if step[0] == "[...]" else step[1] if step[1] is not None else int(step[2])


def _shown(path: list[Key]) -> str:
    """As people count: ``waiver 3, expires``."""
    return "".join(f" {each + 1}" if isinstance(each, int) else f", {each}" for each in path if each != ANY).removeprefix(", ")


def _names(dotted: str) -> Iterator[str]:
    yield from (each.strip("\"'") for each in _NAME.findall(dotted))


def _at(kind: type[msgspec.Struct], path: list[Key]) -> list[inspect.Type]:
    """The types that may stand at a place."""
    found: list[inspect.Type] = [inspect.type_info(kind)]
    for step in path:
        below: list[inspect.Type] = []
        for each in _plain(found):
            if isinstance(each, inspect.StructType):
                below += [field.type for field in each.fields if field.encode_name == step]
            elif isinstance(each, inspect.DictType):
                below.append(each.value_type)
            elif isinstance(each, (inspect.VarTupleType, inspect.ListType)):
                below.append(each.item_type)
        found = below
    return list(_plain(found))


def _plain(types: Collection[inspect.Type]) -> Iterator[inspect.Type]:
    for each in types:
        if isinstance(each, inspect.UnionType):
            yield from _plain(each.types)
        else:
            yield each


def _keys(kind: type[msgspec.Struct], path: list[Key]) -> list[str]:
    return [field.encode_name for each in _at(kind, path) if isinstance(each, inspect.StructType) for field in each.fields]


def _allowed(kind: type[msgspec.Struct], path: list[Key]) -> list[str]:
    """The words that may stand at a place, or be a key of it."""
    types = _at(kind, path)
    types += [each.key_type for each in types if isinstance(each, inspect.DictType)]
    return [str(value) for each in _plain(types) if isinstance(each, inspect.LiteralType) for value in each.values]
