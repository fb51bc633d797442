"""The checklist as CSV (RFC 4180, UTF-8): one row for each criterion of the target level, with the assessor's columns empty."""

from __future__ import annotations

from fwcheck.model import Report
from fwcheck.reports.checklist import table
from fwcheck.reports.registry import Lang
from fwcheck.reports.table import as_csv


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:
    """The table; headings and texts are in ``lang``."""
    return as_csv(table(report, lang, show_secrets=show_secrets), lang)
