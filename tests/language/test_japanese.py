"""Every rule has its Japanese texts, and a report in Japanese differs from the English one in its sentences alone."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fwcheck.analysers.registry import rules
from fwcheck.language.japanese import in_japanese, phrasebook, reasons_in_japanese
from fwcheck.language.told import told
from fwcheck.model import Report
from fwcheck.pipeline import Options, scan
from fwcheck.reports.json import read, render
from tests.support.wording import claims

SAMPLES = Path(__file__).parents[2] / "samples"
JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-鿿]")
# Rules without Japanese texts yet: this list only shrinks.
UNTOLD = frozenset(
    """
    ACC-006 ACC-009 ACC-014 BOOT-001 BOOT-002 BOOT-003 BOOT-004 BOOT-005 BOOT-006 CRY-001 CRY-002 CRY-003 CRY-004
    CVE-001 CVE-002 CVE-003 DBG-001 DBG-002 DBG-003 DBG-004 DBG-005 DBG-006 DBG-007 DBG-008 DBG-009 DBG-010 DBG-011
    DBG-022 DBG-023 DEC-001 DEC-002 DEC-003 DEC-004 DEC-005 DEC-006 DEC-007 DEC-008 DEC-009 DEC-010 DEC-011 FS-001
    FS-002 FS-003 FS-004 FS-005 FS-006 FS-007 FS-008 FS-009 FS-020 HRD-001 HRD-002 HRD-003 HRD-004 HRD-005 INF-001
    LOG-001 LOG-002 LOG-003 LOG-004 LOG-005 LOG-006 NET-001 NET-002 NET-003 NET-004 NET-005 NET-006 NET-007 NET-008
    NET-009 NET-010 NET-011 NET-012 NET-013 NET-014 NET-015 NET-020 RES-001 RES-002 RES-003 RES-004 RST-001 RST-002
    TLS-001 TLS-002 TLS-003 TLS-004 TLS-005 TLS-006 TLS-020 TLS-021 TLS-022 TLS-023 TLS-024 TLS-030 TLS-031 UPD-001
    UPD-002 UPD-003 UPD-004 UPD-005 UPD-006 UPD-007 UPD-008 UPD-009 UPD-010 UPD-011 UPD-012 UPD-013 UPD-014
    """.split()  # noqa: SIM905  # it goes soon
)


@pytest.fixture(scope="module")
def report() -> Report:
    return scan(SAMPLES / "router-insecure.bin", Options(jobs=1, min_tier="STAR-1"))


@pytest.mark.parametrize("id", sorted(rules()))
def test_a_rule_is_told_in_japanese(id: str) -> None:
    texts = rules()[id].ja
    if id in UNTOLD:
        assert texts is None, f"{id} is told: take it off the list"
        return
    assert texts is not None, f"{id}: its TOML file needs a table [rule.ja] with title, explanation, refuted_by, remediation"
    for text in (texts.title, texts.explanation, texts.refuted_by, texts.remediation, *texts.phrases.values()):
        assert JAPANESE.search(text), f"{id}: {text}"
        assert not claims(text), f"{id}: {text}"
    assert not texts.title.endswith("。")
    for text in (texts.explanation, texts.refuted_by, texts.remediation):
        assert text.endswith("。")
        assert not re.search(r"(です|ます|ません|でした|ました|ください)。", text), f"{id}: the register is である: {text}"


def test_no_rule_is_left_untold_for_ever() -> None:
    assert set(rules()) >= UNTOLD


def test_every_phrase_is_well_made() -> None:
    assert phrasebook().knows("Account root has no password")


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
    assert (report.device, report.components, report.tier, report.image) == (
        shown.device, shown.components, shown.tier, shown.image,
    )  # fmt: skip
    assert in_japanese(shown) == shown


def test_a_report_made_earlier_is_told_like_a_new_one(report: Report) -> None:
    assert in_japanese(read(render(report))).tiers == in_japanese(report).tiers


def test_the_reasons_of_a_gate_are_told(report: Report) -> None:
    reasons = reasons_in_japanese(report.gate.reasons, report.findings)
    assert reasons == in_japanese(report).gate.reasons
    assert reasons
    assert all(reason.startswith("STAR-1 は S1.1-") for reason in reasons)


def test_the_rule_of_a_third_party_stays_english(report: Report) -> None:
    finding = msgspec.structs.replace(
        report.findings[0], rule="XYZ-001", title="A title of somebody else", remediation="Mend it."
    )
    shown = in_japanese(msgspec.structs.replace(report, findings=(finding,))).findings[0]
    assert (shown.title, shown.remediation) == ("A title of somebody else", "Mend it.")
