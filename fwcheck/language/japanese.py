"""A report as a Japanese reader gets it: the same report, its sentences in Japanese, its ids, names and evidence untouched.

The texts of rules stand beside the rules, those of criteria in the catalogue, all others in ``phrases/*.toml``. What has no
Japanese text (a rule of a third party, a report of another version) stays English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import TypeVar

import msgspec

from fwcheck.analysers.registry import rules
from fwcheck.jcstar.catalogue import criteria, shipped
from fwcheck.language.phrasebook import Phrasebook
from fwcheck.model import CriterionVerdict, Device, Finding, GateResult, Report, TierVerdict, Value

Noun = TypeVar("Noun", bound=Value)
_TEXTS = ("title", "explanation", "refuted_by", "remediation")


@cache
def phrasebook() -> Phrasebook:
    """Everything that the tool says, in Japanese."""
    return Phrasebook([*_of_rules(), *_of_criteria(), *_of_files()])


def in_japanese(report: Report) -> Report:
    """The report with its sentences in Japanese."""
    book = phrasebook()
    findings = tuple(_finding(finding, book) for finding in report.findings)
    quoted = _quoted(report.findings, findings)
    reasons: dict[str, str] = {}  # levels repeat the criteria of those below
    gaps = tuple(msgspec.structs.replace(gap, reason=book.say(gap.reason)) for gap in report.coverage.gaps)
    return msgspec.structs.replace(
        report,
        device=_device(report.device, book),
        coverage=msgspec.structs.replace(report.coverage, gaps=gaps),
        findings=findings,
        tiers=tuple(_tier(tier, book, quoted, reasons) for tier in report.tiers),
        gate=_gate(report.gate, book, quoted),
    )


def _of_rules() -> Iterator[tuple[str, str]]:
    for rule in rules().values():
        if rule.ja is not None:
            yield from ((getattr(rule, name), getattr(rule.ja, name)) for name in _TEXTS)
            yield from rule.ja.phrases.items()


def _of_criteria() -> Iterator[tuple[str, str]]:
    yield from ((profile.banner_en, profile.banner_ja) for profile in shipped())
    yield from ((criterion.title_en, criterion.title_ja) for criterion in criteria().values())


def _of_files() -> Iterator[tuple[str, str]]:
    folder = files(__package__) / "phrases"
    for each in sorted(folder.iterdir(), key=lambda file: file.name):
        if each.name.endswith(".toml"):
            for table in tomllib.loads(each.read_text("utf-8")).values():
                yield from table.items()


def _finding(finding: Finding, book: Phrasebook) -> Finding:
    rule = rules().get(finding.rule)
    if rule is None or rule.ja is None:
        return finding
    return msgspec.structs.replace(finding, **{name: book.say(getattr(finding, name)) for name in _TEXTS})


_IN_DEVICE: dict[str, tuple[str, ...]] = {
    "services": ("condition",),
    "update_paths": ("source", "sink", "mechanism", "detail"),
    "signatures": ("covers", "reason", "key_from"),
    "boot_chain": ("detail", "starts", "checked_by", "reason"),
    **dict.fromkeys(("microcontroller", "isolation", "storage", "reset", "logging", "resilience"), ("detail",)),
}


def _device(device: Device, book: Phrasebook) -> Device:
    """What the device model says in words. Stages and names of traits stay: reports ask for them by name."""
    rows = {name: tuple(_said(each, fields, book) for each in getattr(device, name)) for name, fields in _IN_DEVICE.items()}
    paths = tuple(
        msgspec.structs.replace(path, steps=tuple(_said(step, ("what", "reason"), book) for step in path.steps))
        for path in rows["update_paths"]
    )
    platform = device.platform if device.platform == "unknown" else book.say(device.platform)
    return msgspec.structs.replace(device, **{**rows, "update_paths": paths, "platform": platform})


def _said(row: Noun, fields: Iterable[str], book: Phrasebook) -> Noun:
    return msgspec.structs.replace(row, **{name: book.say(getattr(row, name)) for name in fields})


def _quoted(findings: Iterable[Finding], told: Iterable[Finding]) -> dict[str, str]:
    """Findings as reasons quote them: of a verdict (rule, title, path), of a gate (with severity and advice)."""
    found: dict[str, str] = {}
    for one, other in zip(findings, told, strict=True):
        path = one.location.path
        brief = f" ({path})" if path else ""
        found[f"{one.rule} {one.title}{brief}"] = f"{one.rule} {other.title}{brief}"
        found[f"{one.rule} {one.title}" + (f" in {path}" if path else "")] = f"{one.rule} {other.title}{brief}"  # of a waiver
        line = f"{one.severity.value} {one.rule} {one.title}" + (f" in {path}" if path else "")
        shown = f"{phrasebook().say(one.severity.value)} {one.rule} {other.title}{brief}"
        found[f"{line}: {one.remediation}" if one.remediation else line] = (
            f"{shown}：{other.remediation}" if one.remediation else shown
        )
    return found


def _tier(tier: TierVerdict, book: Phrasebook, quoted: dict[str, str], reasons: dict[str, str]) -> TierVerdict:
    rows = tuple(_row(row, book, quoted, reasons) for row in tier.criteria)
    return msgspec.structs.replace(tier, note=book.say(tier.note), formula=book.say(tier.formula), criteria=rows)


def _gate(gate: GateResult, book: Phrasebook, quoted: dict[str, str]) -> GateResult:
    reasons, notes = (tuple(book.say(each, quoted) for each in held) for held in (gate.reasons, gate.notes))
    return msgspec.structs.replace(gate, reasons=reasons, notes=notes)


def _row(row: CriterionVerdict, book: Phrasebook, quoted: dict[str, str], reasons: dict[str, str]) -> CriterionVerdict:
    limits = tuple(book.say(each) for each in row.limited_by)
    if row.reason not in reasons:
        reasons[row.reason] = book.say(row.reason, quoted)
    return msgspec.structs.replace(row, reason=reasons[row.reason], limited_by=limits)
