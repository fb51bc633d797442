"""What is wrong with a file that somebody wrote is told in one line: where, what, and what was probably meant."""

from __future__ import annotations

import time

import pytest

from fwcheck.declaration import DeclarationError
from fwcheck.declaration import parse as declaration
from fwcheck.gate import BrokenFile, Policy, Waivers
from fwcheck.handwritten import line_of

POLICIES = (
    ("[all]\nmin_scor = 3\n", "2: unknown key min_scor in all; did you mean min_score"),
    ("# ours\n[all\nx", "2: is no TOML: Expected ']' at the end of a table declaration (column 5)"),
    ("[all]\nmin_score\n\n", "2: is no TOML: Expected '=' after a key in a key/value pair ("),
    ("[all]\nmin_score", "2: is no TOML: Expected '=' after a key in a key/value pair (at the end)"),
    ("[all]\n\nfail_on = 'hgih'\n", "3: all, fail_on: there is no 'hgih'; there are critical, high, low, medium"),
    ("[all]\nmin_score = 101\n", "2: all, min_score: takes a whole number <= 100"),
    ("[all]\nmin_score = 'x'\n", "2: all, min_score: takes a whole number, not a text in quotes"),
    ("name = 'x'\n[type.toaster]\nmin_score = 3\n", "2: type: there is no 'toaster'; there are energy, gateway, "),
    ("[all]\nmin_score = 1\nforbidden_rules = ['DBG-*',\n'XYZ-*']\n", "3: all, forbidden_rules: there is no rule XYZ-*"),
    ("[all.verdicts]\n'S1.1-01' = 'support'\n'S1.1-99' = 'support'\n", "3: all, verdicts: there is no criterion S1.1-99"),
    ("[all]\nforbidden_rules = 3\n", "2: all, forbidden_rules: takes a list, not a whole number"),
)
FIT = "[[waiver]]\nrule = 'NET-001'\nreason = 'x'\nowner = 'y'\n"
WAIVERS = (
    (FIT + "expires = 'soon'\n", "5: waiver 1, expires: takes a date without quotes, like 2027-01-31"),
    (FIT.replace("NET-001", "NET-999") + "expires = 2099-01-01\n", "1: waiver 1: there is no rule NET-999; did you mean"),
    (FIT + "expires = 2099-01-01\n\n[[waiver]]\nrule = 'NET-001'\nreason = 'x'\n", "7: waiver 2: missing key `owner`"),
)


@pytest.mark.parametrize(("content", "told"), POLICIES)
def test_a_broken_policy(tmp_path, content: str, told: str) -> None:
    (tmp_path / "policy.toml").write_text(content)
    with pytest.raises(BrokenFile) as caught:
        Policy.read(tmp_path / "policy.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'policy.toml'}:{told}")
    assert "\n" not in str(caught.value)
    with pytest.raises(BrokenFile) as caught:
        Policy.parse(content.encode(), "sent.toml")
    assert str(caught.value).startswith(f"sent.toml:{told}")


@pytest.mark.parametrize(("content", "told"), WAIVERS)
def test_a_broken_waiver_file(tmp_path, content: str, told: str) -> None:
    (tmp_path / "w.toml").write_text(content)
    with pytest.raises(BrokenFile) as caught:
        Waivers.read(tmp_path / "w.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'w.toml'}:{told}")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[product]\nmaker = 'x'\ntype = 'toaster'\n", "p:3: product, type: there is no 'toaster'; there are energy, gateway"),
        (b"absent = ['telnet', 'gopher']\n", "p:1: absent 2: there is no 'gopher'"),
        (b"[[services]]\nname = 'a'\nreason = 'b'\nport = 'x'\n", "p:4: services 1, port: takes a whole number"),
        (b"a = " + b"[" * 9000, "p: nested too deeply"),
        (b"\xff", "p: "),
    ],
)
def test_a_broken_declaration(content: bytes, told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declaration(content, "p")
    assert str(caught.value).startswith(told)


def test_a_line_of_a_hostile_file_is_found_in_time() -> None:
    begun = time.process_time()
    for text in ("a" * 1_000_000, "[" * 1_000_000, "a = 1\n" * 100_000, "." * 500_000 + "=", ("[[" + "a." * 190 + "]]\n") * 2000):
        line_of(text, ["a", 3, "b"])
    assert time.process_time() - begun < 10
    assert line_of("[a]\nb.c = 1\n", ["a", "b", "c"]) == 2
    assert line_of("x = 1\n", ["a"]) is None
