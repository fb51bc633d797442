"""The tier score: fwcheck's own figure, 0 to 100, no part of the scheme. Every point that is lost belongs to one criterion.

A level starts with what the level below has left (100 for the first) and loses at each of its own criteria
``B x w/W x (1 - s x r)``: see :func:`formula`. Hence adverse evidence and unread bytes can only take points away, and a
level never scores above the one below it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fwcheck.model import Finding, Severity, Verdict

SHARES = {
    Verdict.SUPPORT: 1.0,
    Verdict.NOT_OBSERVED: 0.85,
    Verdict.NOT_APPLICABLE: 0.85,
    Verdict.NOT_DECIDABLE: 0.5,
    Verdict.DECLARED: 0.5,  # a statement is worth no more than silence
    Verdict.VIOLATION: 0.0,
}
CONCERN_SHARES = {
    Severity.CRITICAL: 0.2,
    Severity.HIGH: 0.2,
    Severity.MEDIUM: 0.35,
    Severity.LOW: 0.45,
    Severity.INFO: 0.45,
}


def share(verdict: Verdict, adverse: Iterable[Finding] = ()) -> float:
    """The part of a criterion's points that its verdict leaves; concerns weigh by their worst severity."""
    if verdict is Verdict.CONCERN:
        return min((CONCERN_SHARES[finding.severity] for finding in adverse), default=CONCERN_SHARES[Severity.HIGH])
    return SHARES[verdict]


def lost(budget: float, weight: int, weights: int, kept: float, read: float) -> float:
    """Points lost at one criterion of ``weight`` when the level has ``budget`` points to give to ``weights`` in all."""
    return budget * weight / weights * (1.0 - kept * read)


def total(exact: float) -> int:
    """The printed score: whole points, rounded down."""
    return max(0, min(100, math.floor(exact + 1e-6)))


def formula(read: float) -> str:
    """The formula in one paragraph, with the figures of this image."""
    return (
        "score = 100 - points lost; a criterion loses B x w/W x (1 - s x r). B: points left by the levels below (100 for the "
        "first); w/W: its weight among its level's; s: support 1, not observed or not applicable 0.85, not decidable 0.5, "
        f"concern 0.2 (critical, high), 0.35 (medium) or 0.45 (low), violation 0; r = {read:.3f}: share of the content read"
    )
