"""The findings as HTML: by rule, so that why and what to do stand once; each with its place and what stands around it.

Written out by hand: thousands of findings through a template engine take longer than everything else together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby

from fwcheck.model import Evidence, Finding, Location, Quote, Waiver
from fwcheck.reports import view
from fwcheck.reports.printable import plain

Word = Callable[..., str]

SHOWN = 5  # findings of a group that are seen at once; the others are folded away
_WITNESSES = 50
_PRINTED = bytes(each if 32 <= each < 127 else 0x2E for each in range(256))


def cards(findings: Sequence[Finding], word: Word, known: set[str], *, show_secrets: bool) -> str:
    """All findings in the order given, numbered from 1; ``known`` are the criteria that the page holds."""
    writer = _Writer(word, known, show_secrets=show_secrets)
    number = 0
    out: list[str] = []
    for _, held in groupby(findings, key=_alike):
        group = list(held)
        out += writer.group(group, number + 1)
        number += len(group)
    return "".join(out)


def _alike(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.severity, finding.verdict, finding.waived


def tone(finding: Finding) -> str:
    """What a finding is sorted and coloured by: how bad it is, that it is waived, or that it does not speak against the image."""
    if finding.waived:
        return "waived"
    return finding.severity.value if finding.verdict in {"violation", "concern"} else finding.verdict


def text(value: str) -> str:
    """Text from an image, or from a rule, as HTML."""
    return escape(plain(value))


def place(location: Location) -> str:
    """The chain softly, the path and the line or offset clearly."""
    whole = view.place(location)
    chain, _, last = whole.rpartition(" › ")
    return f'<span class="soft">{escape(chain)} › </span>{escape(last)}' if chain else escape(last)


def quoted(quote: Quote) -> str:
    """Lines with their numbers, or bytes as a dump; the row that counts is marked."""
    rows: list[str] = []
    width = len(str(quote.start + len(quote.rows)))
    lines = quote.kind == "lines"
    shown = [plain(row) if lines else f"{plain(row):47}  {_characters(row)}" for row in quote.rows]
    for index, row in enumerate(escape("\n".join(shown)).split("\n")):  # no row holds a line feed by now
        number = f"{quote.start + index:{width}}" if lines else f"{quote.start + 16 * index:08x}"
        line = f'<span class="n">{number}</span>  {row}'
        rows.append(f"<mark>{line}</mark>" if index == quote.mark else line)
    return "\n".join(rows)


def _characters(row: str) -> str:
    try:
        return bytes.fromhex(row).translate(_PRINTED).decode("ascii")
    except ValueError:  # a report that somebody else wrote
        return ""


class _Writer:
    def __init__(self, word: Word, known: set[str], *, show_secrets: bool) -> None:
        self._word = word
        self._known = known
        self._show_secrets = show_secrets
        self._words: dict[str, str] = {}

    def word(self, key: str) -> str:
        if key not in self._words:
            self._words[key] = escape(self._word(key))
        return self._words[key]

    def group(self, held: list[Finding], number: int) -> Iterator[str]:
        """One rule: heading, why, what to do; then its findings."""
        first = held[0]
        colour = tone(first)
        shared = {
            name: _one(getattr(each, name) for each in held) for name in ("title", "explanation", "remediation", "refuted_by")
        }
        yield f'<section class="rule {colour}" data-tone="{colour}">'
        yield f'<div class="tags">{"".join(self._tags(first, held))}</div>'
        title = text(shared["title"])
        count = f" <small>{escape(self._word('places', count=len(held)))}</small>" if len(held) > 1 else ""
        yield f'<h3><span class="id">{text(first.rule)}</span> {title}{count}</h3>'
        yield self._advice(shared["explanation"], shared["remediation"], shared["refuted_by"])
        mixed = len({each.baseline for each in held}) > 1
        waivers = {each.waiver for each in held}
        common = waivers.pop() if len(waivers) == 1 else None
        if common is not None:
            yield self._waiver(common)
        for index, finding in enumerate(held):
            if index == SHOWN:
                more = escape(self._word("more", count=len(held) - SHOWN))
                yield f'<details class="rest"><summary>{more}</summary>'
            yield from self._card(finding, number + index, colour, shared, told=common, mixed=mixed)
        yield "</details></section>" if len(held) > SHOWN else "</section>"

    def _tags(self, first: Finding, held: list[Finding]) -> Iterator[str]:
        colour = tone(first)
        if first.verdict in {"violation", "concern"}:
            severity = first.severity.value
            yield f'<span class="tag {severity}{" solid" if colour == "critical" else ""}">{self.word(severity)}</span>'
        yield f'<span class="tag {first.verdict}">{self.word(first.verdict)}</span>'
        confidence = _one(each.confidence for each in held)
        if confidence:
            yield f'<span class="tag">{self.word(confidence)}</span>'
        if first.waived:
            yield f'<span class="tag">{self.word("waived")}</span>'
        if fresh := sum(each.baseline == "new" for each in held):
            count = f" {fresh}/{len(held)}" if fresh < len(held) else ""
            yield f'<span class="tag fresh">{self.word("new")}{count}</span>'
        for name in dict.fromkeys(each for finding in held for each in finding.criteria):
            yield (
                f'<a class="tag" href="#{text(name)}">{text(name)}</a>'
                if name in self._known
                else f'<span class="tag">{text(name)}</span>'
            )

    def _advice(self, explanation: str, remediation: str, refuted_by: str) -> str:
        out = f"<p>{text(explanation)}</p>" if explanation else ""
        out += f"<p><b>{self.word('fix')}:</b> {text(remediation)}</p>" if remediation else ""
        return out + (f'<p class="soft">{self.word("refuted_by")}: {text(refuted_by)}</p>' if refuted_by else "")

    def _waiver(self, waiver: Waiver) -> str:
        about = f"{self.word('owner')}: {text(waiver.owner)}, {self.word('waived_until')}: {text(waiver.expires)}"
        return f'<p class="waiver"><b>{self.word("waiver")}:</b> {text(waiver.reason)} <span class="soft">({about})</span></p>'

    def _card(
        self, finding: Finding, number: int, colour: str, shared: dict[str, str], *, told: Waiver | None, mixed: bool
    ) -> Iterator[str]:
        fresh = finding.baseline == "new"
        yield f'<article id="f{number}" class="{colour}"{" data-new" if fresh else ""}>'
        if not shared["title"]:
            yield f"<h4>{text(finding.title)}</h4>"
        mark = f' <span class="tag fresh">{self.word("new")}</span>' if fresh and mixed else ""
        yield f'<p class="where mono">{place(finding.location)}{mark}</p>'
        evidence = f"<code>{text(finding.evidence)}</code>" if finding.evidence else ""
        if finding.quote is not None:
            about = self.word(f"quote_{finding.quote.kind}")
            yield (
                f'<details class="quote"><summary>{evidence} <span class="soft">{about}</span></summary>'
                f'<pre tabindex="0" aria-label="{about}">{quoted(finding.quote)}</pre></details>'
            )
        elif evidence:
            yield f'<p class="evidence">{evidence}</p>'
        if self._show_secrets and finding.secret:
            yield f"<p>{self.word('secret')}: <code>{text(finding.secret)}</code></p>"
        if finding.waiver is not None and finding.waiver != told:
            yield self._waiver(finding.waiver)
        if finding.witnesses:
            yield from self._witnesses(finding.witnesses)
        yield self._advice(
            *("" if shared[name] else getattr(finding, name) for name in ("explanation", "remediation", "refuted_by"))
        )
        yield "</article>"

    def _witnesses(self, held: Sequence[Evidence]) -> Iterator[str]:
        yield f'<details><summary class="soft">{escape(self._word("more", count=len(held)))}</summary><ul class="plain">'
        for each in held[:_WITNESSES]:
            said = f' <code class="soft">{text(each.text)}</code>' if each.text else ""
            yield f'<li class="mono">{place(each.location)}{said}</li>'
        yield "</ul></details>"


def _one(values: Iterator[str]) -> str:
    """The value that all have; empty when they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else ""
