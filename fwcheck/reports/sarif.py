"""What speaks against the image as SARIF 2.1.0 (OASIS standard with errata 01), for code scanning services and editors.

A result is a finding that speaks against the image; what speaks for it is in the other reports: a service would show it as an
alert. A location is the path inside its file system; the whole container chain is the logical location. Results stay within what
GitHub takes of one upload (5,000 shown of a run, 20 tags of a rule, 10 MB packed); what is left out is told as a notification.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from fwcheck.language.rule_texts import rule_text
from fwcheck.model import Finding, Report, Severity
from fwcheck.reports import view
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

RESULTS = 5000
TAGS = 20
_TEXT = 4000  # characters of one text: 5,000 of them stay below the limit of an upload
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# Read by code scanning services as a CVSS-like figure for ranking.
_RANKS = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.5", Severity.INFO: "0.0"}
_PRECISION = {"certain": "very-high", "firm": "high", "tentative": "medium"}
_BASELINE = {"new": "new", "known": "unchanged"}
_SEVERITIES = tuple(Severity)


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The findings as one SARIF run."""
    adverse = [finding for finding in report.findings if finding.verdict in {"violation", "concern"}]
    shown = sorted(adverse, key=lambda each: (each.waived, _SEVERITIES.index(each.severity)))[:RESULTS]
    by_rule: dict[str, list[Finding]] = {}
    for finding in shown:
        by_rule.setdefault(finding.rule, []).append(finding)
    numbers = {rule: index for index, rule in enumerate(sorted(by_rule))}
    seen: dict[str, int] = {}
    results = [_result(finding, numbers[finding.rule], report.image.name, _nth(seen, finding.fingerprint)) for finding in shown]
    run = {
        "tool": {
            "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "semanticVersion": report.tool.version,
                "rules": [_rule(rule, by_rule[rule]) for rule in numbers],
            }
        },
        "automationDetails": {"id": f"fwcheck/{_uri(report.image.name)}/"},
        "invocations": [_invocation(report, len(adverse) - len(shown))],
        "artifacts": [_image(report)],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=1).decode() + "\n"


def _nth(seen: dict[str, int], fingerprint: str) -> int:
    """Which of the findings with this fingerprint it is: the same file in two file systems gives two alerts."""
    seen[fingerprint] = seen.get(fingerprint, 0) + 1
    return seen[fingerprint]


def _image(report: Report) -> dict[str, Any]:
    return {
        "location": {"uri": _uri(report.image.name)},
        "length": report.image.size,
        "hashes": {"sha-256": report.image.sha256},
    }


def _invocation(report: Report, left_out: int) -> dict[str, Any]:
    """That the run came to an end, and what is missing in it: gaps of the reading, and results that no service would take."""
    notes = [
        {"level": "warning", "message": {"text": _text(f"not read: {gap.node}: {gap.reason}")}}
        for gap in sorted(report.coverage.gaps, key=lambda gap: (-gap.bytes, gap.node, gap.reason))[:20]
    ]
    if left_out:
        words = f"{left_out} findings of the lowest severity are left out: code scanning shows no more than {RESULTS} of a run"
        notes.insert(0, {"level": "warning", "message": {"text": words}})
    return {"executionSuccessful": True, **({"toolExecutionNotifications": notes} if notes else {})}


def _rule(id: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """A rule in its own words, where they are known; its rank is that of its worst finding here."""
    first, known = findings[0], rule_text(id)
    worst = min((each.severity for each in findings), key=_SEVERITIES.index)
    titles = {each.title for each in findings}
    title = known.title or (first.title if len(titles) == 1 else id)
    explanation = known.explanation or first.explanation or title
    criteria = dict.fromkeys(criterion for each in findings for criterion in each.criteria)
    link = next((each for each in known.references if each.startswith("https://")), None)
    return {
        "id": id,
        "name": "".join(word[:1].upper() + word[1:] for word in _letters(title).split())[:200] or id,
        "shortDescription": {"text": _text(title)},
        "fullDescription": {"text": _text(explanation)},
        "help": _help(
            explanation, known.refuted_by or first.refuted_by, known.remediation or first.remediation, known.references
        ),
        **({"helpUri": link} if link else {}),
        "defaultConfiguration": {"level": _LEVELS[worst]},
        "properties": {
            "security-severity": _RANKS[worst],
            "precision": _PRECISION[first.confidence],
            "tags": ["security", *criteria][:TAGS],
        },
    }


def _help(explanation: str, refuted_by: str, remediation: str, references: Sequence[str]) -> dict[str, str]:
    """The same as text and as Markdown; rules are ours, so nothing of the image stands in it."""
    parts = (
        ("Why it matters", explanation),
        ("To do", remediation),
        ("What would refute it", refuted_by),
        ("References", ", ".join(references)),
    )
    held = [(head, plain(words)) for head, words in parts if words]
    return {
        "text": "\n".join(f"{head}: {words}" for head, words in held),
        "markdown": "\n\n".join(f"**{head}.** {words.replace('<', '&lt;')}" for head, words in held),
    }


def _result(finding: Finding, index: int, image: str, nth: int) -> dict[str, Any]:
    words = plain(finding.title) + (f": {plain(finding.evidence)}" if finding.evidence else "")
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "kind": "fail",
        "level": _LEVELS[finding.severity],
        "message": {"text": _unlinked(_text(words))},
        "locations": [_location(finding, image)],
        "partialFingerprints": {
            "fwcheck/v1": finding.fingerprint,
            "primaryLocationLineHash": f"{finding.fingerprint}:{nth}",
        },
        "properties": {
            "severity": finding.severity.value,
            "security-severity": _RANKS[finding.severity],
            "confidence": finding.confidence,
            "verdict": finding.verdict,
            "criteria": list(finding.criteria),
            "remediation": _text(finding.remediation),
        },
    }
    if finding.baseline:
        result["baselineState"] = _BASELINE[finding.baseline]
    if finding.waived:
        result["suppressions"] = [_suppression(finding)]
    return result


def _suppression(finding: Finding) -> dict[str, Any]:
    out: dict[str, Any] = {"kind": "external", "status": "accepted"}
    if finding.waiver is not None:
        waiver = finding.waiver
        out["justification"] = _text(f"{waiver.reason} (owner {waiver.owner}, until {waiver.expires})")
    return out


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
    name = plain(where.path or (where.chain[-1] if where.chain else image))
    logical = {"name": _text(name), "fullyQualifiedName": _text(view.place(where) or image), "kind": "resource"}
    return {"physicalLocation": physical, "logicalLocations": [logical]}


def _text(words: str) -> str:
    shown = plain(words)
    return shown if len(shown) <= _TEXT else shown[: _TEXT - 1] + "…"


def _unlinked(words: str) -> str:
    """Text that forms no link: ``[text](target)`` would be one (SARIF 3.11.6), and viewers differ in how they unescape."""
    return words.replace("](", "] (")


def _letters(title: str) -> str:
    return "".join(each if each.isalnum() else " " for each in title)


def _uri(path: str) -> str:
    """A relative URI reference; a first part with a colon would read as a scheme, hence everything but slashes is quoted."""
    return quote(path.encode("utf-8", "surrogateescape" if _encodable(path) else "backslashreplace"), safe="/._-~") or "."


def _encodable(path: str) -> bool:
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
