"""The level advisor: what buyers, data and stakes lead to, what is out of scope, and that all is said in both languages."""

import pytest

from fwcheck.declaration import Declaration, Product, Use
from fwcheck.jcstar.advisor import _advice, suggest


def asked(kind="generic", **use):
    return suggest(Declaration(product=Product(type=kind), use=Use(**use)))


@pytest.mark.parametrize(
    ("kind", "use", "aim"),
    [
        ("generic", {}, "STAR-1"),
        ("smart-home", {"data": "personal"}, "STAR-2"),
        ("smart-lock", {"consequence": "safety"}, "STAR-2"),
        ("router", {"buyer": "public"}, "STAR-3"),
        ("sensor", {"buyer": "public"}, "STAR-3"),
        ("router", {"buyer": "public", "consequence": "safety"}, "STAR-4"),
        ("energy", {"funding": True}, "STAR-1"),
    ],
)
def test_what_to_aim_at_follows_buyer_and_stakes(kind, use, aim):
    found = asked(kind, **use)
    assert (found.apply_for, found.aim_at) == ("STAR-1", aim)
    levels = [each.split(":")[0] for each in found.evidence if each.startswith("Evidence for")]
    assert levels == [f"Evidence for {level}" for level in dict.fromkeys(("STAR-1", aim))]
    assert any("198,000 yen" in each for each in found.evidence)
    assert f"--target {aim}" in found.next[0]


@pytest.mark.parametrize("use", [{"ip": False}, {"general_purpose": True}])
def test_what_is_out_of_scope_gets_no_level(use):
    found = asked(**use)
    assert (found.apply_for, found.aim_at) == (None, None)
    assert found.reasons


def test_published_requirements_are_told_for_the_types_that_have_them():
    assert any("are published" in each for each in asked("router", buyer="public").reasons)
    assert any("none for this type" in each for each in asked("smart-lock", buyer="public").reasons)


def test_more_at_stake_never_lowers_the_aim():
    order = ("STAR-1", "STAR-2", "STAR-3", "STAR-4")
    for buyer in ("consumer", "business", "public"):
        aims = [asked(buyer=buyer, consequence=each).aim_at for each in ("nuisance", "privacy", "outage", "safety")]
        assert [order.index(aim) for aim in aims] == sorted(order.index(aim) for aim in aims)


def test_every_sentence_stands_in_both_languages_and_none_says_that_a_product_complies():
    for name, each in _advice().statements.items():
        assert each.en, name
        assert each.ja, name
        assert any(ord(char) > 0x3000 for char in each.ja), name
        assert not any(word in each.en.lower() for word in ("complies", "compliant", "certified"))
