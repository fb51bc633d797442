"""What a content has to hold before a YARA rule can match it: needles found in the pattern pass, which spares most YARA scans.

The reader takes a strict part of the YARA language: rules whose condition is a chain of ``and`` over strings, sets of strings,
first bytes and sizes. Each string is weakened to needles that every match of it contains; a term that is no string counts as
true, and so the filter errs on the side of scanning. A file that holds anything else has no filter: its rules run always.
Language: YARA documentation, "Writing YARA rules".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fwcheck.inspection.patterns import Needle

_SHORTEST = 3  # bytes of a needle that is worth looking for
_TELLING = 4  # bytes of a needle beside which shorter ones add nothing but hits
_NESTING = 16  # groups inside groups of one expression
_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_RULE = re.compile(r"rule\s+\w+\s*(?::[\w\s]+)?\{")
_META = re.compile(r'\w+\s*=\s*(?:"(?:[^"\\\n]|\\.)*"|-?\d+|true|false)')
_STRING = re.compile(
    r'\$(?P<name>\w+)\s*=\s*(?:"(?P<text>(?:[^"\\\n]|\\.)+)"|/(?P<regex>(?:[^/\\\n]|\\.)+)/(?P<flags>i?s?)(?!\w)'
    r"|\{(?P<hex>[^{}]+)\})(?P<modifiers>(?:[ \t]+(?:ascii|wide|nocase|fullword|private)\b)*)"
)
_NUMBER = r"(?:0x[0-9A-Fa-f]+|\d+)"
_PLACE = rf"(?:at\s+(?:{_NUMBER}|\(\s*filesize\s*[-+]\s*{_NUMBER}\s*\))|in\s+\(\s*{_NUMBER}\s*\.\.\s*{_NUMBER}\s*\))"
_TERM = re.compile(
    rf"(?P<count>any|all)\s+of\s+(?:(?P<them>them)\b|\((?P<set>[\s\w$*,]+)\))|\$(?P<one>\w+)(?:\s+{_PLACE})?"
    rf"|uint(?P<bits>8|16|32)\(\s*(?P<at>{_NUMBER})\s*\)\s*(?P<equal>[=!]=)\s*(?P<value>{_NUMBER})"
    rf"|filesize\s*(?:[<>]=?|==)\s*{_NUMBER}"
)
_AND = re.compile(r"and\b")
_ESCAPE = re.compile(r'\\(?:([\\"nrt])|x([0-9A-Fa-f]{2}))')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]|\\[wWsSdD]|\.")
_ASSERTION = re.compile(r"[$^]|\\[bB]")
_CHARACTER = re.compile(r"\\x([0-9A-Fa-f]{2})|\\([nrt])|\\([^\w\s])|([^\\()|*+?{}\[\]])", re.ASCII)
_REPEAT = re.compile(r"(?:[+]|([*?])|\{(\d*)(?:,\d*)?\})\??")
_HEX = re.compile(r"(?:[0-9A-Fa-f?]{2}|\[\d*-?\d*\]|\s+)*")
_HEX_TOKEN = re.compile(r"[0-9A-Fa-f?]{2}|\[[\d-]*\]")


class Unsupported(Exception):
    """A file of rules goes beyond what this reader knows; the message says where."""


class Need(NamedTuple):
    """Holds when all of ``every`` hold and, where there are ``needles`` or ``some``, one of these was seen or holds."""

    needles: frozenset[Needle] = frozenset()
    some: tuple[Need, ...] = ()
    every: tuple[Need, ...] = ()

    def holds(self, seen: frozenset[Needle]) -> bool:
        """Whether the needles seen in a content allow a match."""
        chosen = not (self.needles or self.some) or not self.needles.isdisjoint(seen) or any(n.holds(seen) for n in self.some)
        return chosen and all(need.holds(seen) for need in self.every)

    def wanted(self) -> Iterator[Needle]:
        """All needles that it asks about."""
        yield from self.needles
        for need in (*self.some, *self.every):
            yield from need.wanted()


class RuleNeed(NamedTuple):
    """What a content needs for one rule: first bytes that it begins with, some that it does not begin with, and needles."""

    start: bytes
    never: tuple[bytes, ...]
    need: Need

    def holds(self, content: bytes, seen: frozenset[Needle]) -> bool:
        """Whether the rule can match a content in which just these needles stand."""
        return content.startswith(self.start) and not content.startswith(self.never) and self.need.holds(seen)


class Filter:
    """The needs of several rule files; ``unfiltered`` names the files whose rules have to run on every content, and why."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.needs: list[RuleNeed] = []
        self.unfiltered: dict[str, str] = {}
        self._asking: dict[Needle, list[RuleNeed]] = {}
        for name, source in files.items():
            try:
                self.needs += needs_of(source)
            except Unsupported as error:
                self.unfiltered[name] = str(error)
        for each in self.needs:
            for needle in set(each.need.wanted()):
                self._asking.setdefault(needle, []).append(each)

    @property
    def needles(self) -> tuple[Needle, ...]:
        """What the pattern pass has to look for, in an order that does not change."""
        return tuple(sorted(self._asking))

    def allows(self, content: bytes, seen: frozenset[Needle]) -> bool:
        """Whether a rule of the filtered files can match a content in which just these needles stand."""
        return any(each.holds(content, seen) for needle in seen for each in self._asking.get(needle, ()))


