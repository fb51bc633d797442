"""Corrections to the National Vulnerability Database in its own form (``configurations`` of CPE matches); CC0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fwcheck.vulnerabilities.sources.facts import Affected, is_version, json_members

FILE = "nvd-data-overrides.tar.zst"


def read(sources: Path, components: Mapping[str, str]) -> Iterator[Affected]:
    """Affected ranges of the components; ``components`` maps ``vendor:product`` to a name."""
    for name, record in json_members(sources / FILE):
        cve = name.rsplit("/", 1)[-1].removesuffix(".json")
        configurations = record.get("cve", {}).get("configurations", []) if isinstance(record, dict) else []
        for configuration in configurations:
            for node in configuration.get("nodes", []):
                for match in node.get("cpeMatch", []):
                    yield from matched(cve, match, components)


def matched(cve: str, match: Mapping[str, Any], components: Mapping[str, str]) -> Iterator[Affected]:
    """The range of one CPE match, when it is about one of the components."""
    fields = str(match.get("criteria", "")).split(":")
    component = components.get(":".join(fields[3:5])) if len(fields) > 6 else None
    if component is None or not match.get("vulnerable"):
        return
    version = fields[5].replace("\\", "")
    if version not in ("*", "-"):
        update = fields[6].replace("\\", "")
        exact = version + ("" if update in ("*", "-") else update)
        if is_version(exact):
            yield Affected(component, cve, exact, True, exact, True, "NVD")
        return
    start = str(match.get("versionStartIncluding") or match.get("versionStartExcluding") or "")
    end = str(match.get("versionEndExcluding") or match.get("versionEndIncluding") or "")
    if version == "*" and (start or end) and all(is_version(bound) for bound in (start, end) if bound):
        included = "versionEndIncluding" in match and "versionEndExcluding" not in match
        yield Affected(component, cve, start, "versionStartExcluding" not in match, end, included, "NVD")
