"""What holds of every judgement, whatever findings, coverage and statements it is made from.

The order of findings, adverse evidence and unread bytes: ``test_mapper.py``. Here: the same beside a maker's statements, what
each lost point is lost to, and that a waiver and a rule that was not run bring nothing that an image did not earn.
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import get_args

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reports import MIB, coverage_of, device_of, finding_of
from test_mapper import GOOD, RANK, RULES, STAR_1, adverse, devices, findings, shares

from fwcheck.declaration import Declaration, Product, ProductType, Support
from fwcheck.jcstar.mapper import judge, summary
from fwcheck.model import Device, Gap, Verdict

ORDER = [None, "STAR-1", "STAR-2", "STAR-3", "STAR-4"]
STATED = RANK | {Verdict.DECLARED: 2}
RUNNABLE = [rule for rule in RULES if not rule.startswith("DEC-")]
ids = st.sampled_from(STAR_1)
declarations = st.builds(
    lambda kind, documents, absent, until: Declaration(
        product=Product(type=kind), documents=documents, not_applicable=absent, support=Support(until=until)
    ),
    st.sampled_from(get_args(ProductType)),
    st.dictionaries(ids, st.just("a document"), max_size=6),
    st.dictionaries(ids, st.just("a reason"), max_size=6),
    st.none() | st.just(dt.date(2031, 3, 31)),
)
stated = st.builds(lambda device, declared: msgspec.structs.replace(device, declared=declared), devices, st.none() | declarations)


def highest(tiers) -> int:
    return ORDER.index(summary(tiers, "STAR-1")["highest_not_refuted"])


@settings(max_examples=30, deadline=None)
@given(st.lists(findings, max_size=6), st.lists(adverse, min_size=1, max_size=4), shares, stated)
def test_adverse_evidence_improves_nothing_whatever_is_stated(found, more, unknown, device) -> None:
    before = judge(found, coverage_of(unknown), device)
    after = judge([*found, *more], coverage_of(unknown), device)
    for old, new in zip(before, after, strict=True):
        assert new.score <= old.score
        assert new.refuted >= old.refuted
        for one, other in zip(old.criteria, new.criteria, strict=True):
            assert STATED[other.verdict] <= STATED[one.verdict]
    assert highest(after) <= highest(before)


@settings(max_examples=30, deadline=None)
@given(st.lists(findings, max_size=6), shares, st.integers(0, 3 * MIB), stated)
def test_unread_bytes_improve_nothing_whatever_is_stated(found, unknown, more, device) -> None:
    before = judge(found, coverage_of(unknown), device)
    after = judge(found, coverage_of(unknown, gaps=[Gap(node="a › b", reason="unreadable", bytes=unknown + more)]), device)
    for old, new in zip(before, after, strict=True):
        assert new.score <= old.score
        assert new.refuted == old.refuted
        worth = {row.id: row.lost for row in old.criteria}
        assert all(row.lost >= worth[row.id] - 0.011 for row in new.criteria if row.id in STAR_1)
    assert highest(after) <= highest(before)


@settings(max_examples=30, deadline=None)
@given(st.lists(findings, max_size=6), shares, devices, declarations)
def test_documents_and_reasons_of_the_maker_bring_no_point_and_no_level(found, unknown, device, declared) -> None:
    plain = msgspec.structs.replace(declared, documents={}, not_applicable={})
    before = judge(found, coverage_of(unknown), msgspec.structs.replace(device, declared=plain))
    after = judge(found, coverage_of(unknown), msgspec.structs.replace(device, declared=declared))
    assert [(tier.score, tier.refuted) for tier in after] == [(tier.score, tier.refuted) for tier in before]
    assert highest(after) <= highest(before)
    for old, new in zip(before[0].criteria, after[0].criteria, strict=True):
        assert new.lost == old.lost
        if new.verdict is not old.verdict:
            assert new.verdict in {Verdict.DECLARED, Verdict.NOT_APPLICABLE}
            assert old.verdict not in {Verdict.VIOLATION, Verdict.CONCERN}


@settings(max_examples=30, deadline=None)
@given(st.lists(findings, max_size=8, unique_by=lambda each: each.fingerprint), shares, stated)
def test_every_lost_point_names_its_finding_or_what_is_missing(found, unknown, device) -> None:
    known = {each.fingerprint: each for each in found}
    coverage = coverage_of(unknown)
    for row in judge(found, coverage, device)[-1].criteria:
        held = [known[each] for each in row.findings]
        against = [each for each in held if each.verdict in {"violation", "concern"} and not each.waived]
        assert bool(against) == (row.verdict in {Verdict.VIOLATION, Verdict.CONCERN})
        if against:
            assert any(each.rule in row.reason for each in against)
        elif row.lost > 0 and row.verdict is not Verdict.SUPPORT:
            assert row.needs
        elif row.lost > 0.01:
            assert unknown > 0  # evidence for it: nothing but unread bytes costs points here


@settings(max_examples=25, deadline=None)
@given(st.lists(findings, max_size=6), shares, stated, st.sets(st.sampled_from(RUNNABLE)))
def test_a_rule_that_was_not_run_brings_nothing(found, unknown, device, ran) -> None:
    everything = judge(found, coverage_of(unknown), device)
    part = judge(found, coverage_of(unknown), device, ran=ran)
    for old, new in zip(everything, part, strict=True):
        assert new.score <= old.score
        assert new.refuted == old.refuted


@settings(max_examples=25, deadline=None)
@given(st.lists(findings, max_size=8), shares, stated)
def test_star_4_is_never_better_than_not_decidable(found, unknown, device) -> None:
    tiers = judge(found, coverage_of(unknown), device)
    own = [each for each in tiers[3].criteria if each.id.startswith("FWC4-")]
    assert own
    assert not {each.verdict for each in own} & (GOOD - {Verdict.NOT_APPLICABLE})
    assert highest(tiers) < ORDER.index("STAR-4")


@settings(max_examples=25, deadline=None)
@given(st.lists(findings, max_size=8), shares, stated)
def test_a_level_refuted_stays_refuted_above_it_and_rows_are_the_same(found, unknown, device) -> None:
    tiers = judge(found, coverage_of(unknown), device)
    for below, above in itertools.pairwise(tiers):
        assert above.criteria[: below.total] == below.criteria
        assert above.refuted >= below.refuted
        assert above.score <= below.score


def test_the_same_support_twice_brings_no_more_than_once() -> None:
    one = finding_of("UPD-005", "S1.1-08", verdict="support")
    assert judge([one, one], coverage_of(), device_of())[0].score == judge([one], coverage_of(), device_of())[0].score


def test_nothing_at_all_is_no_level() -> None:
    assert highest(judge([], coverage_of(0, files=0, encrypted=7 * MIB), Device())) == 0
