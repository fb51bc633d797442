"""Two reports compared: what appeared, went and changed, group by group, and nothing where they are the same."""

import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.reports import device_of, findings_of_router, report_of

from fwcheck.difference import compare
from fwcheck.model import (
    Account,
    Branch,
    Component,
    CryptoAsset,
    Evidence,
    Leaf,
    Listener,
    Location,
    Service,
    Severity,
    Vulnerability,
)
from fwcheck.reports import comparison
from fwcheck.reports.labels import label


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
        ("components", [("openssl", "1.0.1e")], [("openssl", "3.0.15")], ("openssl", "changed", "1.0.1e", "3.0.15 (up)")),
        ("components", [], [("curl", None)], ("curl", "appeared", "", "?")),
        (
            "components",
            [("zlib", "1.2.8"), ("zlib", "1.2.11")],
            [("zlib", "1.2.11")],
            ("zlib", "changed", "1.2.8, 1.2.11", "1.2.11"),
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


def test_a_component_that_goes_down_or_gets_more_known_against_it_is_told():
    def image(version, *known):
        listed = tuple(Vulnerability(id=each, known_exploited=each.endswith("9")) for each in known)
        part = Component(name="curl", version=version, vulnerabilities=listed)
        return msgspec.structs.replace(report_of(), components=(part,))

    (change,) = compare(image("8.5"), image("8.4", "CVE-1")).components
    assert (change.before, change.after, change.worse) == ("8.5 [0 known]", "8.4 (down) [1 known]", True)
    (change,) = compare(image("8.4", "CVE-1"), image("8.4", "CVE-1", "CVE-9")).components
    assert (change.before, change.after, change.worse) == ("8.4 [1 known]", "8.4 [2 known, 1 exploited]", True)
    (change,) = compare(image("8.4", "CVE-9"), image("8.10", "CVE-1", "CVE-2")).components
    assert (change.after, change.worse) == ("8.10 (up) [2 known]", False)
    assert compare(image("8.4", "CVE-1"), image("8.4", "CVE-1")).components == ()


def test_a_port_that_opens_is_worse_and_one_that_is_reached_from_farther():
    near, far = (
        device(listeners=(Listener(port=80, protocol="tcp", address="0.0.0.0", service="uhttpd", reachable_from=each),))
        for each in ("lan", "wan")
    )
    (change,) = compare(device(listeners=()), near).listeners
    assert (change.what, change.kind, change.worse) == ("tcp/80 uhttpd", "appeared", True)
    (change,) = compare(near, device(listeners=())).listeners
    assert (change.kind, change.worse) == ("went", False)
    (change,) = compare(near, far).listeners
    assert (change.kind, change.worse) == ("changed", True)
    assert compare(far, near).listeners[0].worse is False


def test_keys_are_changed_kept_or_new_and_kept_ones_are_no_difference():
    def image(*keys):
        return device(
            crypto=tuple(
                CryptoAsset(
                    kind="private-key",
                    algorithm="RSA",
                    bits=2048,
                    fingerprint=print_ * 64,
                    evidence=(Evidence(location=Location(path=path)),),
                )
                for print_, path in keys
            )
        )

    one = image(("a", "/etc/ssl/key.pem"))
    same = compare(one, one)
    assert [(each.kind, each.what, each.place) for each in same.keys] == [("kept", "RSA-2048 private key", "/etc/ssl/key.pem")]
    assert same.nothing
    found = compare(image(("a", "/k"), ("b", "/l")), image(("c", "/k"), ("d", "/m"))).keys
    assert {(each.kind, each.place) for each in found} == {("changed", "/k"), ("appeared", "/m"), ("went", "/l")}


def test_sizes_of_image_parts_and_files():
    def image(whole, root, file, offset):
        base = report_of()
        leaves = (Leaf(path="/bin/a", mode="-rwxr-xr-x", size=file), Leaf(path="/bin/b", mode="-rwxr-xr-x", size=7))
        tree = (Branch(chain=("x", f"squashfs@{offset}"), format="squashfs", size=root, leaves=leaves),)
        return msgspec.structs.replace(base, image=msgspec.structs.replace(base.image, size=whole), tree=tree)

    found = compare(image(1 << 20, 4096, 10, "0x10"), image(2 << 20, 8192, 2048, "0x20")).sizes
    assert [(each.what, each.before, each.after, each.place) for each in found] == [
        ("image", "1.0 MiB", "2.0 MiB", ""),
        ("squashfs", "4.0 KiB", "8.0 KiB", ""),
        ("file", "10 B", "2.0 KiB", "/bin/a"),
    ]


HOSTILE = "<script>alert(1)</script> [x](javascript:1) | \x1b[2J\udce9"


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_pages_show_every_group_and_an_image_writes_no_markup_into_them(lang):
    hostile = Service(name=HOSTILE, program=f"/{HOSTILE}", enabled="yes")
    old, new = report_of(name=HOSTILE), msgspec.structs.replace(device(services=(hostile,)), findings=())
    found = compare(old, new)
    page, table, lines = (show(found, lang) for show in (comparison.html, comparison.markdown, comparison.text))
    assert page.count("<script>") == 1
    assert "<script>alert" not in page
    assert "<script" not in table
    assert not re.search(r"(?<!\\)\]\(", table)
    assert "\x1b" not in lines
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    for name, held in comparison.groups(found):
        assert label(f"diff_{name}", lang) in page
        assert page.count("<tr") > len(held)


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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # each judges reports anew, on a busy machine slowly
@given(st.lists(st.integers(0, 6), max_size=7, unique=True), st.lists(st.integers(0, 6), max_size=7, unique=True))
def test_what_appears_one_way_goes_the_other(left, right):
    findings = findings_of_router()
    some = [[findings[at % len(findings)] for at in each] for each in (left, right)]
    there, back = compare(report_of(some[0]), report_of(some[1])), compare(report_of(some[1]), report_of(some[0]))
    assert {each.what for each in there.findings if each.kind == "appeared"} == {
        each.what for each in back.findings if each.kind == "went"
    }
