"""Names and values of a settings file, whatever its form: key=value, INI, UCI, XML of several vendors, JSON.

Values that belong together (one user of many) share a record: an XML element and its parent, a JSON object, a UCI or INI section,
or lines whose names share what stands before the last word. It reads what people write, not everything a grammar allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

from fwcheck.device._uci import read_uci
from fwcheck.model import Facts, Node

_MOST = 20_000  # values of one file
_MOST_TEXT = 256 << 10
_DEPTH = 64

_ELEMENT = re.compile(
    r"<(/?)([\w:.-]{1,64})((?:\s+[\w:.-]{1,64}\s*=\s*(?:\"[^\"<]{0,256}\"|'[^'<]{0,256}'|[^\s\"'<>/]{1,64})){0,64})\s*(/?)>([^<]{0,256})"
)
_ATTRIBUTE = re.compile(r"([\w:.-]{1,64})\s*=\s*(?:\"([^\"<]{0,256})\"|'([^'<]{0,256})'|([^\s\"'<>/]{1,64}))")
_JSON = re.compile(r'[{}]|"([\w .:-]{1,64})"\s*:\s*(?:"([^"\\\n]{0,256})"|(-?\d{1,12}))?')
_LINE = re.compile(r"""\s*(?:set\s+|export\s+|export\s+-?\w\s+)?["']?([A-Za-z_][\w.:/\[\]-]{0,96})["']?\s*[=:]\s*(.{0,300})""")
_SECTION = re.compile(r"\s*\[([^\]]{1,64})\]\s*$")


class Value(NamedTuple):
    """One name with its value. ``record`` is equal for what belongs together; ``place`` counts the values of the file."""

    record: str
    context: str  # what stands around the record: section, element and table names
    name: str
    text: str
    line: int
    place: int


def values(node: Node, facts: Facts) -> list[Value]:
    """The values of a settings file, at most some thousands."""
    text = (facts.text or "")[:_MOST_TEXT]
    if "/etc/config/" in node.path:
        rows = _uci(text)
    elif facts.kind == "xml" or text.lstrip()[:1] == "<":
        rows = _xml(text)
    elif facts.kind == "json" or re.match(r"\s*(?:\{|\[\s*[{\[\"])", text):
        rows = _json(text)
    else:
        rows = _lines(text)
    return [
        Value(record, record.rpartition("#")[0], name, value, line, place)
        for place, (record, name, value, line) in zip(range(_MOST), rows, strict=False)
    ]


def _uci(text: str) -> Iterator[tuple[str, str, str, int]]:
    for section in read_uci(text):
        record = f"{section.type} {'' if section.anonymous else section.name}#{section.line}"
        for name in section.options:
            yield record, name, section.get(name), section.lines.get(name, section.line)


def _xml(text: str) -> Iterator[tuple[str, str, str, int]]:
    """Attributes; ``<Name>text</Name>``; ``<DM name="Pass" val="x"/>`` (ZTE); ``<AdminPwd val=x />`` (TP-Link)."""
    count = at = 0
    line = 1
    parents: list[str] = ["#0"]
    for hit in _ELEMENT.finditer(text):
        line += text.count("\n", at, hit.start())
        at = hit.start()
        closing, tag, attributes, alone, inner = hit.groups()
        if closing:
            if len(parents) > 1:
                parents.pop()
            continue
        count += 1
        held = {one.lower(): unescape(a or b or c or "") for one, a, b, c in _ATTRIBUTE.findall(attributes)}
        name = held.get("name") or held.get("key") or held.get("id")
        value = next((held[each] for each in ("val", "value", "v", "data") if each in held), None)
        if value is not None:
            yield parents[-1], name or tag, value, line
        else:
            for one, given in held.items():
                yield f"{_around(parents, tag)}#{count}", one, given, line
        words = unescape(inner).strip()
        if words and not alone:
            yield parents[-1], tag if value is None and name is None else name or tag, words, line
        if not alone and len(parents) < _DEPTH:
            parents.append(f"{_around(parents, tag if name is None else f'{tag} {name[:32]}')}#{count}")


def _around(parents: list[str], tag: str) -> str:
    """The names of the last elements around a value."""
    return " ".join([*(each.partition("#")[0].rpartition(" ")[2] for each in parents[-3:]), tag]).strip()


def _json(text: str) -> Iterator[tuple[str, str, str, int]]:
    count = at = 0
    line = 1
    stack: list[str] = ["#0"]
    last = ""
    for hit in _JSON.finditer(text):
        line += text.count("\n", at, hit.start())
        at = hit.start()
        if hit[0] == "{":
            count += 1
            if len(stack) < _DEPTH:
                stack.append(f"{stack[-1].partition('#')[0].rpartition(' ')[2]} {last}#{count}")
        elif hit[0] == "}":
            if len(stack) > 1:
                stack.pop()
        elif hit[2] is not None or hit[3] is not None:
            yield stack[-1], hit[1], hit[2] if hit[2] is not None else hit[3], line
        else:
            last = hit[1]


def _lines(text: str) -> Iterator[tuple[str, str, str, int]]:
    section = ""
    for number, row in enumerate(text.splitlines(), 1):
        if row.lstrip()[:1] in ("#", ";", "/", "*"):
            continue
        if head := _SECTION.match(row):
            section = head[1]
            continue
        if hit := _LINE.match(row[:512]):
            value = hit[2].strip().rstrip(",;").strip()
            if len(value) >= 2 and value[0] in "\"'" and value[-1] == value[0]:
                value = value[1:-1]
            yield f"{section}#", hit[1], value, number
