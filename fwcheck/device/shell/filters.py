"""``sed`` and ``awk`` for the one-line idioms of boot scripts; everything else stays unknown.

Regular expressions are those of POSIX (basic and extended), admitted only where matching cannot run away.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fwcheck.device.shell.tree import UNKNOWN

_ATOM = re.compile(r"\[[!^]?\]?[^\]\\]*\]\*?|\\?[./\"'#@!,:;=<>~&%_\-\w ]\*?|\\[\[\]$^*+?{}|()]|[(){}+?|^$]")
_SUBSTITUTE = re.compile(r"s(.)((?:\\.|(?!\1).)*)\1((?:\\.|(?!\1).)*)\1([gp]*)$", re.DOTALL)
_ADDRESS = re.compile(r"/((?:\\.|[^/\\])*)/\s*")
_PRINT = re.compile(r"\s*(?:/((?:\\.|[^/\\])*)/)?\s*\{\s*print\s*(?:\$(\d{1,2}))?\s*;?\s*\}\s*$")


_SPECIAL = tuple(".[\\(){}|?+$^")


_CLASS = re.compile(r"\[:(\w+):\]")
_CLASSES = {
    "space": " \t", "blank": " \t", "digit": "0-9", "alpha": "A-Za-z", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def _ends(atom: str, follower: str) -> bool:
    """Whether a repetition of ``atom`` surely ends where ``follower`` stands: another character than those it takes."""
    try:
        return re.fullmatch(re.escape(atom) if len(atom) == 1 else atom, follower, re.IGNORECASE) is None
    except re.error:
        return False


def regular(pattern: str, *, extended: bool) -> str | None:
    """A simple POSIX pattern as one of :mod:`re`; None when it is not simple (two repetitions at most, one if unanchored)."""
    if UNKNOWN in pattern or len(pattern) > 200:
        return None
    pattern = _CLASS.sub(lambda found: _CLASSES.get(found.group(1), ""), pattern)
    result, at, repeats = "", 0, 0
    while at < len(pattern):
        found = _ATOM.match(pattern, at)
        if found is None:
            return None
        atom, at = found.group(), found.end()
        repeated = len(atom) > 1 and atom[-1] == "*" and atom != "\\*"
        if (
            repeated
            and re.fullmatch(r"[ \w]\*|\[[ \t\w-]+\]\*", atom)
            and _ends(atom[:-1], pattern[at : at + 1])
            and pattern[at : at + 1] not in ("", atom[0], "*", *_SPECIAL)
        ):
            result += re.sub(r" ", r"\\ ", atom) + "+"  # what follows is another character: nothing to go back for
            continue
        repeats += repeated
        bare = atom.lstrip("\\")
        if bare in ("(", ")", "|") and (atom == bare) == extended:
            if bare == ")" and pattern[at : at + 1] in (tuple("*+{") if extended else tuple("*+?{")):
                return None
            result += bare
        elif extended and atom in ("+", "?") and result and result[-1] not in "(|*+?":
            repeats += atom == "+"
            result += atom
        elif bare in ("+", "?", "{", "}", "<", ">") and len(atom) <= 2 and (atom == bare) == extended and bare not in "<>":
            return None
        elif bare in ("(", ")", "|", "+", "?", "{", "}") and len(bare) == 1:
            result += "\\" + bare
        elif atom[0] == "[":
            result += atom
        elif atom[0] == "\\":
            result += atom if not atom[1].isalnum() else ""
            if atom[1].isalnum():
                return None
        else:
            result += re.sub(r"([\"'#@!,:;=<>~&%_ -])", r"\\\1", atom)
    try:
        re.compile(result)
    except re.error:
        return None
    return result if repeats <= (2 if result.startswith("^") else 1) else None


def sed(expressions: list[str], text: str, *, quiet: bool, extended: bool) -> str | None:
    """What sed prints; None when an expression is not one of the simple ones."""
    steps = [_step(expression.strip(), extended=extended) for expression in expressions]
    if None in steps:
        return None
    output = []
    for line in text.splitlines():
        current: str | None = line[:512]
        for step in steps:
            if current is not None and step is not None:
                current, printed = step(current)
                output += printed
        if current is not None and not quiet:
            output.append(current)
    return "".join(line + "\n" for line in output)


_Step = Callable[[str], tuple[str | None, list[str]]]


def _step(expression: str, *, extended: bool) -> _Step | None:
    address = None
    if found := _ADDRESS.match(expression):
        address = regular(found.group(1).replace("\\/", "/"), extended=extended)
        expression = expression[found.end() :]
        if address is None:
            return None
    applies = re.compile(address).search if address is not None else None
    if expression in ("p", "d"):
        return lambda line: _simple(line, expression, hit=applies is None or applies(line) is not None)
    parts = _SUBSTITUTE.match(expression)
    if parts is None:
        return None
    mark, pattern, replacement, flags = parts.groups()
    old = regular(pattern.replace("\\" + mark, mark), extended=extended)
    if old is None or UNKNOWN in replacement:
        return None
    new = re.sub(r"(?<!\\)&", r"\\g<0>", replacement.replace("\\" + mark, mark))
    new = re.sub(r"\\(?![0-9g])(.)", lambda m: "\\\\" if m.group(1) == "\\" else m.group(1), new)
    search = re.compile(old)
    if any(int(digit) > search.groups for digit in re.findall(r"\\(\d)", new)):
        return None

    def substitute(line: str) -> tuple[str | None, list[str]]:
        if applies is not None and applies(line) is None:
            return line, []
        changed, count = search.subn(new, line, count=0 if "g" in flags else 1)
        return changed, [changed] if count and "p" in flags else []

    return substitute


def _simple(line: str, command: str, *, hit: bool) -> tuple[str | None, list[str]]:
    if command == "d":
        return (None if hit else line), []
    return line, [line] if hit else []


def awk(program: str, separator: str, text: str) -> str | None:
    """What ``{ print $N }`` prints, with a pattern before it or without; None for any other program."""
    found = _PRINT.match(program)
    if found is None or len(separator) > 1:
        return None
    search = None
    if found.group(1) is not None:
        expression = regular(found.group(1), extended=True)
        if expression is None:
            return None
        search = re.compile(expression).search
    column = int(found.group(2) or 0)
    output = []
    for line in text.splitlines():
        if search is None or search(line[:512]):
            fields = line.split(separator) if separator.strip() else line.split()
            output.append(line if column == 0 else fields[column - 1] if column <= len(fields) else "")
    return "".join(line + "\n" for line in output)
