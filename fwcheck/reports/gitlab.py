"""What GitLab reads of its jobs: Code Quality for merge requests, and its security reports for SAST and dependency scanning.

Code Quality: a list of issues (the part of the Code Climate specification that GitLab documents). Security reports: schema 15 of
its security-report-schemas. A waived finding is in none of them; text of the image is plain text there.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from fwcheck.model import Component, Finding, Report, Severity, Vulnerability
from fwcheck.reports import view
from fwcheck.reports.printable import plain

SCHEMA = "15.0.7"
LARGEST = 20_000  # issues of one report
_QUALITY = {
    Severity.CRITICAL: "blocker",
    Severity.HIGH: "critical",
    Severity.MEDIUM: "major",
    Severity.LOW: "minor",
    Severity.INFO: "info",
}
_NAME, _SOLUTION, _DESCRIPTION = 255, 7000, 20_000


def code_quality(report: Report) -> str:
    """The findings against the image, for the widget of a merge request."""
    issues = [
        {
            "description": _cut(f"{each.title}: {each.evidence}" if each.evidence else each.title, _SOLUTION),
            "check_name": each.rule,
            "fingerprint": each.fingerprint + (f"-{nth}" if nth > 1 else ""),
            "severity": _QUALITY[each.severity],
            "location": {"path": _file(each, report.image.name), "lines": {"begin": each.location.line or 1}},
        }
        for each, nth in _numbered(report)
    ]
    return _json(issues)


def sast(report: Report) -> str:
    """The findings against the image as a SAST report."""
    found = [
        {
            "id": each.fingerprint + (f"-{nth}" if nth > 1 else ""),
            "name": _cut(each.title, _NAME),
            "description": _cut("\n\n".join(text for text in (each.explanation, each.evidence) if text) or each.title),
            "severity": each.severity.value.capitalize(),
            "solution": _cut(each.remediation, _SOLUTION),
            "identifiers": [{"type": "fwcheck_rule", "name": each.rule, "value": each.rule}],
            "location": {"file": _file(each, report.image.name), "start_line": each.location.line or 1},
        }
        for each, nth in _numbered(report)
    ]
    return _json(_report(report, "sast", found))


def dependency_scanning(report: Report) -> str:
    """The components and their known vulnerabilities as a dependency scanning report."""
    waived = {each.cause for each in report.findings if each.waived and each.rule == "CVE-001"}
    found = [
        _vulnerability(report, component, each)
        for component in report.components
        if f"{component.name} {component.release}" not in waived
        for each in component.vulnerabilities
        if each.status == "affected" or component.version  # of a range, what affects some of its releases is open
    ]
    whole = _report(report, "dependency_scanning", found[:LARGEST])
    listed = [
        {"package": {"name": _cut(each.name, _NAME)}, "version": _cut(each.version or each.version_range or "", _NAME)}
        for each in report.components
    ]
    whole["dependency_files"] = [
        {"path": _cut(report.image.name, _NAME), "package_manager": "firmware", "dependencies": listed[:LARGEST]}
    ]
    return _json(whole)


def _vulnerability(report: Report, component: Component, known: Vulnerability) -> dict[str, Any]:
    told = component.version or component.version_range or ""
    name = plain(f"{component.name} {told}".strip())
    cure = f"Update {name} to {known.fixed_in} or later." if known.fixed_in else f"Update or remove {name}."
    marks = " Known to be exploited." if known.known_exploited else ""
    where = component.evidence[0].location if component.evidence else None
    cve = known.id.startswith("CVE-")
    identifier = {"type": "cve" if cve else "advisory", "name": plain(known.id), "value": plain(known.id)}
    if cve:
        identifier["url"] = f"https://cve.mitre.org/cgi-bin/cvename.cgi?name={plain(known.id)}"
    return {
        "id": _cut(f"{component.name}-{told}-{known.id}", _NAME),
        "name": _cut(f"{known.id} in {name}", _NAME),
        "description": f"{name} is affected by {plain(known.id)}.{marks}" + (f" At {view.place(where)}." if where else ""),
        "severity": _rating(known.weight if known.score is not None or known.severity else None),
        "solution": _cut(cure, _SOLUTION),
        "identifiers": [identifier],
        "location": {
            "file": _cut((where.path.lstrip("/") if where else "") or report.image.name, _SOLUTION),
            "dependency": {"package": {"name": _cut(component.name, _NAME)}, "version": _cut(told, _NAME)},
        },
    }


def _report(report: Report, kind: Literal["sast", "dependency_scanning"], found: list[dict[str, Any]]) -> dict[str, Any]:
    now = _now()
    begun = now - dt.timedelta(seconds=int(report.timing.get("total", 0)))
    tool = {"id": "fwcheck", "name": "fwcheck", "version": report.tool.version, "vendor": {"name": "fwcheck"}}
    scan = {
        "analyzer": tool,
        "scanner": tool,
        "type": kind,
        "start_time": begun.strftime("%Y-%m-%dT%H:%M:%S"),
        "end_time": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "status": "success",
    }
    return {"version": SCHEMA, "scan": scan, "vulnerabilities": found}


def _now() -> dt.datetime:
    """The time of the report; builds that have to be repeatable give it (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdecimal() and len(epoch) < 12:
        return dt.datetime.fromtimestamp(int(epoch), tz=dt.UTC)
    return dt.datetime.now(tz=dt.UTC)


def _numbered(report: Report) -> Iterator[tuple[Finding, int]]:
    """Findings against the image that nobody answers for, worst first, with how often their fingerprint stood before."""
    seen: dict[str, int] = {}
    held = [finding for _, group in view.adverse(report.findings) for finding in group]
    for finding in held[:LARGEST]:
        seen[finding.fingerprint] = seen.get(finding.fingerprint, 0) + 1
        yield finding, seen[finding.fingerprint]


def _file(finding: Finding, image: str) -> str:
    """A relative path, as GitLab wants it: that in the file system, else the image."""
    path = finding.location.path
    return _cut(path.lstrip("/") if path.startswith("/") and path != "/" else image, _SOLUTION)


def _rating(score: float | None) -> str:
    """The qualitative rating of CVSS 3.1, table 14."""
    if score is None:
        return "Unknown"
    return next(
        name for least, name in ((9, "Critical"), (7, "High"), (4, "Medium"), (0.1, "Low"), (-1, "Info")) if score >= least
    )


def _cut(text: str, most: int = _DESCRIPTION) -> str:
    shown = plain(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"
