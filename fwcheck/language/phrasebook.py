"""A phrasebook: English sentences with blanks, and the same sentences in another language.

Reports hold English texts that are filled in already ("Account admin has no password"): the JSON report is the contract, and one
that was made earlier has to be shown too. So a phrase is recognised by its fixed words, and what stands in its blanks is put into
the other language's sentence. A text that no phrase fits stays as it is.

A blank is written ``{name}``. What stands in it is kept letter by letter, unless its kind says otherwise:

``{name:d}``      digits alone
``{name:text}``   a text that is looked up in turn
``{name:list}``   texts with a comma between them, each looked up
``{name:items}``  texts with a semicolon between them, each looked up

Texts may come from an image: recognising one takes time linear in its length for each phrase, and looking up in turn is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_BLANK = re.compile(r"\{(\w+)(?::(d|text|list|items))?\}")
_LONGEST = 6000  # characters of a text that is looked up
_DEEPEST = 8
_SENTENCES = 12
_PARTS = 4  # that one member of a list may consist of
_CUT = 100  # a text this long may have been cut at its end
_SURE = 3  # fixed characters that such a text has to begin with
_SEPARATORS = {"list": (", ", "、"), "items": ("; ", "；")}
_REMEMBERED = 20_000


class _Blank(NamedTuple):
    name: str
    kind: str


class Phrase:
    """One English sentence with blanks, and its counterpart."""

    def __init__(self, english: str, other: str) -> None:
        parts = _BLANK.split(english)
        self.literals = tuple(parts[0::3])
        self.blanks = tuple(_Blank(name, kind or "") for name, kind in zip(parts[1::3], parts[2::3], strict=True))
        self.other = other
        self.weight = sum(len(literal) for literal in self.literals)
        if self.blanks and not self.weight:
            raise ValueError(f"a phrase of blanks alone fits everything: {english!r}")
        if any(not literal for literal in self.literals[1:-1]):
            raise ValueError(f"nothing stands between two blanks: {english!r}")
        if {name for name, _ in self.blanks} != {hit[1] for hit in _BLANK.finditer(other)}:
            raise ValueError(f"the blanks differ: {english!r} and {other!r}")

    def values(self, text: str) -> Iterator[list[str]]:
        """What stands in the blanks: split at the first place where the fixed words stand, then at the last one."""
        begin, end = self.literals[0], self.literals[-1]
        if not text.startswith(begin):
            return
        if not self.blanks:
            if text == begin:
                yield []
            return
        if text.endswith(end) and len(text) > len(begin) + len(end):
            inner = text[len(begin) : len(text) - len(end)]
            first, last = self._from_left(inner), self._from_right(inner)
            yield from (found for found in (first, last if last != first else []) if found and self._allowed(found))
        if len(text) >= _CUT and len(begin) >= _SURE:
            cut = self._cut(text[len(begin) :])
            if cut:
                yield cut

    def _from_left(self, inner: str) -> list[str]:
        """What lies between the fixed words, each taken at the first place where it stands; empty when one is missing."""
        found: list[str] = []
        for literal in self.literals[1:-1]:
            at = inner.find(literal, 1)
            if at < 0:
                return []
            found.append(inner[:at])
            inner = inner[at + len(literal) :]
        return [*found, inner]

    def _from_right(self, inner: str) -> list[str]:
        """The same, each taken at the last place where it stands."""
        found: list[str] = []
        for literal in reversed(self.literals[1:-1]):
            at = inner.rfind(literal)
            if at < 0:
                return []
            found.append(inner[at + len(literal) :])
            inner = inner[:at]
        return [inner, *reversed(found)]

    def _cut(self, rest: str) -> list[str]:
        """The blanks of a text whose end is missing: the last one that has begun takes the rest. Empty when none is missing."""
        found: list[str] = []
        for literal in self.literals[1:]:
            at = rest.find(literal, 1) if literal else -1
            if at < 0:
                break
            found.append(rest[:at])
            rest = rest[at + len(literal) :]
        else:
            return []
        return [*found, rest] + [""] * (len(self.blanks) - len(found) - 1)

    def _allowed(self, found: list[str]) -> bool:
        return all(value and (blank.kind != "d" or value.isdecimal()) for value, blank in zip(found, self.blanks, strict=True))

    def filled(self, values: Mapping[str, str]) -> str:
        """The counterpart with these values in its blanks."""
        return _BLANK.sub(lambda hit: values[hit[1]], self.other)


class Phrasebook:
    """Phrases by their beginnings; those with more fixed words are tried first."""

    def __init__(self, phrases: Iterable[tuple[str, str]]) -> None:
        self._whole: dict[str, str] = {}
        self._by_letter: dict[str, list[Phrase]] = {}
        for english, other in phrases:
            if _BLANK.search(english):
                phrase = Phrase(english, other)
                self._by_letter.setdefault(phrase.literals[0][:1], []).append(phrase)
            else:
                self._whole[english] = other
        for held in self._by_letter.values():
            held.sort(key=lambda phrase: -phrase.weight)
        self._seen: dict[str, tuple[str, bool]] = {}

    def say(self, text: str, also: Mapping[str, str] | None = None) -> str:
        """The text in the other language; as it is where no phrase fits. ``also``: further whole texts, for this call alone."""
        return self._look(text, also or {}, 0)[0]

    def knows(self, text: str, also: Mapping[str, str] | None = None) -> bool:
        """Whether every part of the text that is looked up was found."""
        return self._look(text, also or {}, 0)[1]

    def _look(self, text: str, also: Mapping[str, str], depth: int) -> tuple[str, bool]:
        if text in also:
            return also[text], True
        if text in self._whole:
            return self._whole[text], True
        if not text or depth > _DEEPEST or len(text) > _LONGEST:
            return text, False
        if not also and text in self._seen:
            return self._seen[text]
        found = self._by_phrase(text, also, depth)
        if not found[1]:
            sentences = self._by_sentence(text, also, depth)
            found = sentences if sentences[1] or not self._better(found, text) else found
        if not also and len(self._seen) < _REMEMBERED:
            self._seen[text] = found
        return found

    @staticmethod
    def _better(found: tuple[str, bool], text: str) -> bool:
        return found[0] != text

    def _by_phrase(self, text: str, also: Mapping[str, str], depth: int) -> tuple[str, bool]:
        """By the first phrase all of whose blanks are known; else by the first that fits at all."""
        half: str | None = None
        for letter in (text[:1], ""):
            for phrase in self._by_letter.get(letter, ()):
                for values in phrase.values(text):
                    told = [
                        self._value(value, blank.kind, also, depth) for value, blank in zip(values, phrase.blanks, strict=True)
                    ]
                    shown = phrase.filled({blank.name: each[0] for blank, each in zip(phrase.blanks, told, strict=True)})
                    if all(known for _, known in told):
                        return shown, True
                    half = half or shown
        return (half, False) if half is not None else (text, False)

    def _value(self, value: str, kind: str, also: Mapping[str, str], depth: int) -> tuple[str, bool]:
        if kind in {"", "d"}:
            return value, True
        if kind == "text" or value in also or value in self._whole:
            return self._look(value, also, depth + 1)
        separator, other = _SEPARATORS[kind]
        told = list(self._members(value.split(separator), separator, also, depth + 1))
        return other.join(shown for shown, _ in told), all(known for _, known in told)

    def _members(self, parts: list[str], separator: str, also: Mapping[str, str], depth: int) -> Iterator[tuple[str, bool]]:
        """The members of a list, each as short as it can be; one that is known may hold the separator itself."""
        at = 0
        while at < len(parts):
            found, end = (parts[at], False), at + 1
            for stop in range(at + 1, min(len(parts), at + _PARTS) + 1):
                told = self._look(separator.join(parts[at:stop]), also, depth)
                if told[1]:
                    found, end = told, stop
                    break
            yield found
            at = end

    def _by_sentence(self, text: str, also: Mapping[str, str], depth: int) -> tuple[str, bool]:
        """Sentence after sentence: the longest beginning that is known, then the rest."""
        ends = [hit.end() for hit in re.finditer(r"[.!?](?= )", text)][:_SENTENCES]
        for end in reversed(ends):
            head, rest = text[:end], text[end + 1 :]
            shown, known = (also[head], True) if head in also else (self._whole.get(head, ""), head in self._whole)
            if not known:
                shown, known = self._by_phrase(head, also, depth + 1)
            if known:
                tail, whole = self._look(rest, also, depth + 1)
                return shown + ("" if whole else " ") + tail, whole
        return text, False
