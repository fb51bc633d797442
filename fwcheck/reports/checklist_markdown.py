"""The checklist as Markdown, for a wiki or a merge request: the same rows as the workbook's."""

from __future__ import annotations

from fwcheck.model import Report
from fwcheck.reports.checklist import table
from fwcheck.reports.registry import Lang
from fwcheck.reports.table import as_markdown


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:
    """The table with what a reader has to know before it; texts are in ``lang``."""
    return as_markdown([table(report, lang, show_secrets=show_secrets)], lang, level=1)
