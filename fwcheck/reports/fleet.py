"""The pages about many images: HTML for people, CSV (RFC 4180) for tables, JSON for programs.

What images chose (names, places) is hostile here as it is in the report of one: see :mod:`fwcheck.reports.page` and
:mod:`fwcheck.reports.csv`.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from fwcheck.fleet import Entry, Fleet
from fwcheck.jcstar.extent import size
from fwcheck.language.told import said
from fwcheck.reports import view
from fwcheck.reports.csv import cell
from fwcheck.reports.labels import label
from fwcheck.reports.page import page
from fwcheck.reports.printable import encodable, plain
from fwcheck.reports.registry import Lang

_STATE = 22  # columns
_SHARED, _HOLDERS = 5, 4  # named on a terminal
_RULE = re.compile("[A-Z]{2,8}-[0-9]{1,4}")
_ADVERSE = ("critical", "high", "medium", "low")
COLUMNS = (
    *("image", "product", "state", "reason", "sha256", "size", "format", "platform", "target", "refuted", "score"),
    *("highest_not_refuted", *_ADVERSE, "gate", "files", "unread_percent", "components", "outdated_components"),
    *("exploited_vulnerabilities", "shared_secrets", "worst_rule", "worst_finding", "worst_place", "report"),
)


def html(fleet: Fleet, *, lang: Lang = "en") -> str:
    """The fleet as one HTML page with links to the reports beside it."""

    def word(key: str, **values: str | int) -> str:
        return label(key, lang, **values)

    read = [each for each in fleet.entries if each.state == "read"]
    values: dict[str, Any] = {
        "fleet": fleet,
        "read": read,
        "failed": [each for each in fleet.entries if each.state == "failed"],
        "refuted": sum(each.refuted for each in read),
        "levels": [each.id for each in read[0].levels] if read else [],
        "severities": _ADVERSE,
        "sharing": sharing(fleet),
        "twins": twins(fleet),
        "lang": lang,
        "word": word,
        "said": lambda text: said(text, lang),
        "what": lambda text: _what(text, lang),
        "size": size,
        "percent": view.percent,
        "gate": gate,
        "exploited": exploited,
        "addresses": {each.label: address(each) for each in read if each.reports},
    }
    return page("fleet", values)


def _what(text: str, lang: Lang) -> str:
    """What a shared secret is: its kind, or a rule and its title."""
    rule, _, title = text.partition(" ")
    return f"{rule} {said(title, lang)}" if _RULE.fullmatch(rule) else text


def table(fleet: Fleet) -> str:
    """One row for each image, in the order of the page. No cell can start a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    shared = sharing(fleet)
    for each in fleet.entries:
        writer.writerow([cell(value) for value in _row(each, shared.get(each.label, 0))])
    writer.writerows([[cell(name), cell(name.split("/")[0]), "pending"] + [""] * (len(COLUMNS) - 3) for name in fleet.pending])
    return out.getvalue()


def _row(each: Entry, shared: int) -> list[str]:
    if each.state == "failed":
        return [each.label, each.product, each.state, each.reason, "", str(each.size)] + [""] * (len(COLUMNS) - 6)
    worst = each.worst[0] if each.worst else None
    return [
        *(each.label, each.product, each.state, each.reason, each.sha256, str(each.size), each.format, each.platform),
        *(each.target, "yes" if each.refuted else "no", str(each.score), each.highest or "none"),
        *(str(each.counts.get(name, 0)) for name in _ADVERSE),
        *(gate(each), str(each.files), f"{100 * each.unread:.1f}", str(each.components), str(len(each.outdated))),
        *(str(exploited(each)), str(shared)),
        *((worst.rule, worst.title, worst.place) if worst is not None else ("", "", "")),
        address(each),
    ]


def text(fleet: Fleet, *, lang: Lang = "en") -> str:
    """The fleet as lines for a terminal: one for each image, worst first, then what they share."""

    def word(key: str, **values: str | int) -> str:
        return label(key, lang, **values)

    columns = (word("level"), word("score"), *map(word, _ADVERSE), word("image"))
    rows = [_told(each, word, lang) for each in fleet.entries]
    rows += [(word("not_yet"), *[""] * 5, plain(name)) for name in fleet.pending]
    widths = [max(_STATE, *(_wide(row[0]) for row in rows)) if rows else _STATE, *(max(4, _wide(each)) for each in columns[1:-1])]
    out = [_aligned(row, widths) for row in (columns, *rows)]
    across = [each for each in fleet.shared if each.products > 1]
    out += ["", word("fleet_shares", count=len(fleet.shared), products=len(across), total=len(fleet.outdated))]
    for each in across[:_SHARED]:
        holders = ", ".join(plain(one.label) for one in each.holders[:_HOLDERS])
        out.append(f"  {word(f'held_{each.kind}'.replace(' ', '_'))} {plain(_what(each.what, lang))}: {holders}")
    return "\n".join(out) + "\n"


def _told(each: Entry, word: Callable[..., str], lang: Lang) -> tuple[str, ...]:
    """The cells of one image."""
    if each.state == "failed":
        return word("not_read"), *[""] * 5, f"{plain(each.label)}: {plain(said(each.reason, lang))}"
    state = "nothing_in_it" if each.nothing else "is_refuted" if each.refuted else "is_not_refuted"
    counts = (str(each.counts.get(name, 0)) for name in _ADVERSE)
    return word(state, level=each.target), str(each.score), *counts, plain(each.label)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """The first cell and the last to the left, what stands between to the right."""
    shown = row[0] + " " * (widths[0] - _wide(row[0]))
    numbers = (" " * (width - _wide(cell)) + cell for cell, width in zip(row[1:-1], widths[1:], strict=True))
    return f"{shown} {' '.join(numbers)}  {row[-1]}"


def _wide(text: str) -> int:
    """Columns that a text takes on a terminal: wide characters take two (UAX #11)."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def plain_json(fleet: Fleet) -> str:
    """The fleet as indented JSON. The marks of secrets stay out: they serve to compare, and have done so."""
    values: dict[str, Any] = msgspec.to_builtins(fleet)
    for each in values["entries"]:
        for held in each["held"]:
            del held["mark"]
    return msgspec.json.format(msgspec.json.encode(encodable(values)), indent=2).decode() + "\n"


def gate(each: Entry) -> str:
    """The state of an image's gate in one word; empty when none was asked for."""
    if not each.gate_asked:
        return ""
    return "undecided" if each.gate_undecided else "held" if each.gate_passed else "failed"


def address(each: Entry) -> str:
    """Where an image's report lies, from the page."""
    return each.reports.get("html") or next(iter(each.reports.values()), "")


def exploited(each: Entry) -> int:
    """How many vulnerabilities of an image's components are known to be exploited."""
    return sum(piece.exploited for piece in each.outdated)


def sharing(fleet: Fleet) -> dict[str, int]:
    """How many secrets each image shares with others."""
    counts: dict[str, int] = {}
    for each in fleet.shared:
        for holder in each.holders:
            counts[holder.label] = counts.get(holder.label, 0) + 1
    return counts


def twins(fleet: Fleet) -> dict[str, str]:
    """Images whose bytes are those of another, by label: the one that comes first in the alphabet."""
    first: dict[str, str] = {}
    out: dict[str, str] = {}
    for each in sorted((each for each in fleet.entries if each.sha256), key=lambda each: each.label):
        if each.sha256 in first:
            out[each.label] = first[each.sha256]
        first.setdefault(each.sha256, each.label)
    return out
