"""The target level as JUnit XML, for build servers: one test case per criterion.

A violation is a failure. What the image cannot decide is skipped with its reason, never a success.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from fwcheck.model import CriterionVerdict, Report, Verdict
from fwcheck.reports import view
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_SKIPPED = {Verdict.NOT_DECIDABLE, Verdict.NOT_APPLICABLE, Verdict.DECLARED, Verdict.CONCERN}


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """One test suite named after the image and the level."""
    tier = view.target(report)
    failures = sum(row.verdict is Verdict.VIOLATION for row in tier.criteria)
    skipped = sum(row.verdict in _SKIPPED for row in tier.criteria)
    name = quoteattr(f"{plain(report.image.name)} {tier.id}")
    counts = f'tests="{tier.total}" failures="{failures}" errors="0" skipped="{skipped}"'
    return "\n".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<testsuites {counts}>",
            f"  <testsuite name={name} {counts}>",
            *(_case(row, tier.id, lang) for row in tier.criteria),
            "  </testsuite>",
            "</testsuites>",
            "",
        )
    )


def _case(row: CriterionVerdict, tier: str, lang: Lang) -> str:
    head = f"    <testcase classname={quoteattr(tier)} name={quoteattr(f'{row.id} {plain(view.title(row, lang))}')}"
    message = quoteattr(f"{row.verdict.value}: {plain(row.reason)}")
    if row.verdict is Verdict.VIOLATION:
        return f'{head}><failure type="violation" message={message}/></testcase>'
    if row.verdict in _SKIPPED:
        return f"{head}><skipped message={message}/></testcase>"
    return f"{head}/>"
