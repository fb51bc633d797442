"""The report formats by name, each imported when it is asked for."""

from __future__ import annotations

import gc
from difflib import get_close_matches
from importlib import import_module
from typing import Literal, Protocol, cast

import msgspec

from fwcheck.model import Report

Lang = Literal["en", "ja"]


class Renderer(Protocol):
    """What the module of a format offers."""

    def render(self, report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str | bytes:
        """The report in this format."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One report format. ``suffix`` follows the image name and a dot; None: for a terminal, not for a file."""

    name: str
    suffix: str | None
    module: str

    def render(self, report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str | bytes:
        """The report in this format."""
        collected = gc.isenabled()
        gc.disable()  # a rendering makes hundreds of thousands of values without cycles: to go over them costs half of its time
        try:
            return cast("Renderer", import_module(self.module)).render(report, lang=lang, show_secrets=show_secrets)
        finally:
            if collected:
                gc.enable()


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(name="terminal", suffix=None, module="fwcheck.reports.terminal"),
        Format(name="json", suffix="json", module="fwcheck.reports.json"),
        Format(name="html", suffix="html", module="fwcheck.reports.html"),
        Format(name="sarif", suffix="sarif", module="fwcheck.reports.sarif"),
        Format(name="cyclonedx", suffix="cdx.json", module="fwcheck.reports.cyclonedx"),
        Format(name="spdx", suffix="spdx.json", module="fwcheck.reports.spdx"),
        Format(name="junit", suffix="junit.xml", module="fwcheck.reports.junit"),
        Format(name="markdown", suffix="md", module="fwcheck.reports.markdown"),
        Format(name="gitlab-code-quality", suffix="gl-code-quality.json", module="fwcheck.reports.gitlab_quality"),
        Format(name="gitlab-sast", suffix="gl-sast.json", module="fwcheck.reports.gitlab_sast"),
        Format(
            name="gitlab-dependency-scanning", suffix="gl-dependency-scanning.json", module="fwcheck.reports.gitlab_dependencies"
        ),
        Format(name="csv", suffix="csv", module="fwcheck.reports.csv"),
        Format(name="checklist", suffix="xlsx", module="fwcheck.reports.checklist"),
        Format(name="checklist-csv", suffix="checklist.csv", module="fwcheck.reports.checklist_csv"),
        Format(name="checklist-markdown", suffix="checklist.md", module="fwcheck.reports.checklist_markdown"),
        Format(name="ics", suffix="ics.md", module="fwcheck.reports.ics"),
        Format(name="ics-csv", suffix="ics.csv", module="fwcheck.reports.ics_csv"),
        Format(name="ixit", suffix="ixit.md", module="fwcheck.reports.ixit"),
    )
}


def named(name: str) -> Format:
    """The format of this name; raises ValueError naming those there are."""
    if name not in FORMATS:
        meant = "".join(f"; did you mean {each}?" for each in get_close_matches(name, FORMATS, 1))
        raise ValueError(f"no report format {name}{meant or '; there are ' + ', '.join(FORMATS)}")
    return FORMATS[name]
