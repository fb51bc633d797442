"""What a rule says of itself, whatever its findings say of the image."""

from __future__ import annotations

from typing import NamedTuple


class RuleText(NamedTuple):
    """The fixed texts of a rule; empty ones of a rule that this version does not know."""

    title: str = ""
    explanation: str = ""
    refuted_by: str = ""
    remediation: str = ""
    references: tuple[str, ...] = ()


def rule_text(id: str) -> RuleText:
    """The texts of this rule."""
    from fwcheck.analysers.registry import rules  # noqa: PLC0415  # a report without findings needs no analyser

    rule = rules().get(id)
    if rule is None:
        return RuleText()
    return RuleText(rule.title, rule.explanation, rule.refuted_by, rule.remediation, rule.references)
