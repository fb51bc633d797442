"""The components and their known vulnerabilities as a CycloneDX 1.6 bill of materials in JSON (ECMA-424).

Components with hashes, licences, evidence and dependencies; services that use them; certificates, keys and algorithms as
cryptographic assets. The serial number is made from the image's digest and there is no time stamp, so that the same image gives
the same document.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from fwcheck.model import Component, Evidence, Report, Vulnerability
from fwcheck.reports import _cyclonedx_crypto as crypto
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_NAMESPACE = uuid.UUID("6f0a4b1e-5d0c-5a86-9c55-2f6d7f1c3b90")
_CONFIDENCE = {"certain": 1.0, "firm": 0.8, "tentative": 0.4}
_OCCURRENCES = 64
_STATES = {"not_affected": "not_affected", "fixed": "resolved", "under_investigation": "in_triage"}
_FILE_NAMES = ("named ", "soname ", "plug-ins of", "modules of")  # how evidence begins that rests on a name
# Identifiers of the SPDX licence list that stand in our own catalogue and often in packages; other words are given as a name.
LICENSES = frozenset(
    {
        "MIT",
        "ISC",
        "Zlib",
        "curl",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "Apache-2.0",
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "LGPL-2.0-or-later",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-or-later",
        "MPL-2.0",
        "BSL-1.0",
        "blessing",
        "libtiff",
        "IJG",
        "Info-ZIP",
        "OpenSSL",
        "PSF-2.0",
        "Unlicense",
        "0BSD",
        "EPL-2.0",
        "AGPL-3.0-only",
    }
)


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The bill of materials as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(as_dict(report)), indent=2).decode() + "\n"


def as_dict(report: Report) -> dict[str, Any]:
    """The bill of materials as plain values."""
    references = _references(report.components)
    image = f"image:{report.image.sha256}"
    pairs = list(zip(report.components, references, strict=True))
    services = _services(report, pairs)
    out = {
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
        "components": [_component(each, ref) for each, ref in pairs] + crypto.components(report.device.crypto),
        "dependencies": _dependencies(image, pairs, services),
        "vulnerabilities": _vulnerabilities(report.components, references),
    }
    if services:
        out["services"] = [service for service, _ in services]
    return out


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
    out: dict[str, Any] = {"type": component.type, "bom-ref": reference, "name": plain(component.name)}
    if component.version:
        out["version"] = plain(component.version)
    if component.files:
        digests = dict.fromkeys(each.sha256 for each in component.files)
        if len(digests) == 1:
            out["hashes"] = [{"alg": "SHA-256", "content": component.files[0].sha256}]
    if component.license:
        known = component.license in LICENSES
        out["licenses"] = [{"license": {"id" if known else "name": plain(component.license), "acknowledgement": "declared"}}]
    for key, value in (("cpe", component.cpe), ("purl", component.purl)):
        if value:
            out[key] = plain(value)
    if component.files:
        out["components"] = [
            {"type": "file", "name": plain(each.path), "hashes": [{"alg": "SHA-256", "content": each.sha256}]}
            for each in component.files
        ]
    out["evidence"] = _evidence(component)
    properties = [("fwcheck:end_of_life", component.end_of_life), ("fwcheck:package_version", component.package)]
    properties.append(("fwcheck:version_range", component.version_range))
    if told := [{"name": name, "value": plain(value)} for name, value in properties if value]:
        out["properties"] = told
    return out


def _evidence(component: Component) -> dict[str, Any]:
    confidence = _CONFIDENCE[component.confidence]
    identity: dict[str, Any] = {"field": "version" if component.version else "name", "confidence": confidence}
    if component.version:
        identity["concludedValue"] = plain(component.version)
    techniques = dict.fromkeys(_technique(component, each) for each in component.evidence)
    if techniques:
        identity["methods"] = [{"technique": each, "confidence": confidence} for each in techniques]
    evidence: dict[str, Any] = {"identity": [identity]}
    occurrences = [_occurrence(each) for each in component.evidence if each.location.path or each.location.chain]
    if occurrences:
        evidence["occurrences"] = occurrences[:_OCCURRENCES]
    return evidence


def _technique(component: Component, evidence: Evidence) -> str:
    if component.package is not None and evidence.location.line is not None:
        return "manifest-analysis"
    return "filename" if evidence.text.startswith(_FILE_NAMES) else "binary-analysis"


def _occurrence(evidence: Evidence) -> dict[str, Any]:
    where = evidence.location
    out: dict[str, Any] = {"location": plain(where.path or where.chain[-1])}
    if where.line is not None:
        out["line"] = where.line
    if where.offset is not None:
        out["offset"] = where.offset
    if evidence.text:
        out["additionalContext"] = plain(evidence.text)
    return out


# --------------------------------------------------------------------------- who uses whom


def _services(report: Report, pairs: list[tuple[Component, str]]) -> list[tuple[dict[str, Any], list[str]]]:
    """Services that are or may be started and run a component, with the references of what they run."""
    used: dict[tuple[str, str], set[str]] = {}
    for component, reference in pairs:
        for use in component.used_by:
            used.setdefault((use.service, use.program), set()).add(reference)
    out: list[tuple[dict[str, Any], list[str]]] = []
    for (name, program), references in sorted(used.items()):
        service: dict[str, Any] = {"bom-ref": plain(f"service:{name}:{program}"), "name": plain(name)}
        ports = [each for each in report.device.listeners if each.service == name and each.port is not None]
        if ports:
            service["endpoints"] = sorted({plain(f"{each.protocol}://{each.address or '*'}:{each.port}") for each in ports})
        service["properties"] = [{"name": "fwcheck:program", "value": plain(program)}]
        out.append((service, sorted(references)))
    return out


def _dependencies(
    image: str, pairs: list[tuple[Component, str]], services: list[tuple[dict[str, Any], list[str]]]
) -> list[dict[str, Any]]:
    by_purl: dict[str, list[str]] = {}
    for component, reference in pairs:
        by_purl.setdefault(component.purl or "", []).append(reference)
    out: list[dict[str, Any]] = [{"ref": image, "dependsOn": sorted(reference for _, reference in pairs)}]
    for component, reference in pairs:
        needed = {other for purl in component.depends_on for other in by_purl.get(purl, ()) if other != reference}
        if needed:
            out.append({"ref": reference, "dependsOn": sorted(needed)})
    out += [{"ref": service["bom-ref"], "dependsOn": references} for service, references in services]
    return out


# --------------------------------------------------------------------------- vulnerabilities


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
    elif vulnerability.severity:
        out["ratings"] = [{"severity": vulnerability.severity}]
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
