"""What changed between two images, for people: lines for a terminal, Markdown for a merge request, one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.difference import Change, Difference
from fwcheck.jcstar.catalogue import criteria
from fwcheck.language.told import said
from fwcheck.reports import view
from fwcheck.reports.labels import label
from fwcheck.reports.markdown import escape
from fwcheck.reports.page import page
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

GROUPS = ("verdicts", "findings", "components", "services", "listeners", "accounts", "keys", "sizes", "coverage")
_MARKS = {"appeared": "+", "went": "-", "changed": "~", "kept": "="}
_ROWS = 500  # of one group in Markdown


def text(found: Difference, lang: Lang = "en") -> str:
    """Lines for a terminal."""
    lines = [f"{label('diff_old', lang)}: {plain(found.old)}", f"{label('diff_new', lang)}: {plain(found.new)}"]
    for name, changes in groups(found):
        lines += ["", label(f"diff_{name}", lang), *(plain(_line(change, lang)) for change in changes)]
    if found.nothing:
        lines += ["", label("diff_nothing", lang)]
    return "\n".join(lines) + "\n"


def markdown(found: Difference, lang: Lang = "en") -> str:
    """Tables of GitHub-flavoured Markdown; text from the images forms no markup."""
    return "\n".join(_markdown(found, lang)) + "\n"


def html(found: Difference, lang: Lang = "en") -> str:
    """One page without anything from elsewhere."""
    held = groups(found)
    changes = [change for _, group in held for change in group]
    values = {
        "found": found,
        "groups": [(name, [_row(change, lang) for change in sorted(group, key=_urgency)]) for name, group in held],
        "stands": [(each, view.stand_sentence(each, lang)) for each in found.stands or ()],
        "worse": sum(change.worse is True for change in changes),
        "better": sum(change.worse is False for change in changes),
        "neither": sum(change.worse is None for change in changes),
        "lang": lang,
        "word": lambda key, **more: label(key, lang, **more),
    }
    return page("comparison", values)


class Row(NamedTuple):
    """A change as the page shows it."""

    tone: str
    mark: str
    what: str
    about: str
    before: str
    after: str
    place: str


def _row(change: Change, lang: Lang) -> Row:
    tone = {True: "worse", False: "better", None: "neither"}[change.worse]
    known = criteria().get(change.what)
    about = known.title(lang) if known is not None else ""
    mark = f"{_MARKS[change.kind]} {label(f'diff_{change.kind}', lang)}"
    return Row(tone, mark, _what(change, lang), about, *_states(change, lang), change.place)


def _urgency(change: Change) -> int:
    """What got worse first, then what got better; their own order within."""
    return {True: 0, False: 1, None: 2}[change.worse]


def groups(found: Difference) -> list[tuple[str, tuple[Change, ...]]]:
    """The groups that hold something, in order of what matters."""
    return [(name, held) for name in GROUPS if (held := getattr(found, name))]


def _line(change: Change, lang: Lang) -> str:
    states = " -> ".join(each for each in _states(change, lang) if each)
    place = f"  ({change.place})" if change.place else ""
    worse = f"  {label('diff_worse', lang)}" if change.worse else ""
    return f"{_MARKS[change.kind]} {_what(change, lang)}: {states}{place}{worse}"


def _what(change: Change, lang: Lang) -> str:
    return said(change.what, lang) if change.kind == "changed" and not change.place else change.what


def _states(change: Change, lang: Lang) -> tuple[str, str]:
    if change.kind == "kept":
        return said(change.before, lang), ""
    return said(change.before, lang), said(change.after, lang)


def _markdown(found: Difference, lang: Lang) -> Iterator[str]:
    yield f"# {escape(found.old)} → {escape(found.new)}"
    for name, changes in groups(found):
        worse = sum(bool(change.worse) for change in changes)
        yield ""
        yield f"## {label(f'diff_{name}', lang)} ({len(changes)}" + (f", {label('diff_worse', lang)}: {worse})" if worse else ")")
        yield ""
        columns = ("", "", label("diff_old", lang), label("diff_new", lang), label("where", lang))
        yield f"| {' | '.join(columns)} |"
        yield f"|{' --- |' * len(columns)}"
        for change in sorted(changes, key=lambda each: not each.worse)[:_ROWS]:
            mark = f"**{label('diff_worse', lang)}**" if change.worse else label(f"diff_{change.kind}", lang)
            cells = (_what(change, lang), *_states(change, lang), change.place)
            yield f"| {mark} | {' | '.join(escape(each) for each in cells)} |"
        if len(changes) > _ROWS:
            yield ""
            yield label("more", lang, count=len(changes) - _ROWS)
    if found.nothing:
        yield ""
        yield label("diff_nothing", lang)
