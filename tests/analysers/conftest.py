"""Every text of every finding that these tests bring about has its Japanese."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fwcheck.analysers.rule import Rule
from fwcheck.language.japanese import phrasebook
from fwcheck.model import Finding


@pytest.fixture(autouse=True)
def told_in_japanese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Looks at each finding as it is made; one without Japanese is told when the test is over."""
    make = Rule.finding
    untold: list[str] = []

    def finding(self: Rule, *arguments: Any, **texts: Any) -> Finding:
        made = make(self, *arguments, **texts)
        said = (made.title, made.explanation, made.refuted_by, made.remediation) if self.ja is not None else ()
        untold.extend(f"{self.id}: {text}" for text in said if not phrasebook().knows(text))
        return made

    monkeypatch.setattr(Rule, "finding", finding)
    yield
    assert not untold, f"no Japanese in [rule.ja.phrases] or fwcheck/language/phrases for: {untold[:3]}"
