"""The components of an image as an SPDX 2.3 document in JSON (https://spdx.github.io/spdx-spec/v2.3/).

Made from the same values as the CycloneDX document. What SPDX has no field for (how sure an identification is, where it was
seen) stands in the packages' comments; vulnerabilities are left to CycloneDX. SPDX wants a time: it is fixed, so that the same
image gives the same document.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from fwcheck.model import Component, Report
from fwcheck.reports.cyclonedx import LICENSES
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_CREATED = "1970-01-01T00:00:00Z"
_IMAGE = "SPDXRef-image"
_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
_PURPOSE = {"operating-system": "OPERATING-SYSTEM", "firmware": "FIRMWARE", "application": "APPLICATION", "library": "LIBRARY"}
_PLACES = 8


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # one signature for all formats
    """The document as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(as_dict(report)), indent=2).decode() + "\n"


def as_dict(report: Report) -> dict[str, Any]:
    """The document as plain values."""
    names = [_identifier(index, each) for index, each in enumerate(report.components, 1)]
    image = {
        "SPDXID": _IMAGE,
        "name": plain(report.image.name) or "image",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "FIRMWARE",
        "checksums": [{"algorithm": "SHA256", "checksumValue": report.image.sha256}],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": plain(report.image.name) or "image",
        "documentNamespace": f"https://spdx.org/spdxdocs/{report.tool.name}-{report.image.sha256}",
        "creationInfo": {"created": _CREATED, "creators": [f"Tool: {report.tool.name}-{report.tool.version}"]},
        "packages": [image, *(_package(each, name) for each, name in zip(report.components, names, strict=True))],
        "relationships": _relationships(report.components, names),
    }


def _identifier(index: int, component: Component) -> str:
    """Letters, digits, dots and hyphens only; the number keeps equal names apart."""
    return f"SPDXRef-{index}-{_UNFIT.sub('-', component.name)[:80].strip('-') or 'component'}"


def _package(component: Component, name: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "SPDXID": name,
        "name": plain(component.name),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": _PURPOSE[component.type],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": component.license if component.license in LICENSES else "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }
    if component.version:
        out["versionInfo"] = plain(component.version)
    elif component.version_range:
        out["comment"] = plain(f"one of the releases {component.version_range}: the version itself is not told")
    digests = dict.fromkeys(each.sha256 for each in component.files)
    if len(digests) == 1:
        out["checksums"] = [{"algorithm": "SHA256", "checksumValue": next(iter(digests))}]
    references = [("PACKAGE-MANAGER", "purl", component.purl), ("SECURITY", "cpe23Type", component.cpe)]
    listed = [
        {"referenceCategory": category, "referenceType": kind, "referenceLocator": plain(value)}
        for category, kind, value in references
        if value
    ]
    if listed:
        out["externalRefs"] = listed
    places = [
        (each.location.path or each.location.chain[-1]) + (f"@0x{each.location.offset:x}" if each.location.offset else "")
        for each in component.evidence[:_PLACES]
        if each.location.path or each.location.chain
    ]
    out["comment"] = plain(f"identified: {component.confidence}" + (f"; seen at {', '.join(places)}" if places else ""))
    return out


def _relationships(components: tuple[Component, ...], names: list[str]) -> list[dict[str, str]]:
    by_purl: dict[str, list[str]] = {}
    for component, name in zip(components, names, strict=True):
        by_purl.setdefault(component.purl or "", []).append(name)
    out = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", _IMAGE)]
    out += [_relation(_IMAGE, "CONTAINS", name) for name in names]
    for component, name in zip(components, names, strict=True):
        needed = dict.fromkeys(other for purl in component.depends_on for other in by_purl.get(purl, ()) if other != name)
        out += [_relation(name, "DYNAMIC_LINK", other) for other in needed]
    return out


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
