"""libconfig's text format, as far as SWUpdate's ``sw-description`` uses it (libconfig manual, "Configuration Files").

Settings ``name = value;`` with ``:`` for ``=`` and ``,`` or nothing for ``;``; groups in braces, lists in parentheses, arrays in
brackets; strings that stand side by side are one; comments of shell, C and C++.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.extraction.errors import FormatError

Value = str | int | float | bool | list["Value"] | dict[str, "Value"] | None

_TOKENS = 200_000
_DEPTH = 32
_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/|@include[^\n]*)
      | "(?P<text>(?:[^"\\]|\\.)*)"
      | (?P<number>[-+]?(?:0[xX][0-9A-Fa-f]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)L{0,2})(?![\w.])
      | (?P<word>[A-Za-z*][-\w*]*)
      | (?P<mark>[=:;,(){}\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_CLOSING = {"{": "}", "(": ")", "[": "]"}


class _Token(NamedTuple):
    kind: str
    text: str


def parse(text: str) -> dict[str, Value]:
    """The settings of a configuration, in libconfig's syntax or in JSON; raises FormatError."""
    if text.lstrip()[:1] == "{":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"no JSON: {error}"[:200]) from None
        if not isinstance(found, dict):
            raise FormatError("a description that is no JSON object")
        return found
    parser = _Parser(text)
    settings = parser.settings(0, None)
    if parser.peek().kind != "end":
        raise FormatError(f"a setting was expected before {parser.peek().text!r}")
    return settings


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = self._read(text)
        self._next = next(self._tokens)

    @staticmethod
    def _read(text: str) -> Iterator[_Token]:
        at = count = 0
        while at < len(text) and count < _TOKENS:
            found = _TOKEN.match(text, at)
            if found is None:
                raise FormatError(f"{text[at : at + 20]!r} is no token of libconfig")
            at = found.end()
            kind = found.lastgroup or "skip"
            if kind != "skip":
                count += 1
                yield _Token(kind, found[kind])
        yield _Token("end", "")

    def peek(self) -> _Token:
        return self._next

    def _take(self) -> _Token:
        token = self._next
        if token.kind == "end":
            raise FormatError("the configuration ends inside a setting")
        self._next = next(self._tokens)
        return token

    def _is(self, *marks: str) -> bool:
        return self._next.kind == "mark" and self._next.text in marks

    def settings(self, depth: int, end: str | None) -> dict[str, Value]:
        """Settings up to the mark ``end``, which is left to the caller."""
        found: dict[str, Value] = {}
        while self._next.kind != "end" and not (end and self._is(end)):
            name = self._take()
            if name.kind not in ("word", "text") or not self._is("=", ":"):
                raise FormatError(f"{name.text[:40]!r} is no name of a setting")
            self._take()
            found[name.text] = self._value(depth)
            while self._is(";", ","):
                self._take()
        return found

    def _value(self, depth: int) -> Value:
        if depth > _DEPTH:
            raise FormatError("settings nested too deep")
        token = self._take()
        if token.kind == "text":
            text = [token.text]
            while self._next.kind == "text":
                text.append(self._take().text)
            return _ESCAPE.sub(_unescaped, "".join(text))
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        if token.kind == "mark" and token.text in _CLOSING:
            return self._group(token.text, depth + 1)
        raise FormatError(f"{token.text[:40]!r} is no value")

    def _group(self, opening: str, depth: int) -> Value:
        closing = _CLOSING[opening]
        if opening == "{":
            settings = self.settings(depth, closing)
            self._take()
            return settings
        found: list[Value] = []
        while not self._is(closing):
            found.append(self._value(depth))
            if self._is(","):
                self._take()
            elif not self._is(closing):
                raise FormatError("a list without a comma")
        self._take()
        return found


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) == 3 else _ESCAPES.get(code, code)


def _number(text: str) -> int | float:
    text = text.rstrip("L")[:400]
    try:
        return int(text, 0)
    except ValueError:
        try:
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            raise FormatError(f"{text[:40]!r} is no number") from None
