"""The Markdown report says what a reviewer needs, and an image writes no markup into it."""

from __future__ import annotations

import re

import msgspec
import pytest
from support.reports import coverage_of, finding_of, report_of
from support.wording import claims

from fwcheck.model import Gap, Severity, Waiver
from fwcheck.reports import markdown

HOSTILE = "[x](javascript:alert) <b>| `tick` @someone\n# heading ![i](//e)"


def test_level_findings_criteria_and_needs_are_there() -> None:
    text = markdown.render(report_of())
    assert "**STAR-1 is refuted by 3 criteria.**" in text
    assert "### critical: ACC-002" in text
    assert "/etc/init.d/telnet:12" in text
    assert "S1.1-04 (device test)" in text
    assert len(re.findall(r"^\| S1\.1-\d\d ", text, re.MULTILINE)) == 16


def test_secrets_of_findings_are_shown_on_demand() -> None:
    assert "f0und-it" not in markdown.render(report_of())
    assert "- Secret: `f0und-it`" in markdown.render(report_of(), show_secrets=True)


def test_text_from_the_image_forms_no_markup() -> None:
    found = [finding_of("NET-001", "S1.1-13", severity=Severity.HIGH, title=HOSTILE, path=f"/{HOSTILE}", evidence=HOSTILE)]
    text = markdown.render(report_of(found, coverage_of(gaps=[Gap(node=HOSTILE, reason=HOSTILE)]), name=HOSTILE))
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "<b>" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert not re.search(r"(?<!\\)@someone", outside)
    assert not re.search(r"^# heading", text, re.MULTILINE)


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    found = [finding_of("NET-001", "S1.1-13", title=HOSTILE, path=f"/{HOSTILE}", evidence=HOSTILE)]
    for block in markdown.render(report_of(found)).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        counts = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(counts) <= 1


def test_a_waived_finding_is_listed_with_who_answers_for_it() -> None:
    waiver = Waiver(reason="test jig | lab", owner="kim", expires="2027-01-31")
    waived = msgspec.structs.replace(finding_of("NET-001", "S1.1-13"), waived=True, waiver=waiver)
    text = markdown.render(report_of([waived]))
    assert "## waived: 1" in text
    assert "| test jig \\| lab | kim | 2027-01-31 |" in text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_it_stays_below_what_a_step_summary_takes(lang) -> None:
    waiver = Waiver(reason="x" * 300, owner="kim", expires="2027-01-31")
    many = [
        msgspec.structs.replace(
            finding_of(f"R{n % 900}-001", "S1.1-13", path=f"/etc/{n}", evidence=HOSTILE * 40), waived=n % 5 == 0, waiver=waiver
        )
        for n in range(5000)
    ]
    gaps = [Gap(node=HOSTILE * 50, reason=f"{n}") for n in range(5000)]
    text = markdown.render(report_of(many, coverage_of(gaps=gaps)), lang=lang)
    assert 300_000 < len(text.encode()) < 1 << 20
    assert ("left out here" if lang == "en" else "省略") in text
    assert text.rstrip().splitlines()[-1].startswith("The score" if lang == "en" else "スコア")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_text_claims_a_positive_verdict(lang) -> None:
    assert claims(markdown.render(report_of(), lang=lang)) == []
