"""Corrections to the National Vulnerability Database in its own form (``configurations`` of CPE matches); CC0.

A match without a lower bound is read as "all before" only when the record's text says so; otherwise it speaks of the branch of
its upper bound alone. Matches for other systems, or on condition of another product, are not about firmware.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fwcheck.vulnerabilities.sources.facts import Affected, Elsewhere, branch_start, foreign, is_version, json_members

FILE = "nvd-data-overrides.tar.zst"
_ANY = ("*", "-")
_HERE = ("linux", "linux_kernel")  # target software under which a match is about firmware; a web library runs in a browser
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


def read(sources: Path, components: Mapping[str, str], web: frozenset[str] = frozenset()) -> Iterator[Affected | Elsewhere]:
    """Affected ranges of the components; ``components`` maps ``vendor:product`` to a name, ``web`` names browser libraries."""
    for name, record in json_members(sources / FILE):
        if isinstance(record, dict):
            yield from record_facts(name.rsplit("/", 1)[-1].removesuffix(".json"), record, components, web)


def record_facts(
    cve: str, record: Mapping[str, Any], components: Mapping[str, str], web: frozenset[str] = frozenset()
) -> Iterator[Affected | Elsewhere]:
    """What one record says of the components."""
    text = str(record.get("_annotation", {}).get("description") or "")
    found: list[Affected] = []
    elsewhere: list[Elsewhere] = []
    for configuration in record.get("cve", {}).get("configurations", []):
        nodes = configuration.get("nodes", [])
        together = configuration.get("operator") == "AND"
        conditions = [each for node in nodes for each in _conditions(node)] if together else []
        matches = [match for node in nodes for match in node.get("cpeMatch", []) if not node.get("negate")]
        if not conditions:
            found += [each for match in matches for each in matched(cve, match, components, text, web)]
        fields = [str(match.get("criteria", "")).split(":") for match in matches if match.get("vulnerable")]
        named = [(components[pair], each) for each in fields if (pair := ":".join(each[3:5])) in components]
        platform = any(foreign(each.split(":")[4]) for each in conditions if each.count(":") > 4)
        elsewhere += [Elsewhere(name, cve, "NVD") for name, each in named if platform or foreign(":".join(each[10:11]))]
    here = {each.component for each in found}
    yield from found
    yield from dict.fromkeys(each for each in elsewhere if each.component not in here)


def _conditions(node: Mapping[str, Any]) -> list[str]:
    """The products that must be there beside the vulnerable one; Linux is taken for granted."""
    criteria = [str(match.get("criteria", "")) for match in node.get("cpeMatch", []) if not match.get("vulnerable")]
    return [] if any(":linux:linux_kernel:" in each for each in criteria) else criteria


def matched(
    cve: str, match: Mapping[str, Any], components: Mapping[str, str], text: str = "", web: frozenset[str] = frozenset()
) -> Iterator[Affected]:
    """The range of one CPE match, when it is about one of the components; ``text`` is what the record says in words."""
    fields = str(match.get("criteria", "")).split(":")
    component = components.get(":".join(fields[3:5])) if len(fields) > 6 else None
    if component is None or not match.get("vulnerable") or not _about_firmware(fields, component in web):
        return
    version = fields[5].replace("\\", "")
    if version not in _ANY:
        update = fields[6].replace("\\", "")
        exact = version + ("" if update in _ANY else update)
        if is_version(exact):
            yield Affected(component, cve, exact, True, exact, True, "NVD")
        return
    start = str(match.get("versionStartIncluding") or match.get("versionStartExcluding") or "")
    end = str(match.get("versionEndExcluding") or match.get("versionEndIncluding") or "")
    if version == "*" and (start or end) and all(is_version(bound) for bound in (start, end) if bound):
        included = "versionEndIncluding" in match and "versionEndExcluding" not in match
        start = start or lower_bound(text, end)
        yield Affected(component, cve, start, "versionStartExcluding" not in match, end, included, "NVD")


def lower_bound(text: str, end: str) -> str:
    """The first affected version of a range that ends with ``end``, as a record's words tell it; empty: all before."""
    branch = branch_start(end)
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
