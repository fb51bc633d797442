"""The gate fails on what is in the image, and refuses to judge what it could not read."""

from __future__ import annotations

import pytest
from support.reports import MIB, coverage_of, device_of, finding_of, findings_of_router, report_of

from fwcheck.gate import Demands, evaluate, exit_status
from fwcheck.model import Device, Gap, GateResult, Severity


def ask(report, **asked) -> GateResult:
    return evaluate(report, Demands(**asked))


def test_no_gate_holds_whatever_is_found() -> None:
    gate = ask(report_of())
    assert gate == GateResult()
    assert exit_status(gate) == 0


def test_no_gate_holds_on_an_unread_image_too() -> None:
    assert exit_status(ask(report_of([], coverage_of(encrypted=7 * MIB, files=0), Device()))) == 0


def test_min_tier_fails_on_a_refuted_level_and_names_criterion_finding_and_remedy() -> None:
    gate = ask(report_of(), min_tier="STAR-1")
    assert exit_status(gate) == 1
    assert any("S1.1-02" in reason and "ACC-002" in reason and "Remove it from the image." in reason for reason in gate.reasons)


def test_min_tier_is_cumulative() -> None:
    assert not ask(report_of([finding_of("NET-001", "S1.1-13")]), min_tier="STAR-3").passed


def test_min_tier_holds_when_only_the_level_above_is_refuted() -> None:
    report = report_of([finding_of("UPD-003", "S1.1-08", severity=Severity.MEDIUM)])
    assert ask(report, min_tier="STAR-1").passed
    assert not ask(report, min_tier="STAR-2").passed


def test_min_tier_of_an_unknown_level_is_an_error() -> None:
    with pytest.raises(ValueError, match="STAR-9"):
        ask(report_of(), min_tier="STAR-9")


def test_min_score_fails_below_and_holds_at_the_score() -> None:
    report = report_of()
    assert not ask(report, min_score=report.tier.score + 1).passed
    assert ask(report, min_score=report.tier.score).passed


def test_min_score_names_where_the_points_went() -> None:
    (reason,) = ask(report_of(), min_score=99).reasons
    assert "S1.1-02" in reason


@pytest.mark.parametrize(("level", "fails"), [("critical", False), ("high", False), ("medium", True), ("low", True)])
def test_fail_on_counts_that_severity_and_worse(level: str, fails: bool) -> None:
    report = report_of([finding_of("DBG-001", "S1.1-13", verdict="concern", severity=Severity.MEDIUM)])
    assert ask(report, fail_on=Severity(level)).passed is not fails


@pytest.mark.parametrize("verdict", ["support", "info"])
def test_fail_on_ignores_findings_that_speak_for_the_image(verdict: str) -> None:
    report = report_of([finding_of("UPD-005", "S1.1-08", verdict=verdict, severity=Severity.CRITICAL)])
    assert ask(report, fail_on=Severity.LOW).passed


def test_fail_on_ignores_waived_findings() -> None:
    report = report_of([finding_of("NET-001", "S1.1-13", waived=True)])
    assert ask(report, fail_on=Severity.LOW, min_tier="STAR-1").passed


def test_many_findings_give_a_short_list_of_reasons() -> None:
    report = report_of([finding_of("FS-003", "S1.1-11", path=f"/etc/{number}") for number in range(40)])
    assert len(ask(report, fail_on=Severity.LOW).reasons) == 7


@pytest.mark.parametrize(
    "coverage",
    [
        coverage_of(encrypted=4 * MIB),
        coverage_of(unknown=4 * MIB),
        coverage_of(gaps=[Gap(node="router.bin › squashfs@0x1c0000", reason="unknown compression", bytes=5 * MIB)]),
        coverage_of(gaps=[Gap(node="router.bin", reason="more than 400000 nodes")]),
    ],
    ids=["encrypted", "unknown", "gap", "quota"],
)
def test_a_clean_looking_image_that_was_hardly_read_is_undecided(coverage) -> None:
    gate = ask(report_of([], coverage), min_tier="STAR-1")
    assert gate.undecided
    assert not gate.passed
    assert gate.reasons
    assert exit_status(gate) == 3


def test_nothing_analysable_is_undecided_even_when_every_byte_is_explained() -> None:
    assert exit_status(ask(report_of([], coverage_of(files=0), Device()), fail_on=Severity.HIGH)) == 3


def test_a_failure_is_a_failure_even_in_a_hardly_read_image() -> None:
    gate = ask(report_of(findings_of_router(), coverage_of(encrypted=5 * MIB)), min_tier="STAR-1")
    assert exit_status(gate) == 1
    assert not gate.undecided


def test_a_small_unknown_region_leaves_the_gate_decided() -> None:
    assert exit_status(ask(report_of([], coverage_of(unknown=MIB), device_of()), min_tier="STAR-1")) == 0
