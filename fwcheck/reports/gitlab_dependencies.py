"""The dependency scanning report of GitLab."""

from __future__ import annotations

from fwcheck.model import Report
from fwcheck.reports import gitlab
from fwcheck.reports.registry import Lang


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The components with their known vulnerabilities."""
    return gitlab.dependency_scanning(report)
