"""The filter before YARA: it may let too much through, and must never hold back a content that a rule matches."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwcheck.inspection import catalogue, patterns, yara_filter, yara_rules
from fwcheck.inspection.inspect import inspect
from fwcheck.inspection.patterns import Needle
from fwcheck.inspection.yara_filter import Filter, Unsupported, needs_of

FILTER = yara_rules.prefilter()
PATTERNS = catalogue.builtin().patterns
STARTS = (b"", b"\x7fELF\1\1\1", b"#!/bin/sh\n", b"\x12\0", b"0\x82\1\0", b"\n")
NATIVE = pytest.mark.skipif(not PATTERNS.native, reason="hyperscan does not run on this processor")


def rule(strings, condition="any of them", head="rule r"):
    return f'{head} {{ meta: id = "r" strings: {strings} condition: {condition} }}'


def words(source):
    return {(needle.data, needle.nocase) for each in needs_of(source) for needle in each.need.wanted()}


def same_with_and_without(content):
    seen = PATTERNS.scan(content, 512).seen
    problems = []
    assert yara_rules.scan(content, "binary", problems, seen) == yara_rules.scan(content, "binary", problems)
    assert not problems
    return seen is not None and not FILTER.allows(content, seen)


def test_no_shipped_rule_can_match_without_one_of_its_needles():
    assert FILTER.unfiltered == {}
    assert all(list(each.need.wanted()) for each in FILTER.needs)
    assert not any(each.need.holds(frozenset()) for each in FILTER.needs)


def test_the_filter_knows_every_shipped_rule():
    yara = pytest.importorskip("yara", reason="yara-python is not installed")
    sources = {name: data.decode() for name, data in yara_rules.rule_files().items()}
    assert len(FILTER.needs) == len(list(yara.compile(sources=sources)))


@NATIVE
@pytest.mark.parametrize("start", STARTS)
def test_contents_made_of_the_needles_of_each_rule_give_the_same(start):
    for each in FILTER.needs:
        needles = sorted(set(each.need.wanted()))
        same_with_and_without(start + b"\n".join(needle.data for needle in needles) + b"\n")
        same_with_and_without(start + b" ".join(needle.data.upper() for needle in needles) + b" ")
        same_with_and_without(start + b"\0" + random.Random(len(needles)).choice(needles).data + b"\0")


@NATIVE
@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(STARTS),
    st.lists(st.sampled_from([*(needle.data for needle in FILTER.needles), b"\n", b" ", b"\0", b"=", b"yes", b"1"]), max_size=12),
)
def test_any_mixture_of_needles_gives_the_same(start, pieces):
    same_with_and_without(start + b"".join(pieces))


@NATIVE
def test_files_of_this_machine_give_the_same():
    folders = [Path("/usr/bin"), Path("/usr/sbin"), Path("/etc"), Path("/usr/lib"), Path(sys.prefix), Path(__file__).parents[2]]
    files = [path for folder in folders for path in sorted(folder.rglob("*"))[:4000:29] if path.is_file()]
    contents = []
    for path in files[:600]:
        try:
            contents.append(path.read_bytes()[: 1 << 20])
        except OSError:
            continue
    spared = sum(same_with_and_without(content) for content in contents)
    assert not contents or spared > len(contents) // 2


@NATIVE
@pytest.mark.corpus
def test_pieces_of_real_images_give_the_same():
    folder = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "open"
    images = sorted(folder.glob("*"))[:8]
    if not images:
        pytest.skip("no corpus beside the repository")
    for image in images:
        content = image.read_bytes()[: 4 << 20]
        for at in range(0, len(content), 1 << 18):
            same_with_and_without(content[at : at + (1 << 18)])


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        ('$a = "Abc"', {(b"Abc", False)}),
        ('$a = "Abc" nocase fullword', {(b"abc", True)}),
        ('$a = "abc" wide', {(b"a\0b\0c\0", False)}),
        ('$a = "abc" wide ascii', {(b"abc", False), (b"a\0b\0c\0", False)}),
        ('$a = "a\\x00\\"\\\\\\n\\tb" // remark\n', {(b'a\0"\\\n\tb', False)}),
        ("$a = { 01 02 03 ?? 04 05 06 07 [2-4] 08 }", {(b"\4\5\6\7", False)}),
        ("$a = { 01 02 03 4? 05 }", {(b"\1\2\3", False)}),
        (r"$a = /(^|\n)[ \t]*ro\.adb=0/", {(b"ro.adb=0", False)}),
        (r"$a = /abcd*efgh+ijkl{0,2}mnop{2}q/i", {(b"efgh", True), (b"mnop", True)}),
        (r"$a = /(wget|curl)[^\n]{1,9}http:\/\//", {(b"wget", False), (b"curl", False), (b"http://", False)}),
        (r"$a = /(wget|c.rl)x?-host/", {(b"-host", False)}),
        (r"$a = /-(begin|start)?\b-block[]a-z]+\x00\x01\x02\x03/", {(b"-block", False), (b"\0\1\2\3", False)}),
    ],
)
def test_needles_stand_in_every_match_of_a_string(strings, expected):
    assert words(rule(strings)) == expected


TEXT = '$a = "aaaa" $b = "bbbb"'


@pytest.mark.parametrize(
    ("condition", "content", "expected"),
    [
        ("$a and $b", b"aaaa", False),
        ("all of them", b"aaaa bbbb", True),
        ("any of ($a, $b)", b"bbbb", True),
        ("all of ($*)", b"bbbb", False),
        ("uint16(0) == 0x2123 and any of them", b"aaaa", False),
        ("uint16(0) == 0x2123 and any of them", b"#!aaaa", True),
        ("uint32(0) != 0x464c457f and $a", b"\x7fELFaaaa", False),
        ("uint32(0) != 0x464c457f and $a", b"aaaa", True),
        ("uint8(4) == 1 and filesize < 100 and $a at (filesize - 4)", b"aaaa", True),
        ("$a in (2..6)", b"aaaa", True),
    ],
)
def test_a_condition_is_weakened_to_its_strings_and_first_bytes(condition, content, expected):
    one = Filter({"x.yar": rule(TEXT, condition)})
    assert one.unfiltered == {}
    assert one.allows(content, frozenset(needle for needle in one.needles if needle.data in content)) is expected


@pytest.mark.parametrize(
    "source",
    [
        rule(TEXT, "$a or $b"),
        rule(TEXT, "not $a"),
        rule(TEXT, "#a > 2"),
        rule(TEXT, "filesize < 10"),
        rule(TEXT, "filesize < 10KB and $a"),
        rule(TEXT, "1 of them"),
        rule(TEXT, "none of them"),
        rule(TEXT, "for any of them : ( $ at 0 )"),
        rule(TEXT, "$c"),
        rule(TEXT, "any of ($c*)"),
        rule(TEXT, "$a and other"),
        rule(TEXT, head="global rule r"),
        rule('$a = "aaaa" xor'),
        rule('$a = "aaaa" base64'),
        rule('$a = "ab"'),
        rule(r'$a = "aaaa\q"'),
        rule('$ = "aaaa"'),
        rule("$a = /aaaa/ wide"),
        rule("$a = /[a-z]{8}/"),
        rule("$a = /a?b?c?/"),
        rule("$a = /(aaaa|b)/"),
        rule("$a = /(aaaa)?/"),
        rule(r"$a = /aaaa\qbbbb/"),
        rule("$a = /aaaa(/"),
        rule("$a = /aäaaa/"),
        rule(f"$a = /{'(' * 40}aaaa{')' * 40}/"),
        rule("$a = { 01 02 }"),
        rule("$a = { 01 02 ( 03 | 04 ) 05 06 07 }"),
        rule("$a = { 01 02 ~03 05 06 07 }"),
        "rule r { condition: true }",
        'import "pe"\n' + rule(TEXT),
        rule(TEXT) + " rubbish",
        rule(TEXT)[:-1],
    ],
)
def test_what_the_reader_does_not_know_leaves_the_file_unfiltered(source):
    with pytest.raises(Unsupported):
        needs_of(source)
    assert set(Filter({"x.yar": source, "y.yar": rule(TEXT)}).unfiltered) == {"x.yar"}


def test_damaged_rules_raise_nothing_else():
    source = b"".join(yara_rules.rule_files().values()).decode()
    dice = random.Random(7)
    for _ in range(150):
        at = dice.randrange(len(source))
        piece = source[at : at + 900]
        spot = dice.randrange(len(piece))
        try:
            needs_of(piece[:spot] + dice.choice('"/\\{}()[]$|*+?=\n\0') + piece[spot + 1 :])
        except Unsupported:
            continue


def test_rules_without_a_filter_run_on_every_content(monkeypatch):
    files = {**yara_rules.rule_files(), "own.yar": b'rule own { meta: id = "own" condition: filesize == 3 }'}
    monkeypatch.setattr(yara_rules, "rule_files", lambda: files)
    for cached in (yara_rules.prefilter, yara_rules._engine):
        monkeypatch.setattr(yara_rules, cached.__name__, cached.__wrapped__)
    assert [hit.rule for hit in inspect(b"abc").yara] == ["own"]
    assert inspect(b"abcd").yara == ()
    assert {hit.rule for hit in yara_rules.scan(b"xmlset_roodkcableoj28840ybtide", "text", [])} == {"backdoor-dlink-xmlset"}


@NATIVE
def test_needles_are_seen_wherever_they_stand():
    needles = (Needle(b"needle", False), Needle(b"other", True))
    held = patterns.PatternSet([patterns.Pattern("p", rb"pat\d")], needles)
    assert held.scan(b"x" * 9999 + b"needle OTHER needle").seen == set(needles)
    assert held.scan(b"NEEDLE pat1").seen == frozenset()
    assert held.scan(b"pat1 oTHer").seen == {needles[1]}


def test_where_nobody_looked_for_needles_everything_runs(monkeypatch):
    assert patterns.PatternSet([patterns.Pattern("p", b"pat")]).scan(b"pat").seen is None
    plain = catalogue.load(catalogue.key_shapes(), FILTER.needles, native=False)
    assert plain.patterns.scan(b"pat").seen is None
    monkeypatch.setattr(catalogue, "builtin", lambda: plain)
    assert [hit.rule for hit in inspect(b"xmlset_roodkcableoj28840ybtide").yara] == ["backdoor-dlink-xmlset"]


@NATIVE
def test_a_noisy_content_is_given_to_yara():
    noise = patterns.PatternSet([patterns.Pattern("p", b"a")], FILTER.needles)
    assert noise.scan(b"a" * 200_000 + b"xmlset_roodkcableoj28840ybtide").seen is None


def test_a_kept_database_is_named_after_what_is_in_it():
    shapes = catalogue.key_shapes()
    names = {
        patterns.PatternSet(*given).fingerprint
        for given in ((shapes,), (shapes[1:],), (shapes, FILTER.needles), (shapes, FILTER.needles[1:]))
    }
    assert len(names) == 4
    assert yara_filter.Filter({}).needles == ()
