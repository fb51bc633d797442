"""The HTML report: one file that needs nothing else, for reading, printing and sending on.

Names and evidence come from the image and are hostile: see :mod:`fwcheck.reports.page`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fwcheck.jcstar.catalogue import Criterion, criteria, shipped
from fwcheck.jcstar.extent import size
from fwcheck.language.told import said, told
from fwcheck.model import CriterionVerdict, Finding, Report, TierVerdict
from fwcheck.reports import boot_graph, view
from fwcheck.reports._file_tree import tree
from fwcheck.reports._finding_cards import cards
from fwcheck.reports.labels import label
from fwcheck.reports.page import page
from fwcheck.reports.registry import Lang

_MAP_LABEL = 7.0  # spans narrower than this (per cent) carry no label


class Bar(NamedTuple):
    """A rectangle of the image map; position and width in per cent."""

    x: float
    width: float
    kind: str
    label: str
    tip: str


class Level(NamedTuple):
    """One level with the criteria that are its own."""

    tier: TierVerdict
    sentence: str
    rows: tuple[CriterionVerdict, ...]
    banner: str


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:
    """The report as one HTML document."""
    return page("report", _values(told(report, lang), lang, show_secrets=show_secrets))


_TRAITS = ("microcontroller", "isolation", "storage", "reset", "logging", "resilience")


def _values(report: Report, lang: Lang, *, show_secrets: bool) -> dict[str, Any]:
    groups = view.adverse(report.findings)
    findings = [
        finding
        for _, held in groups
        for finding in sorted(held, key=lambda each: (each.verdict != "violation", each.rule, each.baseline == "known"))
    ]
    waived = [finding for finding in report.findings if finding.waived and finding.verdict in {"violation", "concern"}]
    findings += sorted(waived, key=lambda each: (each.rule, each.severity, each.verdict))
    findings += view.of_verdict(report.findings, "support") + view.of_verdict(report.findings, "info")
    number: dict[str, int] = {}
    for index, finding in enumerate(findings, 1):
        number.setdefault(finding.fingerprint, index)
    places: dict[tuple[tuple[str, ...], str], int] = {}
    for index, finding in enumerate(findings, 1):
        if finding.location.path:
            places.setdefault((finding.location.chain, finding.location.path), index)
    known = criteria()
    drawn, left = boot_graph.bounded(report.device)

    def word(key: str, **values: str | int) -> str:
        return label(key, lang, **values)

    def linked(row: CriterionVerdict) -> list[tuple[int, Finding]]:
        return [(number[each], findings[number[each] - 1]) for each in row.findings if each in number]

    def needs(row: CriterionVerdict) -> list[tuple[str, str]]:
        return view.needs_of(row, lang)

    def criterion(row: CriterionVerdict) -> Criterion | None:
        return known.get(row.id)

    return {
        "report": report,
        "lang": lang,
        "word": word,
        "tier": view.target(report),
        "sentence": view.level_sentence(view.target(report), lang),
        "levels": levels(report, lang),
        "findings": findings,
        "cards": _markup(cards(findings, word, {row.id for row in report.tiers[-1].criteria}, show_secrets=show_secrets)),
        "tree": _markup(tree(report.tree, places, word)),
        "listed": sum(len(branch.leaves) + branch.more for branch in report.tree),
        "nothing_read": view.nothing_read(report),
        "steps": view.fix_first(report, groups),
        "number": number,
        "graph": boot_graph.graph(drawn),
        "services_left": left,
        "reaches": boot_graph.reaches(report.device),
        "idle": boot_graph.idle(report.device),
        "loose": boot_graph.loose(report.device),
        "age": lambda component: view.age(component.released, report.tool.database_date),
        "riskiest": lambda component: max((each.score or 0 for each in component.vulnerabilities), default=0),
        "waived": len(waived),
        "compared": any(each.baseline for each in report.findings),
        "fresh": sum(each.baseline == "new" for _, held in groups for each in held),
        "tally": [(severity.value, len(held)) for severity, held in groups],
        "linked": linked,
        "criterion": criterion,
        "needs": needs,
        "all_needs": view.needs(view.target(report), lang),
        "components": view.components(report.components),
        "bars": bars(report, lang),
        "parts": view.parts(report.coverage),
        "gaps": sorted(report.coverage.gaps, key=lambda gap: (-gap.bytes, gap.node, gap.reason)),
        "gate_state": view.gate_state(report.gate),
        "place": view.place,
        "spot": view.spot,
        "said": lambda text: said(text, lang),
        "title": lambda row: view.title(row, lang),
        "show_secrets": show_secrets,
        "password": lambda account: view.password(account, lang, show_secrets=show_secrets),
        "traits": [(name, rows) for name in _TRAITS if (rows := getattr(report.device, name))],
        "size": size,
        "percent": view.percent,
    }


def _markup(content: str) -> Any:
    """HTML that was escaped where it was made."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(content)  # noqa: S704


def levels(report: Report, lang: Lang = "en") -> list[Level]:
    """Every level with its own criteria: those of the levels below it are left to them."""
    banners = {profile.id: profile.banner(lang) for profile in shipped()}
    out: list[Level] = []
    below = 0
    for tier in report.tiers:
        rows = tier.criteria[below:]
        below = len(tier.criteria)
        out.append(Level(tier, view.level_sentence(tier, lang), rows, banners.get(tier.id, tier.note)))
    return out


def bars(report: Report, lang: Lang = "en") -> list[Bar]:
    """The image as rectangles from left to right: its spans where the report holds them, else its classes of bytes."""
    total = report.coverage.bytes_total
    if not total:
        return []
    out: list[Bar] = []
    for start, length, kind, name in _pieces(report):
        left, right = (100 * max(0, min(each, total)) / total for each in (start, start + length))
        if right > left:
            fits = right - left >= max(_MAP_LABEL, 0.8 * len(name))
            at = f"0x{start:x}, " if report.coverage.spans else ""
            shown = kind if lang == "en" else label(kind, lang)
            tip = f"{at}{size(length)}: {shown} {name}".rstrip()
            out.append(Bar(round(left, 3), round(max(right - left, 0.06), 3), kind, name if fits else "", tip))
    return out


def _pieces(report: Report) -> Iterator[tuple[int, int, str, str]]:
    """Offset, length, class and label of each rectangle; classes side by side when the report has no spans."""
    for span in report.coverage.spans:
        yield span.offset, span.length, span.kind, span.label
    if not report.coverage.spans:
        at = 0
        for part in view.parts(report.coverage):
            yield at, part.bytes, part.name, ""
            at += part.bytes
