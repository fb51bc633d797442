"""Findings and verdicts: what an analyser and the judge say of the device."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from fwcheck.model.evidence import Evidence, Location
from fwcheck.model.value import Value


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class Waiver(Value, frozen=True, kw_only=True):
    """Why a finding is waived, who answers for that, and until which day (ISO date)."""

    reason: str
    owner: str
    expires: str


class Quote(Value, frozen=True, kw_only=True):
    """What stands around the place of a finding, secrets masked: lines of a text, or bytes."""

    kind: Literal["lines", "bytes"]
    start: int  # number of the first line (1-based), or offset of the first byte
    rows: tuple[str, ...]  # lines, or 16 bytes each in hexadecimal
    mark: int = 0  # which row the finding is about


class Finding(Value, frozen=True, kw_only=True):
    """One rule's statement about the device, with what it rests on and what would refute it."""

    rule: str
    title: str
    severity: Severity
    confidence: Literal["certain", "firm", "tentative"]
    verdict: Literal["violation", "concern", "support", "info"]
    criteria: tuple[str, ...] = ()
    location: Location = Location()
    evidence: str = ""  # masked quotation, one line
    secret: str = ""  # what is masked in it, where that is known; it never reaches a report unless asked for
    quote: Quote | None = None  # what stands around it, where it can be shown
    witnesses: tuple[Evidence, ...] = ()  # further places that say the same
    explanation: str = ""  # why it matters, one or two sentences
    refuted_by: str = ""  # what would show that the finding is wrong
    remediation: str = ""
    references: tuple[str, ...] = ()  # of its rule: provisions, weaknesses (CWE), manual pages
    cause: str = ""  # stable key of the cause (no offsets, dates, build ids); the fingerprint is made from it
    fingerprint: str = ""
    waived: bool = False
    waiver: Waiver | None = None  # of a waived finding
    baseline: Literal["", "new", "known"] = ""  # against an earlier report, where one was given

    def __repr__(self) -> str:
        """Without the secret: no log or message shows it by accident."""
        return f"Finding({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__struct_fields__ if name != 'secret')})"


class Verdict(StrEnum):
    """The verdict on one criterion."""

    VIOLATION = "violation"
    CONCERN = "concern"
    SUPPORT = "support"
    NOT_OBSERVED = "not-observed"
    NOT_DECIDABLE = "not-decidable"
    NOT_APPLICABLE = "not-applicable"
    DECLARED = "declared"  # the image cannot decide it; the maker names what does


class CriterionVerdict(Value, frozen=True, kw_only=True):
    """What the image says on one criterion of a profile."""

    id: str
    title: str
    verdict: Verdict
    reason: str
    title_ja: str = ""
    findings: tuple[str, ...] = ()  # fingerprints
    needs: tuple[str, ...] = ()  # documents or device tests that decide it
    limited_by: tuple[str, ...] = ()  # coverage gaps that limit the verdict
    lost: float = 0.0  # points of the tier score lost here


class TierVerdict(Value, frozen=True, kw_only=True):
    """One level: refuted by the image, or not refuted (``decidable`` of ``total`` criteria could be decided)."""

    id: str  # "STAR-1"
    official: bool
    refuted: bool
    score: int
    decidable: int
    total: int
    formula: str = ""
    note: str = ""
    criteria: tuple[CriterionVerdict, ...] = ()


class TierSummary(Value, frozen=True, kw_only=True):
    """The target level and where the image stands."""

    target: str
    highest_not_refuted: str | None
    score: int


class GateResult(Value, frozen=True, kw_only=True):
    """Which gates were asked for, and whether they held. ``undecided``: too little was read to judge (exit status 3)."""

    asked: tuple[str, ...] = ()
    passed: bool = True
    reasons: tuple[str, ...] = ()
    undecided: bool = False
    notes: tuple[str, ...] = ()  # what changes no result and wants to be known: unused waivers, demands passed over
