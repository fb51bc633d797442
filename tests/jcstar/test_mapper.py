"""The judge: what a finding may do to a criterion, what silence is worth, and how levels build on each other."""

from __future__ import annotations

import itertools
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reports import MIB, coverage_of, device_of, finding_of, findings_of_router
from support.wording import claims

from fwcheck.declaration import Declaration, Product, ProductType
from fwcheck.jcstar import score
from fwcheck.jcstar.catalogue import criteria, shipped
from fwcheck.jcstar.mapper import judge, summary
from fwcheck.model import Account, Coverage, CriterionVerdict, Device, Finding, Gap, Service, Severity, Verdict

FULL = coverage_of()
GOOD = {Verdict.SUPPORT, Verdict.NOT_OBSERVED, Verdict.NOT_APPLICABLE}
RANK = {Verdict.VIOLATION: 0, Verdict.CONCERN: 1, Verdict.NOT_DECIDABLE: 2} | dict.fromkeys(GOOD, 3)


def row(criterion: str, *findings: Finding, coverage: Coverage = FULL, device: Device | None = None, **how) -> CriterionVerdict:
    tiers = judge(findings, coverage, device if device is not None else device_of(), **how)
    return next(each for tier in tiers for each in tier.criteria if each.id == criterion)


SERVICE = Device(services=(Service(name="httpd", program="/h", enabled="yes", protocol="http", authentication="password"),))
OPEN = Device(services=(Service(name="httpd", program="/h", enabled="yes", protocol="http", authentication="unknown"),))


class TestOneCriterion:
    def test_a_firm_violation_of_a_refuting_rule_is_a_violation(self) -> None:
        got = row("S1.1-13", finding_of("NET-001", "S1.1-13"))
        assert got.verdict is Verdict.VIOLATION
        assert "NET-001" in got.reason
        assert got.findings == (finding_of("NET-001", "S1.1-13").fingerprint,)

    def test_a_tentative_violation_is_a_concern(self) -> None:
        assert row("S1.1-13", finding_of("NET-001", "S1.1-13", confidence="tentative")).verdict is Verdict.CONCERN

    def test_a_violation_of_a_weakening_rule_is_a_concern(self) -> None:
        assert row("S1.1-13", finding_of("NET-007", "S1.1-13")).verdict is Verdict.CONCERN

    def test_a_rule_the_profile_does_not_know_raises_a_concern_at_most(self) -> None:
        assert row("S1.1-13", finding_of("ACME-001", "S1.1-13")).verdict is Verdict.CONCERN

    def test_a_concern_is_a_concern_whatever_its_rule_may_do(self) -> None:
        assert row("S1.1-13", finding_of("NET-001", "S1.1-13", verdict="concern")).verdict is Verdict.CONCERN

    def test_support_counts_when_nothing_speaks_against(self) -> None:
        assert row("S1.1-08", finding_of("UPD-005", "S1.1-08", verdict="support")).verdict is Verdict.SUPPORT

    def test_support_does_not_outweigh_a_violation(self) -> None:
        both = finding_of("UPD-005", "S1.1-08", verdict="support"), finding_of("UPD-004", "S1.1-08")
        got = row("S1.1-08", *both)
        assert got.verdict is Verdict.VIOLATION
        assert set(got.findings) == {each.fingerprint for each in both}

    def test_information_changes_no_verdict_but_is_listed(self) -> None:
        got = row("S1.1-13", finding_of("NET-010", "S1.1-13", verdict="info"))
        assert got.verdict is Verdict.NOT_OBSERVED
        assert got.findings

    def test_the_analyser_decides_what_a_finding_bears_on_at_star_1(self) -> None:
        assert row("S1.1-12", finding_of("NET-001", "S1.1-13")).verdict is Verdict.NOT_OBSERVED

    def test_rules_decide_what_bears_on_a_proxy_control(self) -> None:
        assert row("FWC2-02", finding_of("UPD-003", "S1.1-08")).verdict is Verdict.VIOLATION

    def test_a_waived_violation_refutes_nothing_and_is_mentioned(self) -> None:
        got = row("S1.1-13", finding_of("NET-001", "S1.1-13", waived=True))
        assert got.verdict is Verdict.NOT_OBSERVED
        assert "1 waived" in got.reason

    def test_a_waiver_supports_nothing(self) -> None:
        assert row("S1.1-08", finding_of("UPD-005", "S1.1-08", verdict="support", waived=True)).verdict is not Verdict.SUPPORT

    def test_silence_on_a_document_criterion_decides_nothing(self) -> None:
        got = row("S1.1-05")
        assert got.verdict is Verdict.NOT_DECIDABLE
        assert got.needs

    def test_the_same_cause_in_two_places_is_listed_once(self) -> None:
        one = finding_of("NET-001", "S1.1-13")
        other = msgspec.structs.replace(one, location=msgspec.structs.replace(one.location, chain=("router.bin", "second")))
        assert len(row("S1.1-13", one, other).findings) == 1

    def test_silence_is_not_claimed_for_rules_that_did_not_run(self) -> None:
        assert row("S1.1-13", ran=["ACC-001"]).verdict is Verdict.NOT_DECIDABLE
        assert row("S1.1-13", ran=["NET-001"]).verdict is Verdict.NOT_OBSERVED

    def test_many_findings_are_counted_and_not_all_quoted(self) -> None:
        got = row("S1.1-11", *(finding_of("FS-003", "S1.1-11", path=f"/etc/{number}.conf") for number in range(50)))
        assert "and 47 more" in got.reason
        assert len(got.findings) == 50


