"""The target level as JUnit XML, for build servers: one test case per criterion.

A violation is a failure, with the findings it rests on. What the image cannot decide is skipped with its reason, never a success.
Elements and attributes are those that Jenkins' and GitLab's readers share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from fwcheck.model import CriterionVerdict, Finding, Report, Verdict
from fwcheck.reports import view
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_SKIPPED = {Verdict.NOT_DECIDABLE, Verdict.NOT_APPLICABLE, Verdict.DECLARED, Verdict.CONCERN}
_NAMED = 20  # findings of one failure


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """One test suite named after the image and the level."""
    tier = view.target(report)
    failures = sum(row.verdict is Verdict.VIOLATION for row in tier.criteria)
    skipped = sum(row.verdict in _SKIPPED for row in tier.criteria)
    name = quoteattr(f"{plain(report.image.name)} {tier.id}")
    counts = f'tests="{len(tier.criteria)}" failures="{failures}" errors="0"'
    findings = {finding.fingerprint: finding for finding in report.findings if not finding.waived}
    return "\n".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites name="fwcheck" {counts} time="0">',
            f'  <testsuite name={name} {counts} skipped="{skipped}" time="0">',
            *_properties(report),
            *(_case(row, tier.id, findings, lang) for row in tier.criteria),
            "  </testsuite>",
            "</testsuites>",
            "",
        )
    )


def _properties(report: Report) -> Iterator[str]:
    held = {
        "image.sha256": report.image.sha256,
        "tool": f"{report.tool.name} {report.tool.version}",
        "score": str(report.tier.score),
        "gate": view.gate_state(report.gate).removeprefix("gate_"),
    }
    yield "    <properties>"
    yield from (f"      <property name={quoteattr(key)} value={quoteattr(value)}/>" for key, value in held.items())
    yield "    </properties>"


def _case(row: CriterionVerdict, tier: str, findings: Mapping[str, Finding], lang: Lang) -> str:
    head = f'    <testcase classname={quoteattr(tier)} name={quoteattr(f"{row.id} {plain(view.title(row, lang))}")} time="0"'
    message = quoteattr(f"{row.verdict.value}: {plain(row.reason)}")
    if row.verdict is Verdict.VIOLATION:
        named = [findings[each] for each in row.findings if each in findings]
        told = "\n".join(_told(each) for each in named[:_NAMED] if each.verdict in {"violation", "concern"})
        return f'{head}><failure type="violation" message={message}>{escape(told)}</failure></testcase>'
    if row.verdict in _SKIPPED:
        return f"{head}><skipped message={message}/></testcase>"
    return f"{head}/>"


def _told(finding: Finding) -> str:
    lines = (
        f"{finding.severity.value} {finding.rule} {plain(finding.title)}",
        f"  {view.place(finding.location)}",
        f"  {plain(finding.evidence)}",
        f"  {plain(finding.remediation)}",
    )
    return "\n".join(line for line in lines if line.strip())
