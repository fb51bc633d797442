"""Corrections to the National Vulnerability Database in its own form (``configurations`` of CPE matches); CC0.

A match without a lower bound is read as "all before" only when the record's text says so; otherwise it speaks of the branch of
its upper bound alone. Matches for other systems, or on condition of another product, are not about firmware.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fwcheck.vulnerabilities import applicability
from fwcheck.vulnerabilities.cvss import base_score, severity_word
from fwcheck.vulnerabilities.sources.facts import Affected, Elsewhere, Score, branch_start, foreign, json_members

FILE = "nvd-data-overrides.tar.zst"
_ANY = ("*", "-")
_HERE = ("linux", "linux_kernel")  # target software under which a match is about firmware; a web library runs in a browser
_METRICS = ("cvssMetricV31", "cvssMetricV30", "cvssMetricV40", "cvssMetricV2")
_V = r"v?(\d+(?:\.\d+)*[a-z]{0,2}\d*)"
_UP_TO = re.compile(
    rf"\b(?:before|prior to|through|up to|until|below|earlier than|older than|lower than|less than"
    rf"|(?:fixed|patched|addressed|resolved) in"
    rf"|upgrad\w* to)\s+(?:and including\s+|the\s+)?(?:versions?\s+|releases?\s+)?(?:{_V}(?:(?:,|,? and|,? or)\s+{_V})*)"
    rf"|[<\u2264]=?\s*{_V}"
    rf"|{_V}\s+(?:and|or)\s+(?:earlier|below|prior|older|lower|all)",
    re.IGNORECASE,
)
_FROM = re.compile(
    rf"(?:\bfrom\s+(?:versions?\s+)?|>=\s*|\bversions?\s+|\bbetween\s+){_V}(?:\.[x*])?,?\s*"
    rf"(?:\(inclusive\)\s*)?(?:to|through|before|prior to|until|up to|below|and|[<,]=?|-)\s*(?:and\s+)?"
    rf"(?:before\s+|including\s+|prior to\s+|<=?\s*)?(?:versions?\s+)?{_V}|\b{_V}\.[x*]\s*,?\s*(?:versions?\s+)?"
    rf"(?:before|prior to|below|through|up to|<=?)\s+(?:versions?\s+)?{_V}",
    re.IGNORECASE,
)


def read(
    sources: Path, components: Mapping[str, str], web: frozenset[str] = frozenset()
) -> Iterator[Affected | Elsewhere | Score]:
    """Affected ranges of the components; ``components`` maps ``vendor:product`` to a name, ``web`` names browser libraries."""
    for name, record in json_members(sources / FILE):
        if isinstance(record, dict):
            yield from record_facts(name.rsplit("/", 1)[-1].removesuffix(".json"), record, components, web)


def record_facts(
    cve: str, record: Mapping[str, Any], components: Mapping[str, str], web: frozenset[str] = frozenset()
) -> Iterator[Affected | Elsewhere | Score]:
    """What one record says of the components, in the form of a feed (``cve``) or of the corrections."""
    held = record.get("cve", {})
    text = str(record.get("_annotation", {}).get("description") or "") or _words(held)
    found: list[Affected] = []
    elsewhere: list[Elsewhere] = []
    for configuration in held.get("configurations", []):
        for match in applicability.matches(configuration, components):
            ranges = [] if match.never else list(matched(cve, match.match, components, text, web, match.condition))
            found += ranges
            named = applicability.fields(match.match)
            name = components.get(":".join(named[3:5]))
            if name is not None and not ranges and (match.foreign or foreign(":".join(named[10:11]))):
                elsewhere.append(Elsewhere(name, cve, "NVD"))
    here = {each.component for each in found}
    yield from dict.fromkeys(found)
    yield from dict.fromkeys(each for each in elsewhere if each.component not in here)
    score = _score(held.get("metrics", {}))
    if score is not None:
        yield Score(cve, score, "NVD")


def _words(held: Mapping[str, Any]) -> str:
    return next((str(each.get("value", "")) for each in held.get("descriptions", []) if each.get("lang") == "en"), "")


def _score(metrics: Mapping[str, Any]) -> float | str | None:
    """The base score: NVD's own before others', of the newest version of the standard that somebody gave; else the word."""
    for key in _METRICS:
        listed = sorted(metrics.get(key, []), key=lambda each: each.get("type") != "Primary")
        for each in listed:
            held = each.get("cvssData", {})
            value = held.get("baseScore", base_score(str(held.get("vectorString", ""))))
            if isinstance(value, (int, float)):
                return float(value)
    words = [
        each.get("cvssData", {}).get("baseSeverity") or each.get("baseSeverity")
        for key in _METRICS
        for each in metrics.get(key, [])
    ]
    return next(filter(None, map(severity_word, words)), None)


def matched(
    cve: str,
    match: Mapping[str, Any],
    components: Mapping[str, str],
    text: str = "",
    web: frozenset[str] = frozenset(),
    condition: str = "",
) -> Iterator[Affected]:
    """The range of one CPE match, when it is about one of the components; ``text`` is what the record says in words."""
    fields = applicability.fields(match)
    component = components.get(":".join(fields[3:5])) if len(fields) > 6 else None
    if component is None or not match.get("vulnerable") or not _about_firmware(fields, component in web):
        return
    bounds = applicability.bounds(match)
    if bounds is None or not (bounds.start or bounds.end) or fields[5] == "-":
        return
    start = bounds.start or lower_bound(text, bounds.end)
    yield Affected(component, cve, start, bounds.start_included, bounds.end, bounds.end_included, "NVD", condition)


def lower_bound(text: str, end: str) -> str:
    """The first affected version of a range that ends with ``end``, as a record's words tell it; empty: all before."""
    branch = branch_start(end)
    if branch == end:  # a bare number is no branch
        return ""
    for found in _FROM.finditer(text):
        first, last = found[1] or found[3], found[2] or found[4]
        if branch_start(last) == branch and branch_start(first).split(".")[0] == branch.split(".")[0]:
            return first
    told = (version for found in _UP_TO.finditer(text) for version in re.findall(_V, found[0], re.IGNORECASE))
    return "" if any(branch_start(each) == branch for each in told) else branch


def _about_firmware(fields: list[str], in_browser: bool) -> bool:
    target = fields[10] if len(fields) > 10 else "*"
    if in_browser:
        return not foreign(target)
    return target in _ANY or target in _HERE
