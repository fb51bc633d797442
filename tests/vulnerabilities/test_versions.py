import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwcheck.vulnerabilities.versions import branch_of, compare, key, within

ORDERED = [
    [
        "0.9.8",
        "0.9.8a",
        "0.9.8z",
        "0.9.8za",
        "0.9.8zh",
        "1.0.0-beta1",
        "1.0.0",
        "1.0.0a",
        "1.0.2",
        "1.0.2a",
        "1.0.2k",
        "1.0.2l",
        "1.0.2zd",
    ],
    ["1.01", "1.1.0", "1.1.3", "1.2.0", "1.10.0", "1.22.1"],
    ["0.52", "0.53", "2011.54", "2012.55", "2013.59", "2016.74", "2022.82"],
    ["5.9p1", "6.6", "6.6p1", "6.6.1p1", "6.7p1", "7.1p1", "7.1p2", "9.8"],
    ["2.0-devel", "2.0", "2.6-devel", "2.6", "2.7", "2.10"],
    ["2.4.2b1", "2.4.2b3", "2.4.2", "2.4.3", "2.4.9"],
    ["0.94.14rc20", "0.94.14rc21", "0.94.14"],
    ["7.36.0-DEV", "7.36.0", "7.37.0", "8.0.0"],
    ["4.2.8p9", "4.2.8p10", "4.2.9"],
    ["6.1-rc1", "6.1-rc10", "6.1", "6.1.176", "6.2"],
    ["3.0.25rc3", "3.0.25", "3.0.25a", "3.0.25c", "3.0.26"],
    ["2018.05", "2018.09", "2018.11", "2019.01"],
]
words = st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){0,3}([a-z]{1,2}|-?(rc|beta|dev|p)[0-9]{0,2})?\Z")


@pytest.mark.parametrize("versions", ORDERED, ids=lambda each: each[0])
def test_versions_follow_the_order_in_which_they_were_released(versions):
    for before, after in itertools.pairwise(versions):
        assert compare(before, after) == -1, (before, after)
    assert sorted([*versions[1:], versions[0]], key=key) == versions


@pytest.mark.parametrize(("left", "right"), [("1.0", "1.0.0"), ("1.0.2K", "1.0.2k"), ("6.7-p1", "6.7p1"), ("2.0_rc1", "2.0-rc1")])
def test_two_spellings_of_a_release_are_equal(left, right):
    assert compare(left, right) == 0


@given(words, words, words)
def test_the_order_is_total(a, b, c):
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@given(st.text(), st.text())
def test_any_text_can_be_compared(a, b):
    assert compare(a, b) in (-1, 0, 1)


@given(words)
def test_a_version_lies_in_the_closed_range_of_itself_and_in_no_open_one(version):
    assert within(version, version, True, version, True)
    assert not within(version, version, False, version, True)
    assert not within(version, version, True, version, False)
    assert within(version, "", True, "", False)


@pytest.mark.parametrize(
    ("version", "branch", "wanted"),
    [
        ("1.0.2k", "1.0.2", True),
        ("4.4.92", "4.4", True),
        ("1.10.1", "1.1", False),
        ("3.0.14", "3", True),
        ("30.1", "3", False),
        ("1.0", "1.0.2", False),
    ],
)
def test_a_branch_ends_where_another_number_begins(version, branch, wanted):
    assert branch_of(version, branch) is wanted
