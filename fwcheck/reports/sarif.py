"""The findings as SARIF 2.1.0 (OASIS standard of 2020-03-27), for code scanning services and editors.

Findings that speak against the image are results of kind ``fail``; support and information are ``informational``. A location is
the path inside its file system, relative to the image; the whole container chain is the logical location.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from fwcheck.model import Finding, Report, Severity
from fwcheck.reports import view
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# Read by code scanning services as a CVSS-like figure for ranking.
_RANKS = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.5", Severity.INFO: "0.0"}


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The findings as one SARIF run."""
    rules = {finding.rule: finding for finding in reversed(report.findings)}
    numbers = {rule: index for index, rule in enumerate(sorted(rules))}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": report.tool.name,
                        "version": report.tool.version,
                        "rules": [_rule(rules[rule]) for rule in numbers],
                    }
                },
                "artifacts": [_image(report)],
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, numbers[finding.rule], report.image.name) for finding in report.findings],
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"


def _image(report: Report) -> dict[str, Any]:
    return {
        "location": {"uri": _uri(report.image.name)},
        "length": report.image.size,
        "hashes": {"sha-256": report.image.sha256},
    }


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.rule,
        "shortDescription": {"text": plain(finding.title)},
        "fullDescription": {"text": plain(finding.explanation or finding.title)},
        "help": {"text": plain(finding.remediation or finding.explanation or finding.title)},
        "properties": {"security-severity": _RANKS[finding.severity], "tags": ["security", *finding.criteria]},
    }


def _result(finding: Finding, index: int, image: str) -> dict[str, Any]:
    adverse = finding.verdict in {"violation", "concern"}
    words = plain(finding.title) + (f": {plain(finding.evidence)}" if finding.evidence else "")
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "kind": "fail" if adverse else "informational",
        "level": _LEVELS[finding.severity] if adverse else "none",
        "message": {"text": words},
        "locations": [_location(finding, image)],
        "partialFingerprints": {"fwcheck/v1": finding.fingerprint},
        "properties": {
            "severity": finding.severity.value,
            "confidence": finding.confidence,
            "verdict": finding.verdict,
            "criteria": list(finding.criteria),
        },
    }
    if finding.waived:
        result["suppressions"] = [{"kind": "external", "status": "accepted"}]
    return result


def _location(finding: Finding, image: str) -> dict[str, Any]:
    where = finding.location
    inside = where.path.startswith("/") and where.path != "/"
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(where.path.lstrip("/") if inside else image)}}
    region: dict[str, int] = {}
    if where.line is not None and where.line >= 1:
        region["startLine"] = where.line
    elif where.offset is not None and where.offset >= 0 and inside:
        region["byteOffset"] = where.offset
    if region:
        physical["region"] = region
    return {"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": view.place(where)}]}


def _uri(path: str) -> str:
    """A relative URI reference; a first part with a colon would read as a scheme, hence everything but slashes is quoted."""
    return quote(path.encode("utf-8", "surrogateescape" if _encodable(path) else "backslashreplace"), safe="/._-~") or "."


def _encodable(path: str) -> bool:
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
