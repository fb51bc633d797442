"""The pattern pass: the same matches with hyperscan and with re alone, whatever the bytes."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwcheck.inspection import catalogue, patterns
from fwcheck.inspection.patterns import Pattern, PatternSet

SET = (
    Pattern("version", rb"tool v(?P<version>\d+\.\d+(?:\.\d+)?)"),
    Pattern("line", rb"(?m)^key=(?P<value>[^\n]{1,40})"),
    Pattern("edge", rb"\bword\b"),
    Pattern("bytes", rb"(?s)\x30\x82..\x02\x01"),
    Pattern("found", rb"(?i)pass[a-z]{0,8}\s{0,3}=\s{0,3}(\S{1,30})", rb"(?i)pass"),
)
NATIVE = PatternSet(SET)
PLAIN = PatternSet(SET, native=False)


def spans(scan):
    return {id: [match.span() for match in each] for id, each in scan.matches.items()}


def test_hyperscan_does_the_pass_where_it_runs():
    if patterns._hyperscan() is None:
        pytest.skip("hyperscan is not installed")
    assert NATIVE.native
    assert not PLAIN.native


PIECES = st.sampled_from([
    b"tool v1.2", b"tool v10.20.30", b".4", b"\nkey=", b"key=v", b"word", b" word ", b"words", b"\x30\x82", b"ab", b"\x02\x01",
    b"PASSWORD = x1", b"pass=", b"\n", b"\0", b" " * 300, b"z" * 700,
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_both_engines_find_the_same(content):
    assert spans(NATIVE.scan(content)) == spans(PLAIN.scan(content))


def test_matches_have_exact_starts_and_groups():
    content = b"\0" * 5000 + b"tool v2.7.18 (build)" + b"\0" * 5000
    (match,) = NATIVE.scan(content).matches["version"]
    assert (match.start(), match["version"]) == (5000, b"2.7.18")


def test_a_match_longer_than_the_window_is_whole():
    long = PatternSet([Pattern("long", rb"begin [a-z]{10,2000}", rb"begin ")])
    content = b"x" * 100 + b"begin " + b"a" * 1500 + b" end"
    (match,) = long.scan(content).matches["long"]
    assert match.span() == (100, 1606)


def test_a_limit_per_pattern_holds():
    assert len(NATIVE.scan(b"tool v1.2 " * 400, limit=7).matches["version"]) == 7


def test_noise_is_bounded_and_hides_no_other_pattern():
    content = b"pass = x " * 200_000 + b"tool v9.9.9"
    scan = NATIVE.scan(content)
    assert [match["version"] for match in scan.matches["version"]] == [b"9.9.9"]
    assert scan.noisy or not NATIVE.native


def test_a_pattern_that_hyperscan_refuses_is_still_found():
    odd = PatternSet([Pattern("plain", rb"abc"), Pattern("huge", rb"(?:[ab]{1,1000}c){1,30}d")])
    content = b"xx aacd abc"
    assert spans(odd.scan(content)) == spans(PatternSet(odd._patterns, native=False).scan(content))


def test_a_wrong_pattern_is_named():
    with pytest.raises(ValueError, match="broken"):
        PatternSet([Pattern("broken", rb"(abc")]).check()


def test_a_kept_database_finds_the_same_and_a_damaged_one_is_refused():
    data = NATIVE.dump()
    if data is None:
        pytest.skip("hyperscan is not installed")
    again = PatternSet(SET)
    assert again.restore(data)
    content = b"tool v1.2.3 word key=1"
    assert spans(again.scan(content)) == spans(NATIVE.scan(content))
    for bad in (b"", data[:64], data[:-1], b"\0" * len(data), data[:400] + b"\xff" * 8 + data[408:]):
        assert not PatternSet(SET).restore(bad)


def test_without_hyperscan_the_built_in_patterns_say_the_same(monkeypatch):
    content = (
        b"\0BusyBox v1.22.1 (2016-03-25 09:17:00 CST) multi-call binary\0 deflate 1.2.11 Copyright 1995-2017 Jean-loup Gailly\0"
        b"root:$1$GTN.gpri$DlSyKvZKMR9A9Uj9e9wR3/:0:0:root:/:/bin/sh\nrtsp://admin:12345@10.0.0.1/live\n"
    )
    native, plain = catalogue.load(), catalogue.load(native=False)
    assert spans(native.patterns.scan(content)) == spans(plain.patterns.scan(content))
    monkeypatch.setattr(patterns, "_hyperscan", lambda: None)
    assert spans(catalogue.load().patterns.scan(content)) == spans(native.patterns.scan(content))


def test_random_bytes_cost_nothing_and_say_nothing_much():
    noise = random.Random(3).randbytes(1 << 20)
    assert not catalogue.builtin().patterns.scan(noise).noisy


def test_every_built_in_find_stands_in_what_its_pattern_matches():
    known = catalogue.load()
    for entry in known.secrets.values():
        if entry.find:
            for text in entry.positive:
                match = re.search(entry.pattern.encode(), text.encode("latin-1"))
                assert re.search(entry.find.encode(), match[0][:512]), entry.id
