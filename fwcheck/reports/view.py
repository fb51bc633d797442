"""What the readable reports show, worked out once: order, grouping, shares, the sentence on a level."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from fwcheck.difference import Standing, standing
from fwcheck.jcstar.catalogue import criteria
from fwcheck.model import (
    Account,
    Component,
    Coverage,
    CriterionVerdict,
    Finding,
    GateResult,
    Location,
    Report,
    Severity,
    TierVerdict,
    Verdict,
)
from fwcheck.reports.labels import label
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_SEVERITIES = {severity: number for number, severity in enumerate(Severity)}
_CONFIDENCE = {"certain": 0, "firm": 1, "tentative": 2}


class Part(NamedTuple):
    """One class of bytes of the image."""

    name: str
    bytes: int
    share: float  # of the whole image, 0 to 1


class Need(NamedTuple):
    """A document or device test, and the criteria that wait for it."""

    kind: str
    text: str
    criteria: tuple[str, ...]


def target(report: Report) -> TierVerdict:
    """The tier that was aimed at."""
    return next(tier for tier in report.tiers if tier.id == report.tier.target)


def stand_sentence(stands: Standing, lang: Lang = "en") -> str:
    """Refuted by how many criteria, or not refuted with what could be decided."""
    if stands.refuted:
        key = "refuted_one" if stands.contradicted == 1 else "refuted"
        return label(key, lang, level=stands.level, count=stands.contradicted)
    return label("not_refuted", lang, level=stands.level, decidable=stands.decidable, total=stands.total)


def level_sentence(tier: TierVerdict, lang: Lang = "en") -> str:
    """The same of a level that was judged."""
    return stand_sentence(standing(tier), lang)


def nothing_read(report: Report) -> bool:
    """Whether nothing in the image could be analysed: it is no firmware image, or one of a kind that is not known."""
    return not report.coverage.files and not report.findings and not report.components and not target(report).decidable


def adverse(findings: Sequence[Finding]) -> list[tuple[Severity, list[Finding]]]:
    """Findings that speak against the image and are not waived, by severity, worst first; within a rule, certain ones first."""
    held = [each for each in findings if each.verdict in {"violation", "concern"} and not each.waived]
    return [(severity, list(same)) for severity, same in groupby(sorted(held, key=_order), key=lambda each: each.severity)]


class Step(NamedTuple):
    """One thing to mend: a rule, its worst finding, and what mending it is worth."""

    finding: Finding
    places: int
    criteria: tuple[str, ...]  # of the target level that it refutes or weighs on
    refutes: bool
    fresh: bool  # not known to the baseline, where one was given


def fix_first(report: Report, groups: Sequence[tuple[Severity, list[Finding]]] | None = None, most: int = 6) -> list[Step]:
    """What to mend first: what refutes the target level, then what is worst; one step for each rule."""
    tier = target(report)
    rows = {row.id: row for row in tier.criteria}
    by_fingerprint: dict[str, list[str]] = {}
    for row in tier.criteria:
        for fingerprint in row.findings:
            by_fingerprint.setdefault(fingerprint, []).append(row.id)
    steps: list[tuple[tuple[object, ...], Step]] = []
    by_rule: dict[str, list[Finding]] = {}
    for _, held in adverse(report.findings) if groups is None else groups:
        for each in held:
            by_rule.setdefault(each.rule, []).append(each)
    for rule, same in by_rule.items():
        ids = tuple(dict.fromkeys(id for each in same for id in by_fingerprint.get(each.fingerprint, ())))
        refutes = any(
            each.verdict == "violation" and rows[id].verdict is Verdict.VIOLATION
            for each in same
            for id in by_fingerprint.get(each.fingerprint, ())
        )
        lost = sum(rows[id].lost for id in ids)
        weight = (not refutes, _SEVERITIES[same[0].severity], -lost, rule)
        steps.append((weight, Step(same[0], len(same), ids, refutes, any(each.baseline == "new" for each in same))))
    return [step for _, step in sorted(steps, key=lambda each: each[0])][:most]


def age(released: str | None, today: str | None) -> str:
    """How old a release was when the knowledge was made, in years; empty where one of the dates is not known."""
    try:
        days = (dt.date.fromisoformat((today or "")[:10]) - dt.date.fromisoformat((released or "")[:10])).days
    except ValueError:
        return ""
    return f"{max(0, days) / 365.25:.0f}" if days >= 365 else "<1"


def by_rule(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """Findings of one group by rule, in the order given."""
    return [(rule, list(held)) for rule, held in groupby(findings, key=lambda each: each.rule)]


def of_verdict(findings: Sequence[Finding], verdict: str) -> list[Finding]:
    """Findings of one verdict."""
    return sorted((each for each in findings if each.verdict == verdict), key=_order)


def spot(location: Location) -> str:
    """A location without its chain, where what stands around it names that already."""
    return place(msgspec.structs.replace(location, chain=() if location.path else location.chain[-1:]))


def place(location: Location) -> str:
    """A location on one line: chain, path, then line or offset."""
    at = " › ".join(plain(each) for each in (*location.chain, location.path) if each)
    if location.line is not None:
        return f"{at}:{location.line}"
    if location.offset is None or location.path == f"0x{location.offset:x}":
        return at
    return f"{at} @ 0x{location.offset:x}"


def parts(coverage: Coverage) -> list[Part]:
    """The classes of bytes and their shares; empty for an empty coverage."""
    total = coverage.bytes_total
    if not total:
        return []
    counts = (
        ("explained", coverage.bytes_explained),
        ("padding", coverage.bytes_padding),
        ("unknown", coverage.bytes_unknown),
        ("encrypted", coverage.bytes_encrypted),
    )
    return [Part(name, count, count / total) for name, count in counts]


def percent(share: float) -> str:
    """A share for people: anything that exists is never shown as nothing, and nothing less than all as all."""
    if 0 < share < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


def title(row: CriterionVerdict, lang: Lang = "en") -> str:
    """The criterion's title in one language."""
    return (row.title_ja or row.title) if lang == "ja" else row.title


