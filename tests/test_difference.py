"""Two reports compared: what appeared, went and changed, group by group, and nothing where they are the same."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import device_of, findings_of_router, report_of

from fwcheck.difference import compare
from fwcheck.model import Account, Component, Service, Severity


def test_a_report_does_not_differ_from_itself():
    assert compare(report_of(), report_of()).nothing


def test_a_finding_that_goes_takes_its_verdict_with_it():
    findings = findings_of_router()
    gone = next(each for each in findings if each.verdict == "violation")
    found = compare(report_of(), report_of([each for each in findings if each.rule != gone.rule]))
    assert ("went", False) in {(each.kind, each.worse) for each in found.findings}
    assert any(each.what == "score" and not each.worse for each in found.verdicts)
    back = compare(report_of([each for each in findings if each.rule != gone.rule]), report_of())
    assert ("appeared", True) in {(each.kind, each.worse) for each in back.findings}
    assert any(each.what == "score" and each.worse for each in back.verdicts)


def test_a_finding_that_weighs_less_has_changed():
    findings = findings_of_router()
    lighter = [msgspec.structs.replace(findings[0], severity=Severity.LOW), *findings[1:]]
    (change,) = compare(report_of(), report_of(lighter)).findings
    assert (change.kind, change.after.split()[0]) == ("changed", "low")


@pytest.mark.parametrize(
    ("group", "before", "after", "expected"),
    [
        ("components", [("openssl", "1.0.1e")], [("openssl", "3.0.15")], ("openssl", "changed", "1.0.1e", "3.0.15")),
        ("components", [], [("curl", None)], ("curl", "appeared", "", "?")),
        (
            "components",
            [("zlib", "1.2.8"), ("zlib", "1.2.11")],
            [("zlib", "1.2.11")],
            ("zlib", "changed", "1.2.11, 1.2.8", "1.2.11"),
        ),
    ],
)
def test_components_are_compared_by_name(group, before, after, expected):
    old, new = (
        msgspec.structs.replace(report_of(), components=tuple(Component(name=name, version=version) for name, version in each))
        for each in (before, after)
    )
    (change,) = getattr(compare(old, new), group)
    assert (change.what, change.kind, change.before, change.after) == expected


def device(**more):
    return report_of(device=msgspec.structs.replace(device_of(), **more))


def test_a_service_that_is_started_now_is_worse():
    off, on = (device(services=(Service(name="telnetd", program="/usr/sbin/telnetd", enabled=each),)) for each in ("no", "yes"))
    (change,) = compare(off, on).services
    assert (change.kind, change.before, change.after, change.worse) == ("changed", "not started", "started by default", True)
    (change,) = compare(on, off).services
    assert change.worse is False
    (change,) = compare(device(services=()), on).services
    assert (change.kind, change.worse) == ("appeared", True)


def test_an_account_whose_password_was_found_is_worse():
    locked, open_ = (
        device(accounts=(Account(name="root", file="/etc/shadow", **each),))
        for each in ({"password": "locked"}, {"password": "hash", "cracked": True})
    )
    (change,) = compare(locked, open_).accounts
    assert (change.before, change.after, change.worse) == ("password: locked", "password: hash, cracked", True)


@given(st.lists(st.integers(0, 6), max_size=7, unique=True), st.lists(st.integers(0, 6), max_size=7, unique=True))
def test_what_appears_one_way_goes_the_other(left, right):
    findings = findings_of_router()
    some = [[findings[at % len(findings)] for at in each] for each in (left, right)]
    there, back = compare(report_of(some[0]), report_of(some[1])), compare(report_of(some[1]), report_of(some[0]))
    assert {each.what for each in there.findings if each.kind == "appeared"} == {
        each.what for each in back.findings if each.kind == "went"
    }
