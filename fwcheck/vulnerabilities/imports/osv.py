"""OSV records: versions of packages by ecosystem (OSV schema 1.6, ``affected[].ranges[].events``).

A package of a distribution is kept under its ecosystem and release (``deb:debian:11/openssl``) and compared as that distribution
counts; a browser library from npm is the component of its name. Commits say nothing about a version and are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fwcheck.vulnerabilities.cvss import base_score, severity_word
from fwcheck.vulnerabilities.sources.facts import Affected, AsOf, Score
from fwcheck.vulnerabilities.store import Item, Said

SOURCE = "OSV"
_SYSTEMS = {
    "debian": "deb:debian",
    "ubuntu": "deb:ubuntu",
    "alpine": "apk:alpine",
    "npm": "npm",
    "pypi": "pypi",
    "go": "golang",
    "crates.io": "cargo",
    "packagist": "composer",
}
_RELEASE = re.compile(r"v?(\d+(?:\.\d+)?)")
_CVE = re.compile(r"CVE-\d{4}-\d{4,12}")
_VERSION = re.compile(r"^[A-Za-z0-9][\w.+:~^-]{0,80}$")
_TRACKERS = ("DEBIAN-CVE-", "UBUNTU-CVE-", "ALPINE-CVE-")  # one record for one CVE; others gather several
_VECTORS = ("CVSS:3.1/", "CVSS:3.0/", "CVSS:4.0/")
_LISTED = 64  # single versions kept where a record gives no range


def record_facts(record: Mapping[str, Any], web: frozenset[str]) -> Iterator[Item]:
    """What one record says, under the CVE it stands for (under its own name where it stands for none or several)."""
    name = str(record["id"])
    if name.startswith("MAL-"):
        return  # packages made to harm have no versions that are safe, and no place in firmware
    named = [str(each) for each in [*record.get("aliases", []), *record.get("upstream", [])]]
    cves = sorted({each for each in named if _CVE.fullmatch(each)})
    if found := _CVE.search(name) if name.startswith(_TRACKERS) else None:
        cves = [found[0]]
    for cve in cves or [name]:
        facts: list[Affected | Score] = []
        if not record.get("withdrawn"):
            facts += dict.fromkeys(each for entry in record["affected"] for each in _entry(cve, entry, web))
            score = _score(record) if len(cves) <= 1 else None
            facts += [Score(cve, score, SOURCE)] if facts and score is not None else []
        yield Said(f"{SOURCE} {_system(record)}", cve, tuple(_under(each, f"{SOURCE} {_system(record)}") for each in facts))
    if str(record.get("modified", ""))[:2] == "20":
        yield AsOf(f"{SOURCE} {_system(record)}", str(record["modified"])[:10])


def _under(fact: Affected | Score, source: str) -> Affected | Score:
    return fact._replace(source=source)


def _system(record: Mapping[str, Any]) -> str:
    """Whose record it is: two ecosystems may speak of one CVE, and neither replaces what the other said."""
    return re.sub(r"[^a-z]", "", str(record["id"]).split("-", 1)[0].lower())[:16] or "other"


def _entry(cve: str, entry: Mapping[str, Any], web: frozenset[str]) -> Iterator[Affected]:
    package = entry.get("package", {})
    component = component_of(str(package.get("ecosystem", "")), str(package.get("name", "")), web)
    if component is None:
        return
    ranges = [each for each in entry.get("ranges", []) if each.get("type") in ("SEMVER", "ECOSYSTEM")]
    for each in ranges:
        yield from _events(component, cve, each.get("events", []))
    if not ranges:
        for version in entry.get("versions", [])[:_LISTED]:
            if _VERSION.match(str(version)):
                yield Affected(component, cve, str(version), True, str(version), True, SOURCE)


def component_of(ecosystem: str, name: str, web: frozenset[str]) -> str | None:
    """What a package is kept under; None for an ecosystem that is not matched."""
    system, _, release = ecosystem.partition(":")
    kind = _SYSTEMS.get(system.lower())
    if kind is None or not name:
        return None
    if kind == "npm" and name in web:
        return name
    if ":" in kind:
        found = _RELEASE.search(release)
        return f"{kind}:{found[1]}/{name}" if found else None
    return f"{kind}/{name}"


def _events(component: str, cve: str, events: list[Mapping[str, Any]]) -> Iterator[Affected]:
    """Ranges from events in the order of the record: introduced, then fixed or last affected, or neither yet."""
    start: str | None = None
    for event in events:
        if "introduced" in event:
            start = "" if event["introduced"] == "0" else str(event["introduced"])
            continue
        end = str(event.get("fixed") or event.get("last_affected") or "")
        if start is not None and _VERSION.match(end):
            yield Affected(component, cve, start, True, end, "fixed" not in event, SOURCE)
            start = None
    if start is not None:
        yield Affected(component, cve, start, True, "", False, SOURCE)


def _score(record: Mapping[str, Any]) -> float | str | None:
    """The score of a vector, of version 3 before 4 and 2 as everywhere here; where there is none, the word that stands there."""
    told = [str(each.get("score", "")) for each in record.get("severity", [])]
    told.sort(key=lambda vector: next((place for place, head in enumerate(_VECTORS) if vector.startswith(head)), len(_VECTORS)))
    if (score := next((score for vector in told if (score := base_score(vector)) is not None), None)) is not None:
        return score
    own = record.get("database_specific")
    words: list[object] = [*told, own.get("severity") if isinstance(own, dict) else None]
    for entry in record["affected"]:
        for key in ("ecosystem_specific", "database_specific"):
            held = entry.get(key)
            words += [held.get("severity"), held.get("urgency")] if isinstance(held, dict) else []
    return next(filter(None, map(severity_word, words)), None)