class TestCoverage:
    def test_a_gap_limits_what_stands(self) -> None:
        got = row("S1.1-13", coverage=coverage_of(unknown=MIB))
        assert got.verdict is Verdict.NOT_OBSERVED
        assert any("unknown format" in each for each in got.limited_by)

    def test_silence_ends_where_a_quarter_is_unread(self) -> None:
        assert row("S1.1-13", coverage=coverage_of(encrypted=2 * MIB)).verdict is Verdict.NOT_DECIDABLE

    def test_support_ends_where_half_is_unread(self) -> None:
        support = finding_of("UPD-005", "S1.1-08", verdict="support")
        assert row("S1.1-08", support, coverage=coverage_of(encrypted=2 * MIB)).verdict is Verdict.SUPPORT
        assert row("S1.1-08", support, coverage=coverage_of(encrypted=4 * MIB)).verdict is Verdict.NOT_DECIDABLE

    def test_a_large_gap_counts_like_unknown_bytes(self) -> None:
        gap = Gap(node="router.bin › squashfs@0x0", reason="unknown compression 9", bytes=3 * MIB)
        got = row("S1.1-13", coverage=coverage_of(gaps=[gap]))
        assert got.verdict is Verdict.NOT_DECIDABLE
        assert any("unknown compression 9" in each for each in got.limited_by)

    def test_a_quota_ends_silence(self) -> None:
        gap = Gap(node="router.bin", reason="more than 400000 nodes")
        assert row("S1.1-13", coverage=coverage_of(gaps=[gap])).verdict is Verdict.NOT_DECIDABLE

    def test_a_violation_stands_however_little_was_read(self) -> None:
        got = row("S1.1-13", finding_of("NET-001", "S1.1-13"), coverage=coverage_of(encrypted=6 * MIB))
        assert got.verdict is Verdict.VIOLATION

    def test_without_a_root_file_system_silence_about_accounts_means_nothing(self) -> None:
        device = Device(platform="esp32", boot_chain=device_of().boot_chain, update_paths=device_of().update_paths)
        assert row("S1.1-02", coverage=coverage_of(files=0), device=device).verdict is Verdict.NOT_DECIDABLE
        assert row("S1.1-08", coverage=coverage_of(files=0), device=device).verdict is Verdict.NOT_OBSERVED

    @pytest.mark.parametrize(
        ("criterion", "silent", "seen"),
        [
            ("S1.1-01", Device(accounts=(Account(name="root", password="locked"),)), SERVICE),
            ("S1.1-13", Device(accounts=(Account(name="root", password="locked"),)), SERVICE),
            ("S1.1-04", OPEN, SERVICE),
            ("S1.1-08", SERVICE, device_of()),
            ("S1.1-06", SERVICE, device_of()),
            ("S1.1-09", SERVICE, device_of()),
        ],
    )
    def test_silence_means_nothing_where_the_subject_was_not_seen(self, criterion, silent, seen) -> None:
        nothing = row(criterion, device=silent)
        assert nothing.verdict is Verdict.NOT_DECIDABLE
        assert "could be followed" in nothing.reason or "was recognised" in nothing.reason
        assert row(criterion, device=seen).verdict is Verdict.NOT_OBSERVED

    def test_an_unread_image_has_no_good_verdict_no_points_and_no_level(self) -> None:
        tiers = judge([], coverage_of(encrypted=7 * MIB, files=0), Device())
        assert not {each.verdict for tier in tiers for each in tier.criteria} & GOOD
        assert [tier.score for tier in tiers] == [0, 0, 0, 0]
        assert summary(tiers, "STAR-1") == {"highest_not_refuted": None, "score": 0}

    def test_an_empty_coverage_is_not_a_division_by_zero(self) -> None:
        assert judge([], Coverage(), Device())[0].decidable == 0

    def test_hostile_gap_sizes_do_not_break_the_figures(self) -> None:
        gaps = [Gap(node="a", reason="b", bytes=-5), Gap(node="c", reason="d", bytes=1 << 80)]
        assert judge([], coverage_of(gaps=gaps), device_of())[0].score == 0