def needs_of(source: str) -> list[RuleNeed]:
    """What each rule of one file needs; raises Unsupported when any of them could match a content without needles."""
    found: list[RuleNeed] = []
    at = _skip(source, 0)
    while at < len(source):
        need, at = _rule(source, _expect(source, _RULE, at))
        found.append(need)
    return found


def _skip(source: str, at: int) -> int:
    space = _SPACE.match(source, at)
    return space.end() if space is not None else at


def _expect(source: str, what: re.Pattern[str] | str, at: int) -> int:
    found = re.compile(what).match(source, at)
    if found is None:
        raise Unsupported(f"line {source.count(chr(10), 0, at) + 1}: {source[at : at + 40]!r}")
    return _skip(source, found.end())


def _rule(source: str, at: int) -> tuple[RuleNeed, int]:
    if source.startswith("meta", at):
        at = _expect(source, r"meta\s*:", at)
        while _META.match(source, at):
            at = _expect(source, _META, at)
    at = _expect(source, r"strings\s*:", at)
    strings: dict[str, Need] = {}
    while (found := _STRING.match(source, at)) is not None:
        strings[found["name"]] = _string(found)
        at = _skip(source, found.end())
    at = _expect(source, r"condition\s*:", at)
    start, never, terms = b"", [], []
    while True:
        end = _expect(source, _TERM, at)
        term = _TERM.match(source, at)
        if term is not None and (term["count"] or term["one"]):
            terms.append(_strings_term(term, strings))
        elif term is not None and term["bits"] and int(term["at"], 0) == 0:
            first = _first_bytes(int(term["value"], 0), int(term["bits"]) // 8)
            if term["equal"] == "==":
                start = first
            elif first:
                never.append(first)
        at = end
        if not _AND.match(source, at):
            break
        at = _expect(source, _AND, at)
    if not terms:
        raise Unsupported(f"line {source.count(chr(10), 0, at) + 1}: a condition without strings")
    return RuleNeed(start, tuple(never), _every(terms)), _expect(source, r"\}", at)


def _first_bytes(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "little")
    except OverflowError:
        return b""


def _strings_term(term: re.Match[str], strings: Mapping[str, Need]) -> Need:
    if term["one"]:
        chosen = [strings[term["one"]]] if term["one"] in strings else []
    elif term["them"]:
        chosen = list(strings.values())
    else:
        chosen = [need for word in term["set"].split(",") for need in _chosen(word.strip(), strings)]
    if not chosen:
        raise Unsupported(f"no such strings: {term[0]}")
    return _every(chosen) if term["count"] == "all" else _some(chosen)


def _chosen(word: str, strings: Mapping[str, Need]) -> list[Need]:
    if not re.fullmatch(r"\$\w*\*?", word):
        raise Unsupported(f"not a set of strings: {word!r}")
    name = word[1:]
    return [need for each, need in strings.items() if (each.startswith(name[:-1]) if name.endswith("*") else each == name)]


def _every(needs: Iterable[Need]) -> Need:
    each = tuple(needs)
    return each[0] if len(each) == 1 else Need(every=each)


def _some(needs: Iterable[Need]) -> Need:
    each = tuple(needs)
    if len(each) == 1:
        return each[0]
    plain = [need for need in each if need.needles and not need.some and not need.every]
    return Need(
        needles=frozenset[Needle]().union(*(need.needles for need in plain)),
        some=tuple(need for need in each if need not in plain),
    )


# --------------------------------------------------------------------------- strings


def _string(found: re.Match[str]) -> Need:
    """The needles of one string; raises Unsupported when it may match where none of them stands."""
    modifiers = set(found["modifiers"].split())
    if found["text"] is not None:
        return _text(found["text"], modifiers)
    if "wide" in modifiers:
        raise Unsupported(f"${found['name']}: a wide expression")
    nocase = "nocase" in modifiers or "i" in (found["flags"] or "")
    needs = _hex(found["hex"]) if found["hex"] is not None else _Expression(found["regex"], nocase=nocase).needs()
    if not needs:
        raise Unsupported(f"${found['name']}: no needle of {_SHORTEST} bytes in it")
    return _every([need for need in needs if _shortest(need) >= _TELLING] or [max(needs, key=_shortest)])


def _shortest(need: Need) -> int:
    return min(len(needle.data) for needle in need.wanted())


def _text(text: str, modifiers: set[str]) -> Need:
    out, at = b"", 0
    while at < len(text):
        escape = _ESCAPE.match(text, at)
        if escape is None and text[at] == "\\":
            raise Unsupported(f"escape in {text!r}")
        if escape is None:
            out += text[at].encode()
        else:
            out += bytes([int(escape[2], 16)]) if escape[2] else _ESCAPED.get(escape[1], escape[1]).encode()
        at = escape.end() if escape is not None else at + 1
    forms = [out] if "ascii" in modifiers or "wide" not in modifiers else []
    if "wide" in modifiers:
        forms.append(b"".join(bytes([byte, 0]) for byte in out))
    if len(out) < _SHORTEST:
        raise Unsupported(f"{text!r} is too short to be looked for")
    return Need(needles=frozenset(_needle(form, nocase="nocase" in modifiers) for form in forms))


def _needle(data: bytes, *, nocase: bool) -> Needle:
    return Needle(data.lower() if nocase else data, nocase)


def _hex(text: str) -> list[Need]:
    if _HEX.fullmatch(text) is None:
        raise Unsupported(f"hexadecimal string {{{text}}}")
    runs = [b""]
    for token in _HEX_TOKEN.findall(text):
        if len(token) == 2 and "?" not in token:
            runs[-1] += bytes.fromhex(token)
        else:
            runs.append(b"")
    return [Need(frozenset({_needle(run, nocase=False)})) for run in runs if len(run) >= _SHORTEST]


class _Expression:
    """Reads a regular expression of YARA for the needles that every match of it holds."""

    def __init__(self, text: str, *, nocase: bool) -> None:
        if not text.isascii():
            raise Unsupported(f"expression {text!r} is not ASCII")
        self._text = text
        self._nocase = nocase
        self._at = 0

    def needs(self) -> list[Need]:
        found = self._alternatives(0)
        if self._at != len(self._text):
            raise self._unsupported()
        return found

    def _unsupported(self) -> Unsupported:
        return Unsupported(f"expression {self._text!r} at {self._at}")

    def _take(self, what: re.Pattern[str]) -> re.Match[str] | None:
        found = what.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _alternatives(self, depth: int) -> list[Need]:
        """What all alternatives up to the end of the group need; nothing when one of them needs nothing."""
        if depth > _NESTING:
            raise self._unsupported()
        each = [self._sequence(depth)]
        while self._text.startswith("|", self._at):
            self._at += 1
            each.append(self._sequence(depth))
        if len(each) == 1:
            return each[0]
        return [_some(_every(needs) for needs in each)] if all(each) else []

    def _sequence(self, depth: int) -> list[Need]:
        needs: list[Need] = []
        run = b""

        def close() -> None:
            nonlocal run
            if len(run) >= _SHORTEST:
                needs.append(Need(frozenset({_needle(run, nocase=self._nocase)})))
            run = b""

        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._take(_ASSERTION):
                continue
            if self._text.startswith("(", self._at):
                close()
                inside = self._group(depth)
                if self._least() > 0:
                    needs += inside
            elif self._take(_CLASS):
                close()
                self._least()
            else:
                byte = self._byte()
                repeat = self._repeat()
                if repeat is None or repeat > 0:
                    run += byte
                if repeat is not None:
                    close()
        close()
        return needs

    def _group(self, depth: int) -> list[Need]:
        self._at += 1
        inside = self._alternatives(depth + 1)
        if not self._text.startswith(")", self._at):
            raise self._unsupported()
        self._at += 1
        return inside

    def _byte(self) -> bytes:
        found = self._take(_CHARACTER)
        if found is None:
            raise self._unsupported()
        if found[1]:
            return bytes([int(found[1], 16)])
        return (_ESCAPED[found[2]] if found[2] else found[3] or found[4]).encode()

    def _repeat(self) -> int | None:
        """How often at least what stands before comes, when a quantifier follows."""
        found = self._take(_REPEAT)
        if found is None:
            return None
        if found[1] is not None:
            return 0
        return int(found[2] or 0) if found[2] is not None else 1

    def _least(self) -> int:
        repeat = self._repeat()
        return 1 if repeat is None else repeat
