"""A baseline: an earlier report whose findings are known, so that only new ones fail a gate.

A finding is known when the earlier report held the same fingerprint against its image, not waived, and at least as grave. A
finding that has become graver, or that was waived then and is no longer, is new.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fwcheck.model import Finding, Report, Severity, Verdict

_SEVERITIES = tuple(Severity)
_GRAVITY = {"violation": 0, "concern": 1}


class Baseline:
    """What an earlier report knew."""

    def __init__(self, report: Report, name: str) -> None:
        self.name = name
        self.rules_digest = report.tool.rules_digest
        self.version = report.tool.version
        self._gravity: dict[str, tuple[int, int]] = {}
        for finding in report.findings:
            if finding.verdict in _GRAVITY and not finding.waived:
                held = self._gravity.get(finding.fingerprint, (len(_SEVERITIES), len(_GRAVITY)))
                self._gravity[finding.fingerprint] = min(held, _gravity(finding))
        self._scores = {tier.id: tier.score for tier in report.tiers}
        self._verdicts = {row.id: row.verdict for tier in report.tiers for row in tier.criteria}
        self._exploited = {
            (each.name, one.id) for each in report.components for one in each.vulnerabilities if one.known_exploited
        }
        self._versions = {(each.name, each.version) for each in report.components}
        self._ended = {(each.name, each.version) for each in report.components if each.end_of_life}

    def knows(self, finding: Finding) -> bool:
        """Whether this finding is none that has come since."""
        held = self._gravity.get(finding.fingerprint)
        return held is not None and held[0] <= _gravity(finding)[0] and held[1] <= _gravity(finding)[1]

    def score(self, tier: str) -> int | None:
        """The score at a level."""
        return self._scores.get(tier)

    def verdict(self, criterion: str) -> Verdict | None:
        """The verdict on a criterion."""
        return self._verdicts.get(criterion)

    def exploited(self, component: str, vulnerability: str) -> bool:
        """Whether this vulnerability of this component was known to be exploited then."""
        return (component, vulnerability) in self._exploited

    def held(self, component: str, version: str | None) -> bool:
        """Whether the component was there in this version."""
        return (component, version) in self._versions

    def ended(self, component: str, version: str | None) -> bool:
        """Whether the component was there in this version, out of support."""
        return (component, version) in self._ended

    def marked(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """The findings against the image, each told to be new or known."""
        return tuple(
            msgspec.structs.replace(each, baseline="known" if self.knows(each) else "new") if each.verdict in _GRAVITY else each
            for each in findings
        )


def _gravity(finding: Finding) -> tuple[int, int]:
    return _SEVERITIES.index(finding.severity), _GRAVITY.get(finding.verdict, len(_GRAVITY))