class TestNotApplicable:
    PLAIN = Device(services=(Service(name="sensord", program="/usr/bin/sensord", enabled="yes", authentication="none"),))

    def test_suggested_when_no_network_password_is_there(self) -> None:
        got = row("S1.1-03", device=self.PLAIN)
        assert got.verdict is Verdict.NOT_APPLICABLE
        assert got.reason
        assert got.needs

    def test_not_suggested_when_anything_was_left_unread(self) -> None:
        assert row("S1.1-03", device=self.PLAIN, coverage=coverage_of(unknown=MIB)).verdict is Verdict.NOT_DECIDABLE

    def test_not_suggested_with_a_usable_password(self) -> None:
        device = msgspec.structs.replace(self.PLAIN, accounts=(Account(name="root", password="hash"),))
        assert row("S1.1-03", device=device).verdict is Verdict.NOT_OBSERVED


class TestLevels:
    def test_a_level_holds_every_criterion_below_it(self) -> None:
        tiers = judge(findings_of_router(), FULL, device_of())
        for below, above in itertools.pairwise(tiers):
            ids = [each.id for each in below.criteria]
            assert [each.id for each in above.criteria][: len(ids)] == ids
            assert above.criteria[: len(ids)] == below.criteria

    def test_a_violation_at_star_1_refutes_every_level(self) -> None:
        tiers = judge([finding_of("NET-001", "S1.1-13")], FULL, device_of())
        assert [tier.refuted for tier in tiers] == [True] * 4
        assert summary(tiers, "STAR-2")["highest_not_refuted"] is None

    def test_a_violation_of_a_proxy_leaves_star_1_unrefuted(self) -> None:
        tiers = judge([finding_of("UPD-003", "S1.1-08")], FULL, device_of())
        assert [tier.refuted for tier in tiers] == [False, True, True, True]
        assert summary(tiers, "STAR-1")["highest_not_refuted"] == "STAR-1"

    def test_star_4_is_never_better_than_not_decidable(self) -> None:
        support = finding_of("UPD-005", "S1.1-08", verdict="support")
        star_4 = judge([support], FULL, device_of())[3]
        own = [each for each in star_4.criteria if each.id.startswith("FWC4-")]
        assert {each.verdict for each in own} == {Verdict.NOT_DECIDABLE}
        assert summary(judge([support], FULL, device_of()), "STAR-4")["highest_not_refuted"] != "STAR-4"

    @pytest.mark.parametrize("kind", get_args(ProductType))
    def test_a_type_adds_rows_above_star_1_and_takes_none_away(self, kind) -> None:
        plain = judge([], FULL, device_of())
        typed = judge([], FULL, msgspec.structs.replace(device_of(), declared=Declaration(product=Product(type=kind))))
        assert [each.id for each in typed[0].criteria] == [each.id for each in plain[0].criteria]
        assert typed[0].score == plain[0].score
        for one, other in zip(plain, typed, strict=True):
            assert {each.id for each in one.criteria} <= {each.id for each in other.criteria}
        assert (len(typed[1].criteria) > len(plain[1].criteria)) == (kind != "generic")

    def test_an_unknown_target_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="STAR-9"):
            judge([], FULL, device_of(), target="STAR-9")

    def test_profiles_are_data(self) -> None:
        (tier,) = judge([], FULL, device_of(), profiles=shipped()[:1])
        assert (tier.id, tier.total) == ("STAR-1", 16)

    def test_every_point_lost_belongs_to_a_criterion(self) -> None:
        for tier in judge(findings_of_router(), coverage_of(unknown=MIB), device_of()):
            assert abs(100 - sum(each.lost for each in tier.criteria) - tier.score) < 1.2

    def test_the_formula_names_the_share_that_was_read(self) -> None:
        assert "r = 0.857" in judge([], coverage_of(encrypted=MIB), device_of())[0].formula

    def test_a_clean_image_scores_well_and_a_bad_one_does_not(self) -> None:
        assert judge([], FULL, device_of())[0].score >= 75
        assert judge(findings_of_router(), FULL, device_of())[0].score < 60

    def test_no_text_claims_a_positive_verdict(self) -> None:
        for tier in judge(findings_of_router(), coverage_of(unknown=MIB), device_of()):
            for text in (tier.formula, tier.note, *(each.reason + " ".join(each.needs) for each in tier.criteria)):
                assert claims(text) == []


