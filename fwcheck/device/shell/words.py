"""Words of a shell script expanded as far as the image decides them.

A value is a string in which :data:`UNKNOWN` stands for every piece that only the running device knows, so that half-known
values (``/etc/init.d/<unknown> start``) still say what they say. Source: POSIX.1-2017, XCU 2.6 (word expansions).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from fwcheck.device.shell.arithmetic import arithmetic
from fwcheck.device.shell.patterns import MAGIC, bounded, known, trim
from fwcheck.device.shell.tree import UNKNOWN, Arithmetic, CommandSubstitution, Literal, Parameter, Sequence, Word

_FIELDS_LIMIT = 4096
_QUOTABLE = re.compile(r"[*?\[]")
_QUOTED = {"*": "\ue000", "?": "\ue001", "[": "\ue002"}  # quoted pattern characters, while a word is put together
_UNQUOTE = {ord(mark): char for char, mark in _QUOTED.items()}


class Context(Protocol):
    """What an expansion asks of the shell it runs in."""

    def value(self, name: str) -> str | None:
        """The value of a parameter, None when it is unset."""

    def positional(self) -> list[str]:
        """The positional parameters from $1 on."""

    def assign(self, name: str, value: str) -> None:
        """Sets a variable."""

    def output(self, body: Sequence) -> str:
        """What the commands write, without trailing newlines."""

    def paths(self, pattern: str) -> list[str] | None:
        """The paths a pattern matches, None when nobody can tell."""


def expand(word: Word, shell: Context) -> list[str]:
    """The fields of a word: expanded, split and with paths put in for patterns."""
    if len(word.parts) == 1 and isinstance(only := word.parts[0], Literal) and (only.quoted or not MAGIC.search(only.text)):
        return [_tilde(only)]
    fields: list[str] = []
    open_field = False  # whether the last field still grows
    for part in word.parts:
        if isinstance(part, Parameter) and part.name == "@" and part.quoted and not part.op:
            open_field = _join(fields, [_hide(text) for text in shell.positional()], grows=open_field)
            continue
        text = part_value(part, shell)
        if isinstance(part, Literal) or part.quoted:
            open_field = _join(fields, [_hide(text) if part.quoted else text], grows=open_field)
            continue
        pieces = text.split()
        if text[:1].isspace():
            open_field = False
        if pieces:
            _join(fields, pieces, grows=open_field)
            open_field = not text[-1].isspace()
    return [path for text in fields[:_FIELDS_LIMIT] for path in _paths(text, shell)]


def _join(fields: list[str], pieces: list[str], *, grows: bool) -> bool:
    if pieces and grows:
        fields[-1] = bounded(fields[-1] + pieces[0])
        pieces = pieces[1:]
    fields.extend(pieces)
    return bool(fields) if pieces or grows else False


def _hide(text: str) -> str:
    return text.translate({ord(char): mark for char, mark in _QUOTED.items()}) if _QUOTABLE.search(text) else text


def _show(text: str) -> str:
    return text.translate(_UNQUOTE)


def _paths(text: str, shell: Context) -> Iterable[str]:
    if not MAGIC.search(text) or not known(text):
        return [_show(text)]
    found = shell.paths(text.translate({ord(mark): f"[{char}]" for char, mark in _QUOTED.items()}))
    if found is None:
        return [UNKNOWN]
    return found or [_show(text)]


def _tilde(part: Literal) -> str:
    return "/root" + part.text[1:] if not part.quoted and (part.text == "~" or part.text.startswith("~/")) else part.text


def value(word: Word, shell: Context) -> str:
    """The value of a word that is not split: an assignment, the subject of ``case``, a redirection target."""
    return bounded("".join(part_value(part, shell) for part in word.parts))


def pattern(word: Word, shell: Context) -> str:
    """The word as a pattern; a backslash stands before what quotes make plain text."""
    return "".join(_escape(text) if part.quoted else text for part in word.parts for text in [part_value(part, shell)])


def _escape(text: str) -> str:
    return re.sub(r"([*?\[\]!^\\-])", r"\\\1", text)


def part_value(part: Literal | Parameter | CommandSubstitution | Arithmetic, shell: Context) -> str:
    """What one part of a word becomes."""
    match part:
        case Literal():
            return part.text
        case Parameter():
            return bounded(_parameter(part, shell))
        case CommandSubstitution():
            text = shell.output(part.body)
            return UNKNOWN if part.opaque else text
        case Arithmetic():
            return arithmetic(value(part.expression, shell), shell.value)


def _parameter(part: Parameter, shell: Context) -> str:
    held = shell.value(part.name)
    if not part.op:
        return held or ""
    if part.op in ("-", "=", "?", "+"):
        return _default(part, held, shell)
    text = held or ""
    if part.op == "length":
        return str(len(text)) if known(text) else UNKNOWN
    if part.argument is not None and part.op in ("#", "##", "%", "%%"):
        return trim(text, pattern(part.argument, shell), part.op)
    if not known(text) or part.argument is None:
        return UNKNOWN if text or part.op == "other" else ""
    if part.op in ("/", "//"):
        return _replace(text, part, shell)
    if part.op == "substring":
        return _substring(text, value(part.argument, shell))
    return UNKNOWN


def _default(part: Parameter, held: str | None, shell: Context) -> str:
    missing = held is None or (part.colon and held == "")
    undecided = held is not None and part.colon and held.strip(UNKNOWN) == "" and held != ""
    argument = part.argument or Word([])
    if part.op == "+":
        return UNKNOWN if undecided else "" if missing else value(argument, shell)
    if not missing:
        return held or ""
    text = value(argument, shell)
    if part.op == "=":
        shell.assign(part.name, text)
    return text


def _replace(text: str, part: Parameter, shell: Context) -> str:
    argument = part.argument or Word([])
    if any(not isinstance(piece, Literal) for piece in argument.parts):
        return UNKNOWN
    old, _, new = value(argument, shell).partition("/")
    if not old or MAGIC.search(old):
        return UNKNOWN
    return text.replace(old, new, -1 if part.op == "//" else 1)


def _substring(text: str, argument: str) -> str:
    found = re.fullmatch(r"\s*(\d{1,6})(?::(\d{1,6}))?\s*", argument)
    if found is None:
        return UNKNOWN
    start = int(found.group(1))
    return text[start : start + int(found.group(2))] if found.group(2) else text[start:]
