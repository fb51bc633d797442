"""Every rule has its Japanese texts, and a report in Japanese differs from the English one in its sentences alone."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fwcheck.analysers.registry import rules
from fwcheck.language.japanese import _of_files, _of_rules, in_japanese, phrasebook
from fwcheck.language.phrasebook import Phrase
from fwcheck.language.told import told
from fwcheck.model import Device, Report
from fwcheck.pipeline import Options, scan
from fwcheck.reports.json import read, render
from tests.support.wording import claims

SAMPLES = Path(__file__).parents[2] / "samples"
BLANK = re.compile(r"\{\w+(?::\w+)?\}")
JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-鿿]")


@pytest.fixture(scope="module")
def report() -> Report:
    return scan(SAMPLES / "router-insecure.bin", Options(jobs=1, min_tier="STAR-1"))


@pytest.mark.parametrize("id", sorted(rules()))
def test_a_rule_is_told_in_japanese(id: str) -> None:
    texts = rules()[id].ja
    assert texts is not None, f"{id}: its TOML file needs a table [rule.ja] with title, explanation, refuted_by, remediation"
    for text in (texts.title, texts.explanation, texts.refuted_by, texts.remediation, *texts.phrases.values()):
        assert JAPANESE.search(text), f"{id}: {text}"
        assert not claims(text), f"{id}: {text}"
    assert not texts.title.endswith("。")
    for text in (texts.explanation, texts.refuted_by, texts.remediation):
        assert text.endswith("。")
        assert not re.search(r"(です|ます|ません|でした|ました|ください)。", text), f"{id}: the register is である: {text}"


def test_every_phrase_is_well_made() -> None:
    assert phrasebook().knows("Account root has no password")


def test_no_phrase_fits_nearly_everything() -> None:
    """Blanks that take any text need fixed words enough around them."""
    for english, other in (*_of_rules(), *_of_files()):
        if BLANK.search(english):
            phrase = Phrase(english, other)
            loose = [blank.name for blank in phrase.blanks if blank.kind in {"", "any", "names"}]
            assert not loose or phrase.weight >= (6 if phrase.literals[0] else 8), f"{english!r}: give its blanks a kind"


def test_only_sentences_change(report: Report) -> None:
    shown = in_japanese(report)
    assert told(report, "en") is report
    for one, other in zip(report.findings, shown.findings, strict=True):
        same = {"title": "", "explanation": "", "refuted_by": "", "remediation": ""}
        assert msgspec.structs.replace(one, **same) == msgspec.structs.replace(other, **same)
    for one, other in zip(report.tiers, shown.tiers, strict=True):
        assert [(row.id, row.verdict, row.findings, row.lost) for row in one.criteria] == [
            (row.id, row.verdict, row.findings, row.lost) for row in other.criteria
        ]
    assert (report.components, report.tier, report.image) == (shown.components, shown.tier, shown.image)
    for name in Device.__struct_fields__:
        one, other = getattr(report.device, name), getattr(shown.device, name)
        assert one == other or name in {"platform", "services", "update_paths", "boot_chain", "logging", "storage", "resilience"}
    for one, other in zip(report.device.update_paths, shown.device.update_paths, strict=True):
        assert (one.evidence, one.verified, one.mechanism) == (other.evidence, other.verified, other.mechanism)
    assert in_japanese(shown) == shown


def test_a_report_made_earlier_is_told_like_a_new_one(report: Report) -> None:
    assert in_japanese(read(render(report))).tiers == in_japanese(report).tiers


def test_the_reasons_of_a_gate_are_told(report: Report) -> None:
    reasons = in_japanese(report).gate.reasons
    assert reasons
    assert all(reason.startswith("STAR-1 は S1.1-") for reason in reasons)


def test_the_rule_of_a_third_party_stays_english(report: Report) -> None:
    finding = msgspec.structs.replace(
        report.findings[0], rule="XYZ-001", title="A title of somebody else", remediation="Mend it."
    )
    shown = in_japanese(msgspec.structs.replace(report, findings=(finding,))).findings[0]
    assert (shown.title, shown.remediation) == ("A title of somebody else", "Mend it.")


def test_no_sentence_is_told_in_two_ways() -> None:
    told: dict[str, str] = {}
    for english, other in _of_files():
        form = re.sub(r"\{\w+", "{", english)  # names of blanks do not count, their kinds do
        assert BLANK.sub("{}", told.setdefault(form, other)) == BLANK.sub("{}", other), f"{english!r} stands there twice"
