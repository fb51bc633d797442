"""The components and their known vulnerabilities as a CycloneDX 1.6 bill of materials in JSON (ECMA-424).

The serial number is made from the image's digest and there is no time stamp, so that the same image gives the same document.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from fwcheck.model import Component, Report, Vulnerability
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_NAMESPACE = uuid.UUID("6f0a4b1e-5d0c-5a86-9c55-2f6d7f1c3b90")
_CONFIDENCE = {"certain": 1.0, "firm": 0.8, "tentative": 0.4}
_OCCURRENCES = 50
_STATES = {"not_affected": "not_affected", "fixed": "resolved", "under_investigation": "in_triage"}


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The bill of materials as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(as_dict(report)), indent=2).decode() + "\n"


def as_dict(report: Report) -> dict[str, Any]:
    """The bill of materials as plain values."""
    references = _references(report.components)
    image = f"image:{report.image.sha256}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, report.image.sha256)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": report.tool.name, "version": report.tool.version}]},
            "component": {
                "type": "firmware",
                "bom-ref": image,
                "name": plain(report.image.name),
                "hashes": [{"alg": "SHA-256", "content": report.image.sha256}],
            },
        },
        "components": [_component(each, ref) for each, ref in zip(report.components, references, strict=True)],
        "dependencies": [{"ref": image, "dependsOn": sorted(references)}],
        "vulnerabilities": _vulnerabilities(report.components, references),
    }


def _references(components: tuple[Component, ...]) -> list[str]:
    """One unlike reference per component: its purl, or name and version, numbered when it comes again."""
    seen: dict[str, int] = {}
    out: list[str] = []
    for each in components:
        name = plain(each.purl or f"{each.name}@{each.version or 'unknown'}")
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return out


def _component(component: Component, reference: str) -> dict[str, Any]:
    kind = "operating-system" if component.name == "linux_kernel" else "library"
    out: dict[str, Any] = {"type": kind, "bom-ref": reference, "name": plain(component.name)}
    for key, value in (("version", component.version), ("cpe", component.cpe), ("purl", component.purl)):
        if value:
            out[key] = plain(value)
    evidence: dict[str, Any] = {
        "identity": [{"field": "version" if component.version else "name", "confidence": _CONFIDENCE[component.confidence]}]
    }
    occurrences = [
        {"location": plain(each.location.path or each.location.chain[-1])}
        for each in component.evidence[:_OCCURRENCES]
        if each.location.path or each.location.chain
    ]
    if occurrences:
        evidence["occurrences"] = occurrences
    out["evidence"] = evidence
    if component.end_of_life:
        out["properties"] = [{"name": "fwcheck:end_of_life", "value": component.end_of_life}]
    return out


def _vulnerabilities(components: tuple[Component, ...], references: list[str]) -> list[dict[str, Any]]:
    """Each vulnerability once per state, with every component that it concerns, by id."""
    first: dict[tuple[str, str, str], Vulnerability] = {}
    affected: dict[tuple[str, str, str], list[str]] = {}
    for component, reference in zip(components, references, strict=True):
        for each in (*component.vulnerabilities, *component.set_aside):
            key = (each.id, str(each.status), each.reason)
            first.setdefault(key, each)
            affected.setdefault(key, []).append(reference)
    seen: dict[str, int] = {}
    out: list[dict[str, Any]] = []
    for key in sorted(first):
        seen[key[0]] = seen.get(key[0], 0) + 1
        number = "" if seen[key[0]] == 1 else f"#{seen[key[0]]}"
        out.append(_vulnerability(first[key], sorted(set(affected[key])), number))
    return out


def _vulnerability(vulnerability: Vulnerability, affected: list[str], number: str) -> dict[str, Any]:
    out: dict[str, Any] = {"bom-ref": f"vulnerability:{vulnerability.id}{number}", "id": vulnerability.id}
    if vulnerability.source:
        out["source"] = {"name": vulnerability.source}
    if vulnerability.score is not None:
        out["ratings"] = [{"score": vulnerability.score, "severity": _severity(vulnerability.score)}]
    if vulnerability.fixed_in:
        out["recommendation"] = f"fixed in {vulnerability.fixed_in}"
    if vulnerability.status in _STATES:
        out["analysis"] = {"state": _STATES[vulnerability.status], "detail": plain(vulnerability.reason)}
    out["affects"] = [{"ref": each} for each in affected]
    properties = [("fwcheck:known_exploited", "true")] if vulnerability.known_exploited else []
    properties += [("fwcheck:epss", f"{vulnerability.epss}")] if vulnerability.epss is not None else []
    if properties:
        out["properties"] = [{"name": name, "value": value} for name, value in properties]
    return out


def _severity(score: float) -> str:
    """The qualitative severity of a CVSS v3 base score (CVSS v3.1 specification, table 14)."""
    for bound, name in ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low")):
        if score >= bound:
            return name
    return "none"
