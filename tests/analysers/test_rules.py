"""Every rule says why it matters, what refutes it, how to mend it and where to read more, and tests know it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fwcheck.analysers.registry import registered, rules
from fwcheck.analysers.rule import Rule, rules_of
from fwcheck.jcstar.catalogue import criteria

TESTS = Path(__file__).parents[1]
ALL = sorted(rules())


@pytest.fixture(scope="module")
def tested() -> str:
    """The text of every test but this one."""
    return "\n".join(path.read_text() for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__))


@pytest.mark.parametrize("id", ALL)
def test_a_rule_says_what_a_reader_needs(id: str) -> None:
    rule = rules()[id]
    assert re.fullmatch(r"[A-Z]{2,4}-\d{3}", rule.id)
    assert len(rule.title) >= 10
    assert not rule.title.endswith(".")
    for text in (rule.explanation, rule.remediation, rule.refuted_by):
        assert len(text.split()) >= 5, f"{id}: too short to help anybody: {text!r}"
        assert text.endswith(".")
    assert rule.references, f"{id} has no references"
    assert set(rule.criteria) <= set(criteria()), f"{id} bears on a criterion that no profile has"


@pytest.mark.parametrize("id", ALL)
def test_a_rule_has_tests(id: str, tested: str) -> None:
    assert f'"{id}"' in tested, f"no test names {id}"


def test_no_rule_stands_in_two_catalogues() -> None:
    seen = [id for analyser in registered() for id in analyser.RULES]
    assert sorted(seen) == sorted(set(seen))


def test_every_rule_is_explained_on_the_command_line() -> None:
    listed = subprocess.run([sys.executable, "-m", "fwcheck", "explain", "all"], capture_output=True, text=True, check=True)
    assert set(ALL) <= set(re.findall(r"^([A-Z]{2,4}-\d{3}) ", listed.stdout, re.MULTILINE))


def test_a_catalogue_that_gives_a_rule_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = 'explanation = "e"\nremediation = "r"\nrefuted_by = "n"\n'
    row = f'[[rule]]\nid = "XX-001"\ntitle = "t"\nseverity = "low"\ncriteria = []\n{texts}'
    package = tmp_path / "twice"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.toml").write_text(row)
    (package / "two.toml").write_text(row + row)
    monkeypatch.syspath_prepend(tmp_path)
    assert [type(rule) for rule in rules_of("twice.one").values()] == [Rule]
    with pytest.raises(ValueError, match=r"two\.toml gives a rule twice"):
        rules_of("twice.two")
