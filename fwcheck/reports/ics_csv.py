"""The statement of implementation by EN 303 645 as CSV (RFC 4180): one row for each provision."""

from __future__ import annotations

from fwcheck.model import Report
from fwcheck.reports.ics import table
from fwcheck.reports.registry import Lang
from fwcheck.reports.table import as_csv


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:
    """The table; headings are in ``lang``."""
    return as_csv(table(report, lang, show_secrets=show_secrets), lang)
