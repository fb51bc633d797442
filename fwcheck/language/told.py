"""A report in the language that its reader asked for."""

from __future__ import annotations

from fwcheck.jcstar.catalogue import Lang
from fwcheck.model import Report


def told(report: Report, lang: Lang) -> Report:
    """The report with its sentences in ``lang``; a report in English is the report itself."""
    if lang == "en":
        return report
    from fwcheck.language.japanese import in_japanese  # noqa: PLC0415  # needs every rule there is

    return in_japanese(report)


def said(text: str, lang: Lang) -> str:
    """One sentence of a report in ``lang``; as it is where its language has none."""
    if lang == "en":
        return text
    from fwcheck.language.japanese import phrasebook  # noqa: PLC0415

    return phrasebook().say(text)
