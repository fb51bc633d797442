"""CVE List records, version 5, with the containers that CISA adds (Vulnrichment), and those of OpenSSL; CC0 and public facts.

Specification: the CVE JSON 5 schema, ``affected[].versions[]`` with ``lessThan`` and ``lessThanOrEqual``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fwcheck.vulnerabilities.sources.facts import Affected, AsOf, Score, is_version, json_members
from fwcheck.vulnerabilities.versions import key

FILE = "cve5-vulnrichment-2024-10.tar.zst"
OPENSSL = "openssl-cve5.tar.xz"
LIST, KERNEL = "CVE List", "kernel.org"  # the kernel's own records stand in the list
_METRICS = ("cvssV4_0", "cvssV3_1", "cvssV3_0", "cvssV2_0")
_ALIASES = {
    "linux:linux": "linux_kernel",
    "openssl:openssl": "openssl",
    "curl:curl": "curl",
    "php group:php": "php",
    "eclipse:mosquitto": "mosquitto",
}


def read(sources: Path, components: Mapping[str, str]) -> Iterator[Affected | Score | AsOf]:
    """Ranges and scores of both archives; ``components`` maps ``vendor:product`` to a name."""
    newest = ""
    for _, record in json_members(sources / FILE):
        yield from record_facts(record, components, LIST)
        if isinstance(record, dict):
            newest = max(newest, str(record.get("cveMetadata", {}).get("dateUpdated", ""))[:10])
    yield AsOf(LIST, newest)
    yield AsOf(KERNEL, newest)
    for name, record in json_members(sources / OPENSSL):
        if "/secjson/" in f"/{name}":
            yield from record_facts(record, components, "OpenSSL")


def record_facts(record: Any, components: Mapping[str, str], source: str) -> Iterator[Affected | Score]:
    """What one record says; nothing for a record of another shape or a rejected one."""
    if not isinstance(record, dict) or record.get("cveMetadata", {}).get("state") != "PUBLISHED":
        return
    cve = str(record["cveMetadata"].get("cveId", ""))
    held = record.get("containers", {})
    parts = [held.get("cna", {}), *held.get("adp", [])]
    found = [each for part in parts for entry in part.get("affected", []) for each in _entry(cve, entry, components, source)]
    yield from dict.fromkeys(found)
    score = next((value for part in parts for value in _scores(part)), None)
    if score is not None:
        yield Score(cve, score)


def _scores(part: Mapping[str, Any]) -> Iterator[float]:
    for metric in _METRICS:
        for entry in part.get("metrics", []):
            value = entry.get(metric, {}).get("baseScore") if isinstance(entry, dict) else None
            if isinstance(value, (int, float)):
                yield float(value)


def _entry(cve: str, entry: Mapping[str, Any], components: Mapping[str, str], source: str) -> Iterator[Affected]:
    component = _component(entry, components)
    versions = [each for each in entry.get("versions", []) if isinstance(each, dict) and each.get("versionType") != "git"]
    if component is None or not versions:
        return
    if component == "linux_kernel":
        yield from kernel_ranges(cve, versions)
        return
    for each in versions:
        if each.get("status") == "affected":
            yield from _range(component, cve, each, source)


def _component(entry: Mapping[str, Any], components: Mapping[str, str]) -> str | None:
    for identity in entry.get("cpes", []):
        pair = ":".join(str(identity).split(":")[3:5])
        if pair in components:
            return components[pair]
    pair = f"{entry.get('vendor', '')}:{entry.get('product', '')}".lower()
    return _ALIASES.get(pair) or components.get(pair)


def _range(component: str, cve: str, each: Mapping[str, Any], source: str) -> Iterator[Affected]:
    start = str(each.get("version", "")).lstrip("v")
    end = str(each.get("lessThan") or each.get("lessThanOrEqual") or "").lstrip("v")
    if end:
        start = "" if start in ("0", "*", "unspecified", "n/a", "-") else start
        if (not start or is_version(start)) and is_version(end):
            yield Affected(component, cve, start, True, end, "lessThan" not in each, source)
    elif is_version(start) and start != "0":
        yield Affected(component, cve, start, True, start, True, source)


def kernel_ranges(cve: str, versions: Sequence[Mapping[str, Any]]) -> Iterator[Affected]:
    """The kernel's own form: affected from a release on, and unaffected from a fix to the end of each stable stream.

    Two streams apart leave the range between the end of one stream and the fix in the next.
    """
    starts = [str(each["version"]) for each in versions if each.get("status") == "affected" and "lessThan" not in each]
    begun = min((start for start in starts if is_version(start)), key=key, default="")
    fixes = [
        (str(each["version"]), str(each.get("lessThanOrEqual", "")))
        for each in versions
        if each.get("status") == "unaffected" and each.get("version") != "0" and is_version(str(each.get("version", "")))
    ]
    if not begun or not fixes:  # a plain range to a mainline release says nothing of what stable streams received
        return
    start = begun
    for fix, last in sorted(fixes, key=lambda pair: key(pair[0])):
        if key(start) < key(fix):
            yield Affected("linux_kernel", cve, start, True, fix, False, KERNEL)
        if not last.endswith(".*"):
            return
        numbers = last.removesuffix(".*").split(".")
        if not numbers[-1].isdigit():
            return
        start = ".".join([*numbers[:-1], str(int(numbers[-1]) + 1)])
