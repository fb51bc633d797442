"""In which line of a small file an error is: readers say it in their own ways, or name the key instead."""

from __future__ import annotations

import re
from collections import Counter

Key = str | int

_TOML = re.compile(r"\(at line (\d+), column \d+\)")
_END = re.compile(r"\(at end of document\)")
_BYTE = re.compile(r"\(byte (\d+)\)")
_UNKNOWN = re.compile(r"unknown field `([^`]{1,200})`")
_PATH = re.compile(r" - at `(?:key in )?\$([^`]{0,500})`")
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")
_NAMED = re.compile(r"\bno (?:rule|criterion) ([\w.*-]{1,100}?)(?:[;,]|$)|not_applicable\.([\w.-]{1,100}) needs")
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]{1,200}?)\s*\]")
_ASSIGNED = re.compile(r"""\s*([\w.-]{1,200}|"[^"]{0,200}"|'[^']{0,200}')\s{0,200}=""")


def line_of(content: bytes, error: BaseException) -> int | None:
    """The line, counted from 1, that an error or one of its causes speaks of; None when none does."""
    at: BaseException | None = error
    while at is not None:
        if (found := _said(content, str(at))) is not None:
            return found
        at = at.__cause__
    return None


def _said(content: bytes, message: str) -> int | None:
    if found := _TOML.search(message):
        return int(found[1])
    if _END.search(message):
        return content.rstrip().count(b"\n") + 1
    if found := _BYTE.search(message):
        return content.count(b"\n", 0, int(found[1])) + 1
    if found := _NAMED.search(message):
        at = content.find((found[1] or found[2]).encode())
        return content.count(b"\n", 0, at) + 1 if at >= 0 else None
    place, unknown = _PATH.search(message), _UNKNOWN.search(message)
    if place is None and unknown is None:
        return None
    keys: list[Key] = [name or int(index) for name, index in _STEP.findall(place[1])] if place else []
    return _where(content.decode(errors="replace").splitlines(), [*keys, *([unknown[1]] if unknown else [])])


def _where(lines: list[str], wanted: list[Key]) -> int | None:
    """The first line of a TOML text that goes as far towards these keys as any."""
    best, line = 0, None
    table: list[Key] = []
    seen: Counter[str] = Counter()
    for number, text in enumerate(lines, 1):
        if header := _HEADER.match(text):
            table = _names(header[2])
            if header[1] == "[[":
                table.append(seen[header[2]])
                seen[header[2]] += 1
            reached = table
        elif assigned := _ASSIGNED.match(text):
            reached = [*table, *_names(assigned[1])]
        else:
            continue
        if not _outside(reached, wanted) and (depth := min(len(reached), len(wanted))) > best:
            best, line = depth, number
    return line


def _outside(reached: list[Key], wanted: list[Key]) -> bool:
    return any(one != other for one, other in zip(reached, wanted, strict=False))


def _names(dotted: str) -> list[Key]:
    if dotted[:1] in {'"', "'"}:
        return [dotted[1:-1]]
    return [name.strip().strip("\"'") for name in dotted.split(".")]
