"""The base score of a CVSS vector, and severities in words.

Versions 4.0 (``cvss4``), 3.0 and 3.1 (FIRST, CVSS v3.1 specification, 7.1 and 7.4; words: table 14) and 2.0 (guide, 3.2.1).
"""

from __future__ import annotations

import math

from fwcheck.model import SeverityWord
from fwcheck.vulnerabilities import cvss4

_WORDS: dict[str, SeverityWord] = {
    "critical": "critical", "high": "high", "important": "high", "medium": "medium", "moderate": "medium", "low": "low",
    "negligible": "low", "minor": "low",
}  # fmt: skip
_V3 = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_V2 = {
    "AV": {"N": 1.0, "A": 0.646, "L": 0.395},
    "AC": {"L": 0.71, "M": 0.61, "H": 0.35},
    "Au": {"N": 0.704, "S": 0.56, "M": 0.45},
    "C": {"C": 0.66, "P": 0.275, "N": 0.0},
}


def base_score(vector: str) -> float | None:
    """The score, None for a vector of another version or one that lacks a metric."""
    metrics = dict(part.split(":", 1) for part in vector.split("/") if ":" in part)
    try:
        version = metrics.pop("CVSS", "")
        if version == "4.0":
            return cvss4.score(metrics)
        if version in ("3.0", "3.1"):
            return _three(metrics)
        return _two(metrics) if "Au" in metrics else None
    except (KeyError, ValueError):
        return None


def severity_word(told: object) -> SeverityWord:
    """A severity as a source words it (GitHub says "moderate", Red Hat "important"); empty for what is none."""
    word = told.strip().lower() if isinstance(told, str) else ""
    return _WORDS.get(word, "")


def _three(metrics: dict[str, str]) -> float:
    scope = metrics["S"]
    privileges = _PRIVILEGES[scope][metrics["PR"]]
    base = 1 - math.prod(1 - _V3["C"][metrics[name]] for name in ("C", "I", "A"))
    impact = 6.42 * base if scope == "U" else 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15
    if impact <= 0:
        return 0.0
    ease = 8.22 * math.prod(_V3[name][metrics[name]] for name in ("AV", "AC", "UI")) * privileges
    return _up(min((impact + ease) * (1 if scope == "U" else 1.08), 10))


def _up(value: float) -> float:
    """One decimal, upwards, as the specification's appendix A has it."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10


def _two(metrics: dict[str, str]) -> float:
    impact = 10.41 * (1 - math.prod(1 - _V2["C"][metrics[name]] for name in ("C", "I", "A")))
    ease = 20 * math.prod(_V2[name][metrics[name]] for name in ("AV", "AC", "Au"))
    return round((0.6 * impact + 0.4 * ease - 1.5) * (1.176 if impact else 0.0), 1)