RULES = [*sorted({rule for each in criteria().values() for rule in each.rules.all()}), "ACME-001"]
STAR_1 = [each.id for each in shipped()[0].criterion]
findings = st.builds(
    lambda rule, wanted, **how: finding_of(rule, *wanted, **how),
    st.sampled_from(RULES),
    st.lists(st.sampled_from(STAR_1), max_size=3, unique=True),
    verdict=st.sampled_from(["violation", "concern", "support", "info"]),
    severity=st.sampled_from(list(Severity)),
    confidence=st.sampled_from(["certain", "firm", "tentative"]),
    waived=st.booleans(),
    path=st.sampled_from(["/etc/a", "/etc/b", "0x40"]),
)
adverse = findings.filter(lambda each: each.verdict in {"violation", "concern"} and not each.waived)
devices = st.sampled_from([device_of(), Device(), TestNotApplicable.PLAIN, Device(boot_chain=device_of().boot_chain)])
shares = st.integers(0, 7 * MIB)


def total_lost(tier) -> float:
    return sum(each.lost for each in tier.criteria)


@settings(max_examples=60, deadline=None)
@given(st.lists(findings, max_size=6), adverse, shares, devices)
def test_adverse_evidence_never_improves_anything(found, more, unknown, device) -> None:
    before = judge(found, coverage_of(unknown), device)
    after = judge([*found, more], coverage_of(unknown), device)
    for old, new in zip(before, after, strict=True):
        assert new.score <= old.score
        assert new.refuted >= old.refuted
        for one, other in zip(old.criteria, new.criteria, strict=True):
            assert RANK[other.verdict] <= RANK[one.verdict]
    order = [None, "STAR-1", "STAR-2", "STAR-3", "STAR-4"]
    level = [order.index(summary(tiers, "STAR-1")["highest_not_refuted"]) for tiers in (before, after)]
    assert level[1] <= level[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(findings, max_size=6), shares, shares, devices, st.booleans())
def test_unread_bytes_never_improve_anything(found, one, other, device, as_gap) -> None:
    less, more = sorted((one, other))
    gaps = [Gap(node="router.bin › x", reason="unreadable", bytes=more - less)] if as_gap else []
    before = judge(found, coverage_of(less), device)
    after = judge(found, coverage_of(less if as_gap else more, gaps=gaps), device)
    for old, new in zip(before, after, strict=True):
        assert new.score <= old.score
        assert new.refuted == old.refuted
        for was, now in zip(old.criteria, new.criteria, strict=True):
            assert RANK[now.verdict] <= RANK[was.verdict]


@settings(max_examples=40, deadline=None)
@given(st.lists(findings, max_size=7).flatmap(lambda each: st.tuples(st.just(each), st.permutations(each))), shares, devices)
def test_the_order_of_findings_does_not_matter(orders, unknown, device) -> None:
    assert judge(orders[0], coverage_of(unknown), device) == judge(orders[1], coverage_of(unknown), device)


@settings(max_examples=40, deadline=None)
@given(st.lists(findings, max_size=8), shares, devices)
def test_levels_are_cumulative_and_points_add_up(found, unknown, device) -> None:
    tiers = judge(found, coverage_of(unknown), device)
    for below, above in itertools.pairwise(tiers):
        assert above.refuted >= below.refuted
        assert above.score <= below.score
    for tier in tiers:
        assert 0 <= tier.score <= 100
        assert abs(100 - total_lost(tier) - tier.score) < 1 + 0.005 * tier.total
        assert 0 <= tier.decidable <= tier.total
    assert not {each.verdict for each in tiers[3].criteria if each.id.startswith("FWC4-")} & GOOD


def test_worse_verdicts_never_keep_more_points() -> None:
    kept = [score.share(each) for each in (Verdict.VIOLATION, Verdict.CONCERN, Verdict.NOT_DECIDABLE, Verdict.NOT_OBSERVED)]
    assert kept == sorted(kept)
    assert max(score.CONCERN_SHARES.values()) <= score.SHARES[Verdict.NOT_DECIDABLE]
    concerns = [score.CONCERN_SHARES[each] for each in Severity]
    assert concerns == sorted(concerns)
