"""The gate: whether a report meets what a pipeline asked for, and the exit status that says so.

A gate fails on what is in the image. Where nothing fails but too little was read, it is undecided (exit status 3): an image
that hides its content must not get through. Too little means: nothing could be analysed, more than half of the content (bytes
that are not padding) is unknown, suspected encrypted or unread, or an image-wide quota ended the reading. With half of the
content unseen, the root file system or a second one may be the unseen half; below that, the gaps are listed in the report and
the score carries them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fwcheck.jcstar.extent import Extent, measure
from fwcheck.model import Finding, GateResult, Report, Severity, Verdict

_SEVERITIES = tuple(Severity)
_NAMED = 5


def evaluate(report: Report, *, min_tier: str | None, min_score: int | None, fail_on: Severity | None) -> GateResult:
    """The result of the gates asked for; without any, it holds.

    ``min_tier`` fails when that level is refuted, ``min_score`` when the score at the report's target is below it, ``fail_on``
    when a finding that is not waived speaks against the image at that severity or worse. Raises ValueError for a level that the
    report does not judge.
    """
    asked: list[str] = []
    reasons: list[str] = []
    if min_tier is not None:
        asked.append(f"min-tier {min_tier}")
        reasons += _tier_reasons(report, min_tier)
    if min_score is not None:
        asked.append(f"min-score {min_score}")
        if report.tier.score < min_score:
            reasons.append(
                f"score {report.tier.score} at {report.tier.target} is below {min_score}: {_costliest(report)}; mend these first"
            )
    if fail_on is not None:
        asked.append(f"fail-on {fail_on.value}")
        reasons += _severity_reasons(report, fail_on)
    if reasons or not asked:
        return GateResult(asked=tuple(asked), passed=not reasons, reasons=tuple(reasons))
    extent = measure(report.coverage, report.device)
    if extent.judgeable:
        return GateResult(asked=tuple(asked))
    return GateResult(asked=tuple(asked), passed=False, undecided=True, reasons=tuple(_unread(extent)))


def exit_status(gate: GateResult) -> int:
    """0: every gate held, or none was asked for. 1: a gate failed. 3: too little was read to judge."""
    if gate.undecided:
        return 3
    return 0 if gate.passed else 1


def _tier_reasons(report: Report, wanted: str) -> Iterator[str]:
    tier = next((each for each in report.tiers if each.id == wanted), None)
    if tier is None:
        raise ValueError(f"the report does not judge {wanted}; it judges {', '.join(each.id for each in report.tiers)}")
    named = {finding.fingerprint: finding for finding in report.findings}
    for row in tier.criteria:
        if row.verdict is Verdict.VIOLATION:
            fixes = [named[each] for each in row.findings if each in named and _adverse(named[each])]
            advice = f" To do: {fixes[0].remediation}" if fixes and fixes[0].remediation else ""
            yield f"{wanted} is refuted by {row.id} ({row.title}): {row.reason}{advice}"


def _severity_reasons(report: Report, least: Severity) -> list[str]:
    hits = [finding for finding in report.findings if _adverse(finding) and _rank(finding.severity) <= _rank(least)]
    if not hits:
        return []
    hits.sort(key=lambda finding: (_rank(finding.severity), finding.rule, finding.location.path, finding.fingerprint))
    counts = Counter(finding.severity.value for finding in hits)
    tally = ", ".join(f"{counts[each.value]} {each.value}" for each in _SEVERITIES if counts[each.value])
    lines = [f"{len(hits)} findings at {least.value} or worse ({tally})"]
    for finding in hits[:_NAMED]:
        where = f" in {finding.location.path}" if finding.location.path else ""
        advice = f": {finding.remediation}" if finding.remediation else ""
        lines.append(f"{finding.severity.value} {finding.rule} {finding.title}{where}{advice}")
    if len(hits) > _NAMED:
        lines.append(f"and {len(hits) - _NAMED} more: see the report")
    return lines


def _adverse(finding: Finding) -> bool:
    return not finding.waived and finding.verdict in {"violation", "concern"}


def _rank(severity: Severity) -> int:
    return _SEVERITIES.index(severity)


def _costliest(report: Report) -> str:
    rows = next((tier.criteria for tier in report.tiers if tier.id == report.tier.target), ())
    worst = sorted((row for row in rows if row.lost > 0), key=lambda row: (-row.lost, row.id))[:_NAMED]
    return "most points are lost at " + ", ".join(f"{row.id} ({row.lost:.1f}, {row.verdict.value})" for row in worst)


def _unread(extent: Extent) -> Iterator[str]:
    if extent.nothing:
        yield "nothing in the image could be analysed: give the plain image of the build, before encryption or vendor packing"
        return
    if extent.quota:
        yield f"a limit ended the reading early ({extent.quota[0]}): raise the limit and scan again"
    if not extent.support_counts:
        yield (
            f"{100 * extent.unread:.0f} % of the content could not be read: give the decrypted image or the parts it was built "
            "from"
        )
    yield from extent.limits
