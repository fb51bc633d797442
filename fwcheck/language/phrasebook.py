"""A phrasebook: English sentences with blanks, and the same sentences in another language.

Reports hold English texts that are filled in already ("Account admin has no password"): the JSON report is the contract, and one
that was made earlier has to be shown too. So a phrase is recognised by its fixed words, and what stands in its blanks is put into
the other language's sentence. A text that no phrase fits stays as it is.

A blank is written ``{name}``. What stands in it is kept letter by letter, unless its kind says otherwise:

``{name:d}``      digits alone
``{name:w}``      one word, kept
``{name:text}``   a text that is looked up in turn
``{name:any}``    the same, where it may be a name as well: then it is kept
``{name:list}``   texts with a comma between them, each looked up
``{name:names}``  the same, where each may be a name
``{name:items}``  texts with a semicolon between them, each looked up

Texts may come from an image: recognising one takes time linear in its length for each phrase, and looking up in turn is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

_BLANK = re.compile(r"\{(\w+)(?::(d|w|text|any|list|names|items))?\}")
_LONGEST = 6000  # characters of a text that is looked up
_DEEPEST = 8
_LOOKUPS = 3_000  # for one text
_SENTENCES = 12
_CLAUSES = 12  # of a text
_PARTS = 4  # that one member of a list may consist of
_CUT = 100  # a text this long may have been cut at its end
_TELLING = 12  # fixed characters of a phrase that is used though not all in its blanks is known
_MISSING = 4  # fixed characters that may be missing at its end
_SURE = 8  # fixed characters that such a text has to begin with
_SEPARATORS = {"list": (", ", "、"), "names": (", ", "、"), "items": ("; ", "；")}
_SENTENCE = re.compile(r"[.!?] ")
_END = re.compile(r"[.!?](?= )")
_SHAPES = {"d": re.compile(r"[0-9]+"), "w": re.compile(r"\S+")}
_MAY_BE_NAMES = frozenset({"any", "names"})
_REMEMBERED = 20_000
_BEGINNING = 6  # characters that phrases are found by


class _Blank(NamedTuple):
    name: str
    kind: str


class _Told(NamedTuple):
    """A text in the other language, as far as it is known.

    ``weight``: how many of its characters were recognised. Of several ways to read a text the one that knows all its parts is
    taken, and of those the one that recognises most of it.
    """

    text: str
    known: bool
    weight: int = 0

    @property
    def worth(self) -> tuple[bool, int]:
        """What readings of one text are compared by."""
        return self.known, self.weight


class _Call:
    """One question: further whole texts, how many look-ups are left, and what was found."""

    def __init__(self, text: str, also: Mapping[str, str]) -> None:
        self.also = also
        self.cut = len(text) >= _CUT
        self.left = _LOOKUPS
        self.seen: dict[tuple[str, int], _Told] = {}


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
            if cut and self._allowed(cut):
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
        """The blanks of a text whose end is missing: the last one takes the rest. Empty when more than a mark is missing."""
        found: list[str] = []
        for literal in self.literals[1:-1]:
            at = rest.find(literal, 1)
            if at < 0:
                return []
            found.append(rest[:at])
            rest = rest[at + len(literal) :]
        return [*found, rest] if self.blanks and rest and len(self.literals[-1]) <= _MISSING else []

    def _allowed(self, found: list[str]) -> bool:
        if not self.literals[0] and _SENTENCE.search(found[0]):
            return False
        return all(
            value and (blank.kind not in _SHAPES or _SHAPES[blank.kind].fullmatch(value))
            for value, blank in zip(found, self.blanks, strict=True)
        )

    def filled(self, values: Mapping[str, str]) -> str:
        """The counterpart with these values in its blanks."""
        return _BLANK.sub(lambda hit: values[hit[1]], self.other)


class Phrasebook:
    """Phrases by their beginnings."""

    def __init__(self, phrases: Iterable[tuple[str, str]]) -> None:
        self._whole: dict[str, str] = {}
        self._by_beginning: dict[str, list[tuple[int, Phrase]]] = {}
        held: list[Phrase] = []
        for english, other in phrases:
            if _BLANK.search(english):
                held.append(Phrase(english, other))
            else:
                self._whole[english] = other
        for rank, phrase in enumerate(sorted(held, key=lambda each: -each.weight)):
            self._by_beginning.setdefault(phrase.literals[0][:_BEGINNING], []).append((rank, phrase))
        self._said: dict[str, _Told] = {}

    def say(self, text: str, also: Mapping[str, str] | None = None) -> str:
        """The text in the other language; as it is where no phrase fits. ``also``: further whole texts, for this call alone."""
        return self._asked(text, also)[0]

    def knows(self, text: str, also: Mapping[str, str] | None = None) -> bool:
        """Whether every part of the text that is looked up was found."""
        return self._asked(text, also)[1]

    def _asked(self, text: str, also: Mapping[str, str] | None) -> _Told:
        if also is None and text in self._said:
            return self._said[text]
        told = self._look(text, _Call(text, also or {}), 0)
        if also is None and len(self._said) < _REMEMBERED:
            self._said[text] = told
        return told

    def _look(self, text: str, call: _Call, depth: int) -> _Told:
        if text in call.also:
            return _Told(call.also[text], known=True, weight=len(text))
        if (whole := self._entire(text)) is not None:
            return _Told(whole, known=True, weight=len(text))
        call.left -= 1
        if not text or depth > _DEEPEST or len(text) > _LONGEST or call.left < 0:
            return _Told(text, known=False)
        if (text, depth) not in call.seen:
            ways = (self._by_phrase, self._by_sentence, self._by_list, self._by_clause)
            call.seen[text, depth] = max((way(text, call, depth) for way in ways), key=lambda told: told.worth)
        return call.seen[text, depth]

    def _entire(self, text: str) -> str | None:
        """The counterpart of a text without blanks; it may begin a sentence, with a capital letter."""
        return self._whole.get(text) or self._whole.get(text[:1].lower() + text[1:])

    def _by_phrase(self, text: str, call: _Call, depth: int) -> _Told:
        lower = text[:1].lower() + text[1:]
        best = _Told(text, known=False)
        for begun, tried in dict.fromkeys(((True, text), (True, lower), (False, text))):
            for phrase in self._beginning(tried) if begun else self._anyhow:
                for values in phrase.values(tried):
                    told = self._filled(phrase, values, call, depth)
                    if told.worth > best.worth and (told.known or phrase.weight >= _TELLING):
                        best = told
        return best

    def _beginning(self, text: str) -> list[Phrase]:
        """The phrases whose fixed beginning may be that of the text, the heaviest first."""
        held: list[tuple[int, Phrase]] = []
        for length in range(1, _BEGINNING + 1):
            held += self._by_beginning.get(text[:length], ()) if length <= len(text) else ()
        return [phrase for _, phrase in sorted(held)]

    @cached_property
    def _anyhow(self) -> list[Phrase]:
        """The phrases that begin with a blank."""
        return [phrase for _, phrase in self._by_beginning.get("", ())]

    def _filled(self, phrase: Phrase, values: list[str], call: _Call, depth: int) -> _Told:
        told = [self._value(value, blank.kind, call, depth) for value, blank in zip(values, phrase.blanks, strict=True)]
        shown = phrase.filled({blank.name: each.text for blank, each in zip(phrase.blanks, told, strict=True)})
        return _Told(shown, all(each.known for each in told), phrase.weight + sum(each.weight for each in told))

    def _value(self, value: str, kind: str, call: _Call, depth: int) -> _Told:
        if not kind or kind in _SHAPES:
            return _Told(value, known=True)
        if kind in {"any", "text"} or value in call.also or self._entire(value) is not None:
            shown = self._look(value, call, depth + 1)
            return shown._replace(known=shown.known or kind in _MAY_BE_NAMES)
        separator, other = _SEPARATORS[kind]
        told = list(self._members(value.split(separator), separator, call, depth + 1))
        return _joined(other, told)._replace(known=kind in _MAY_BE_NAMES or all(each.known for each in told))

    def _by_list(self, text: str, call: _Call, depth: int) -> _Told:
        """Clauses with semicolons or commas between them, where each is known for itself."""
        found = [_Told(text, known=False)]
        for separator, other in ("; ", "。"), (", ", "、"):
            parts = text.split(separator)
            if 1 < len(parts) <= _CLAUSES:
                told = [self._look(part, call, depth + 3) for part in parts]
                if all(each.known for each in (told[:-1] if call.cut and len(told) > 2 else told)):
                    found.append(_joined(other, told)._replace(known=True))
        return max(found, key=lambda each: each.worth)

    def _members(self, parts: list[str], separator: str, call: _Call, depth: int) -> Iterator[_Told]:
        """The members of a list, each as short as it can be; one that is known may hold the separator itself."""
        at = 0
        while at < len(parts):
            found, end = _Told(parts[at], known=False), at + 1
            for stop in range(at + 1, min(len(parts), at + _PARTS) + 1):
                told = self._look(separator.join(parts[at:stop]), call, depth)
                if told.known:
                    found, end = told, stop
                    break
            yield found
            at = end

    def _by_sentence(self, text: str, call: _Call, depth: int) -> _Told:
        """A beginning that is known, then the rest; one that is a whole text counts before one that a phrase fits."""
        found = [_Told(text, known=False)]
        for hit in reversed(list(islice(_END.finditer(text), _SENTENCES))):
            head, rest = text[: hit.end()], text[hit.end() + 1 :]
            whole = call.also.get(head) or self._entire(head)
            told = self._by_phrase(head, call, depth + 1) if whole is None else _Told(whole, known=True, weight=len(head))
            if told.known:
                tail = self._look(rest, call, depth + 1)
                found.append(_Told(told.text + ("" if tail.known else " ") + tail.text, tail.known, told.weight + tail.weight))
            if whole is not None:
                break
        return max(found, key=lambda each: each.worth)

    def _by_clause(self, text: str, call: _Call, depth: int) -> _Told:
        """A clause that was made a sentence."""
        if not text.endswith(".") or "." in text[:-1]:
            return _Told(text, known=False)
        clause = self._look(text[:-1], call, depth + 1)
        return clause._replace(text=f"{clause.text}。") if clause.known else _Told(text, known=False)


def _joined(separator: str, told: Sequence[_Told]) -> _Told:
    return _Told(separator.join(each.text for each in told), all(each.known for each in told), sum(each.weight for each in told))
