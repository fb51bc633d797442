"""Every format renders every report under its name."""

from __future__ import annotations

import time

import pytest
from support.reports import coverage_of, finding_of, report_of
from support.wording import claims

from fwcheck.model import Device, Severity
from fwcheck.reports.labels import label, labels
from fwcheck.reports.registry import FORMATS, named


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_a_full_and_an_empty_report(name: str, lang) -> None:
    for report in (report_of(), report_of([], coverage_of(files=0), Device(), target="STAR-3")):
        assert named(name).render(report, lang=lang, show_secrets=True)


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_shows_secrets_unasked(name: str) -> None:
    content = named(name).render(report_of())
    text = content if isinstance(content, str) else content.decode("latin-1")
    assert "hunter2secret" not in text
    assert "HASHHASH" not in text
    assert "f0und-it" not in text


def test_an_unknown_format_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ValueError, match=r"pdf.*terminal"):
        named("pdf")


def test_file_suffixes_are_unlike() -> None:
    suffixes = [each.suffix for each in FORMATS.values()]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_label_claims_a_positive_verdict(lang) -> None:
    assert [claim for text in labels(lang).values() for claim in claims(text)] == []


def test_both_languages_hold_the_same_placeholders() -> None:
    for key in labels("en"):
        names = (
            "count",
            "rule",
            "level",
            "decidable",
            "total",
            "date",
            "name",
            "products",
            "number",
            "worse",
            "better",
            "neither",
        )
        values = dict.fromkeys(names, "1")
        assert label(key, "en", **values)
        assert label(key, "ja", **values)


def test_all_formats_of_five_thousand_findings_are_made_in_good_time() -> None:
    found = [
        finding_of(f"FS-{number % 40:03}", "S1.1-11", path=f"/etc/{number}", evidence="z" * 60, cause=str(number),
                   severity=list(Severity)[number % 4])
        for number in range(5000)
    ]  # fmt: skip
    report = report_of(found)
    begun = time.process_time()
    for each in FORMATS.values():
        each.render(report)
    assert time.process_time() - begun < 3  # 0.9 s on a machine that does nothing else
