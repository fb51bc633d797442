"""The shipped profiles are sound, and broken ones are refused with every problem named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support.wording import claims

from fwcheck.analysers import registry
from fwcheck.jcstar import catalogue
from fwcheck.jcstar.catalogue import CatalogueError, parse, shipped

PROFILES = Path(catalogue.__file__).parent / "profiles"

# Rules that profiles may name before an analyser for them is registered.
DOCUMENTED = {
    *(f"ACC-{n:03}" for n in range(1, 13)),
    *(f"NET-{n:03}" for n in range(1, 11)),
    *(f"TLS-{n:03}" for n in range(1, 7)),
    *(f"UPD-{n:03}" for n in range(1, 11)),
    *(f"DBG-{n:03}" for n in range(1, 5)),
    *(f"FS-{n:03}" for n in range(1, 4)),
    *("CVE-001", "CVE-002", "HRD-001", "BOOT-001", "LOG-001", "LOG-002", "RST-001", "INF-001", "CRY-001"),
}

MINIMAL = """
id = "STAR-1"
level = 1
official = false
mapping = "finding"
catalogue_date = "2026-01-01"
title_en = "t"
title_ja = "t"
banner_en = "b"
banner_ja = "b"
[[criterion]]
id = "X-1"
title_en = "t"
title_ja = "t"
asks = "a"
asks_ja = "a"
evaluation = ["document"]
pillar = "interfaces"
decidable_by_image = "refute"
needs_root = true
weight = 1
confidence = 0.5
needs = [{ kind = "document", en = "d", ja = "d" }]
rules = { refutes = ["NET-001"] }
"""


def test_star_1_has_the_sixteen_published_identifiers_in_order() -> None:
    assert [each.id for each in shipped()[0].criterion] == [f"S1.1-{number:02}" for number in range(1, 17)]


def test_only_star_1_is_official() -> None:
    assert [(each.id, each.official) for each in shipped()] == [
        ("STAR-1", True),
        ("STAR-2", False),
        ("STAR-3", False),
        ("STAR-4", False),
    ]


@pytest.mark.parametrize("profile", shipped()[1:], ids=lambda each: each.id)
def test_a_proxy_says_so_and_uses_identifiers_of_its_own(profile) -> None:
    assert profile.catalogue_date in profile.banner_en
    assert "roxy" in profile.banner_en
    assert "代替" in profile.banner_ja
    assert all(re.fullmatch(rf"FWC{profile.level}-\d\d", each.id) for each in profile.criterion)


def test_every_rule_named_exists() -> None:
    known = DOCUMENTED | set(registry.rules())
    named = {rule for profile in shipped() for each in profile.criterion for rule in each.rules.all()}
    assert named <= known


def test_every_documented_rule_bears_on_something() -> None:
    named = {rule for profile in shipped() for each in profile.criterion for rule in each.rules.all()}
    assert named >= DOCUMENTED


def test_every_criterion_an_analyser_names_exists_and_knows_the_rule() -> None:
    known = catalogue.criteria()
    lost = [
        f"{rule.id} -> {criterion}"
        for rule in registry.rules().values()
        for criterion in rule.criteria
        if criterion not in known or known[criterion].rules.role(rule.id) is None
    ]
    assert not lost


@pytest.mark.parametrize("profile", shipped(), ids=lambda each: each.id)
def test_every_criterion_has_both_languages_needs_and_anchors(profile) -> None:
    for each in profile.criterion:
        assert re.search(r"[぀-ヿ一-鿿]", each.title_ja)
        assert each.asks_ja
        assert each.anchors
        assert all(need.en and need.ja for need in each.needs)


@pytest.mark.parametrize("each", shipped()[0].criterion, ids=lambda each: each.id)
def test_every_official_row_says_what_an_image_shows_of_it_and_agrees_with_its_rules(each) -> None:
    against, in_favour, open_ = each.image.parts("en")
    assert all(len(text) > 40 for text in (against, in_favour, open_))
    assert all(re.search(r"[぀-ヿ一-鿿]", text) for text in each.image.parts("ja"))
    cannot = each.decidable_by_image in {"support", "none"}
    assert against.startswith("Nothing") == cannot == each.image.against_ja.startswith(("なし", "単独ではなし"))
    assert in_favour.startswith("Nothing") == (not each.rules.supports)
    named = {rule for text in (*each.image.parts("en"), *each.image.parts("ja")) for rule in re.findall(r"[A-Z]+-\d{3}", text)}
    assert named <= set(each.rules.all())


def test_device_evaluation_names_a_device_test() -> None:
    for each in shipped()[0].criterion:
        if each.evaluation == ("device",):
            assert any(need.kind == "device-test" for need in each.needs), each.id


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda path: path.name)
def test_no_profile_text_claims_a_positive_verdict(path: Path) -> None:
    def texts(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for each in value.values():
                yield from texts(each)
        elif isinstance(value, list):
            for each in value:
                yield from texts(each)

    assert [claim for text in texts(tomllib.loads(path.read_text("utf-8"))) for claim in claims(text)] == []


def test_a_sound_profile_is_read() -> None:
    assert parse(MINIMAL.encode(), "x.toml").criterion[0].rules.role("NET-001") == "refutes"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('refutes = ["NET-001"]', 'refutes = ["NET-001", "NET-001"]', "lists rule NET-001 twice"),
        ('refutes = ["NET-001"]', 'refutes = ["NET-001"], supports = ["NET-001"]', "lists rule NET-001 twice"),
        ("weight = 1", "weight = 0", "no weight"),
        ("confidence = 0.5", "confidence = 5.0", "confidence"),
        ('refutes = ["NET-001"]', 'supports = ["NET-001"]', "no rule can refute it"),
        ('decidable_by_image = "refute"', 'decidable_by_image = "none"', "decidable_by_image"),
        ('needs = [{ kind = "document", en = "d", ja = "d" }]', "needs = []", "what decides it"),
        ('pillar = "interfaces"', 'pillar = "misc"', "misc"),
        ("weight = 1", "weight = 1\nwieght = 2", "wieght"),
        ("level = 1", "level = ", "x.toml"),
        ("official = false", "official = true", "what an image shows of it"),
    ],
)
def test_a_broken_profile_is_refused_by_name(old: str, new: str, says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        parse(MINIMAL.replace(old, new).encode(), "x.toml")


def test_all_problems_of_a_profile_are_told_at_once() -> None:
    broken = MINIMAL.replace("weight = 1", "weight = -1").replace("confidence = 0.5", "confidence = 2.0")
    with pytest.raises(CatalogueError, match=r"weight.*confidence"):
        parse(broken.encode(), "x.toml")


def test_a_criterion_of_two_profiles_is_refused() -> None:
    one = parse(MINIMAL.encode(), "one.toml")
    two = parse(MINIMAL.replace('id = "STAR-1"', 'id = "STAR-2"').encode(), "two.toml")
    with pytest.raises(CatalogueError, match="X-1"):
        catalogue.in_order([one, two])


def test_the_digest_is_stable() -> None:
    assert catalogue.digest() == catalogue.digest()
    assert re.fullmatch(r"[0-9a-f]{64}", catalogue.digest())
