import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwcheck.vulnerabilities import ecosystems

ORDERED = {
    "deb": [
        ["1.0~~", "1.0~rc1", "1.0", "1.0-1", "1.0-1+deb11u1", "1.0-2", "1.0a-1", "1.0+dfsg", "1.1-0", "1.10-1", "1:0.1-1"],
        ["1.1.1n-0+deb11u3", "1.1.1n-0+deb11u4", "1.1.1w-0+deb11u1"],
        ["2.31-13", "2.31-13+deb11u11"],
        ["7.88.1-10+deb12u5", "7.88.1-10+deb12u12"],
    ],
    "apk": [
        ["1.0_alpha", "1.0_beta2", "1.0_pre1", "1.0_rc1", "1.0_rc2", "1.0", "1.0-r1", "1.0_git20190828", "1.0_p1", "1.0.1"],
        ["1.1.1k", "1.1.1k-r3", "1.1.1l-r0", "1.1.1l-r10"],
        ["1.33.1-r2", "1.33.1-r7", "1.34.0-r0"],
    ],
    "rpm": [
        ["1.0~rc1-1", "1.0-1", "1.0^git1-1", "1.0a-1", "1.0.1-1"],
        ["1.0.2k-24.el7_9", "1.0.2k-25.el7_9", "1:1.0.1-1"],
    ],
    "npm": [
        ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.10.0"]
    ],
}
CASES = [(system, versions) for system, rows in ORDERED.items() for versions in rows]


@pytest.mark.parametrize(("system", "versions"), CASES, ids=lambda each: str(each)[:20])
def test_versions_follow_the_order_of_their_system(system, versions):
    for before, after in itertools.pairwise(versions):
        assert ecosystems.key(system, before) < ecosystems.key(system, after), (before, after)


anything = st.text(alphabet="0123456789.abrcp~^+-_:é", max_size=20)


@given(st.sampled_from(sorted(ORDERED)), anything, anything, anything)
def test_every_order_is_total_over_any_text(system, a, b, c):
    x, y, z = sorted(ecosystems.key(system, each) for each in (a, b, c))
    assert x <= y <= z
    assert x <= z


@pytest.mark.parametrize(
    ("purl", "wanted"),
    [
        ("pkg:deb/debian/openssl@1.1.1n-0%2Bdeb11u3?arch=armhf&distro=debian-11", ["deb:debian:11/openssl"]),
        ("pkg:deb/debian/openssl@1.1.1n?distro=debian-11.7", ["deb:debian:11/openssl"]),
        ("pkg:apk/alpine/busybox@1.33.1-r2?distro=alpine-3.14.2", ["apk:alpine:3.14/busybox"]),
        ("pkg:deb/debian/openssl@1.1.1n", []),
        ("pkg:npm/%40angular/core@1.0.0", ["npm/@angular/core"]),
        ("pkg:generic/zlib@1.2.8", ["generic/zlib"]),
        ("nonsense", []),
        (None, []),
    ],
)
def test_a_package_is_kept_under_its_system_and_release(purl, wanted):
    assert ecosystems.keys(purl) == wanted