def needs(tier: TierVerdict, lang: Lang = "en") -> list[Need]:
    """What would decide the criteria that the image left open, each once, with the criteria that wait for it."""
    waiting: dict[tuple[str, str], list[str]] = {}
    for row in tier.criteria:
        if row.verdict is Verdict.VIOLATION:
            continue
        for kind, text in needs_of(row, lang):
            waiting.setdefault((kind, text), []).append(row.id)
    return [Need(kind, text, tuple(ids)) for (kind, text), ids in waiting.items()]


def needs_of(row: CriterionVerdict, lang: Lang = "en") -> list[tuple[str, str]]:
    """Kind and text of what decides a criterion outside the image."""
    known = criteria().get(row.id)
    if known is not None:
        return [(need.kind, need.text(lang)) for need in known.needs]
    return [(each.partition(": ")[0], each.partition(": ")[2]) for each in row.needs]


def components(held: Sequence[Component]) -> list[Component]:
    """Components, those with known problems first."""

    def weight(each: Component) -> tuple[bool, bool, int, str, str]:
        exploited = any(one.known_exploited for one in each.vulnerabilities)
        return not exploited, each.end_of_life is None, -len(each.vulnerabilities), each.name, each.version or ""

    return sorted(held, key=weight)


def password(account: Account, lang: Lang = "en", *, show_secrets: bool = False) -> str:
    """The state of an account's password in words; the password itself only on demand."""
    words = label(f"password_{account.password}", lang) + (f" ({account.scheme})" if account.scheme else "")
    if account.cracked:
        words += f"{'、' if lang == 'ja' else ', '}{label('cracked', lang)}"
    if show_secrets and account.plain:
        words += f": {plain(account.plain)}"
    return words


def gate_state(gate: GateResult) -> str:
    """The label key of the gate's state."""
    if not gate.asked:
        return "gate_none"
    if gate.undecided:
        return "gate_undecided"
    return "gate_held" if gate.passed else "gate_failed"


def _order(finding: Finding) -> tuple[int, str, int, str, str]:
    return (
        _SEVERITIES[finding.severity],
        finding.rule,
        _CONFIDENCE[finding.confidence],
        finding.location.path,
        finding.fingerprint,
    )
