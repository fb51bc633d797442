"""The findings as CSV (RFC 4180, UTF-8): one row each, for spreadsheets and databases."""

from __future__ import annotations

import csv
import io
import re

from fwcheck.model import Report, Waiver
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

COLUMNS = (
    "fingerprint",
    "rule",
    "severity",
    "confidence",
    "verdict",
    "waived",
    "criteria",
    "title",
    "container",
    "path",
    "offset",
    "line",
    "evidence",
    "remediation",
    "baseline",
    "waiver",
)
# What begins a formula; the full-width forms do in spreadsheets with a Japanese keyboard setting. Where the list separator is a
# semicolon, a cell begins behind each of them, too.
_FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")

_STARTS = frozenset(("", *" \u3000=+-@＝＋－＠"))  # other white space is an escape by then


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The findings in report order. Column names do not depend on the language; no cell can start a formula."""
    known: dict[str, str] = {}  # many cells are those of the row before

    def shown(text: str) -> str:
        if text not in known:
            known[text] = cell(text)
        return known[text]

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for finding in report.findings:
        where = finding.location
        writer.writerow(
            shown(each)
            for each in (
                finding.fingerprint,
                finding.rule,
                finding.severity.value,
                finding.confidence,
                finding.verdict,
                "yes" if finding.waived else "no",
                " ".join(finding.criteria),
                finding.title,
                " › ".join(where.chain),
                where.path,
                "" if where.offset is None else f"0x{where.offset:x}",
                "" if where.line is None else str(where.line),
                finding.evidence,
                finding.remediation,
                finding.baseline,
                "" if finding.waiver is None else _waiver(finding.waiver),
            )
        )
    return out.getvalue()


def _waiver(waiver: Waiver) -> str:
    return f"{waiver.reason} ({waiver.owner}, {waiver.expires})"


def cell(text: str) -> str:
    """Text that a spreadsheet shows and does not calculate: an apostrophe stands before what would start a formula."""
    shown = plain(text)
    if ";" not in shown and shown[:1] not in _STARTS:
        return shown
    return _FORMULA.sub(r"\1'", shown)
