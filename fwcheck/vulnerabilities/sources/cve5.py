"""CVE List records, version 5, with the containers that CISA adds (Vulnrichment), and those of OpenSSL; CC0 and public facts.

Specification: the CVE JSON 5 schema, ``affected[].versions[]`` with ``lessThan`` and ``lessThanOrEqual``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fwcheck.vulnerabilities.cvss import base_score, severity_word
from fwcheck.vulnerabilities.sources.facts import (
    Affected,
    AsOf,
    Elsewhere,
    Place,
    Score,
    foreign,
    is_version,
    json_members,
)
from fwcheck.vulnerabilities.versions import key

FILE = "cve5-vulnrichment-2024-10.tar.zst"
OPENSSL = "openssl-cve5.tar.xz"
LIST, KERNEL = "CVE List", "kernel.org"  # the kernel's own records stand in the list
_NAMESAKES = frozenset({"boa-dev:boa"})  # other programs that go by a component's name
_OPEN = ("", "0", "*", "unspecified", "n/a", "-")  # starts that stand for every earlier version
_WHOLE = re.compile(r"^(\d+(?:\.\d+)*)\.[x*]$", re.IGNORECASE)  # 8.1.x, 8.1.*
_STATED = re.compile(r"^(>=?|<=?|=>?|=<)\s*v?(\S+)$")
_PROJECTS = {"openssl": "OpenSSL", "curl": "curl"}
_PLACES = 64  # source files kept of one record
_SOURCE_FILE = re.compile(r"^[A-Za-z0-9_][\w.+,/-]{2,120}$")
_METRICS = ("cvssV4_0", "cvssV3_1", "cvssV3_0", "cvssV2_0")
_ALIASES = {
    "linux:linux": "linux_kernel",
    "openssl:openssl": "openssl",
    "curl:curl": "curl",
    "php group:php": "php",
    "eclipse:mosquitto": "mosquitto",
    "eclipse foundation:mosquitto": "mosquitto",
    "eclipse foundation:threadx": "threadx",
    "python software foundation:cpython": "python",
    "apache software foundation:apache http server": "http_server",
    "node.js:node.js": "node.js",
    "node.js:node": "node.js",
    "zephyrproject-rtos:zephyr": "zephyr",
    "git:git": "git",
    "the gnu c library:glibc": "glibc",
    "gnu libc:glibc": "glibc",
    "openvpn:openvpn 2": "openvpn",
    "nlnet labs:unbound": "unbound",
    "the tcpdump group:libpcap": "libpcap",
    "the tcpdump group:tcpdump": "tcpdump",
    "wolfssl inc.:wolfssl": "wolfssl",
    "vim:vim/vim": "vim",
    "bootstrap:bootstrap": "bootstrap",
}


def read(sources: Path, components: Mapping[str, str]) -> Iterator[Affected | Elsewhere | Score | Place | AsOf]:
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


def publisher(record: Mapping[str, Any]) -> str:
    """Who states what a record of the CVE List says: some projects publish the records about their own program."""
    return _PROJECTS.get(str(record.get("cveMetadata", {}).get("assignerShortName", "")).lower(), LIST)


def record_facts(record: Any, components: Mapping[str, str], source: str) -> Iterator[Affected | Elsewhere | Score | Place]:
    """What one record says; nothing for a record of another shape or a rejected one.

    The publisher's own ranges of a component stand alone; what others added counts where the publisher names none.
    """
    if not isinstance(record, dict) or record.get("cveMetadata", {}).get("state") != "PUBLISHED":
        return
    cve = str(record["cveMetadata"].get("cveId", ""))
    held = record.get("containers", {})
    parts = [held.get("cna", {}), *held.get("adp", [])]
    named = [_pair(entry) for entry in parts[0].get("affected", [])]
    if _NAMESAKES.intersection(named):
        return
    named = [pair for pair in named if not pair.startswith("n/a:") or not pair.endswith(":n/a")]
    yield from _places(cve, parts[0])
    told: set[str] = set()
    for part in parts:
        found = [each for entry in part.get("affected", []) for each in _entry(cve, entry, components, source)]
        if part is not parts[0]:
            found = [each for each in found if _is_named(each.component, named)]
        here = {each.component for each in found if isinstance(each, Affected)}
        yield from dict.fromkeys(
            each for each in found if each.component not in told and (isinstance(each, Affected) or each.component not in here)
        )
        told |= {each.component for each in found}
    score = next((value for part in parts for value in _scores(part)), None) or next(
        (word for part in parts for word in _severities(part)), None
    )
    if score is not None:
        yield Score(cve, score, source)


def _places(cve: str, publisher_says: Mapping[str, Any]) -> Iterator[Place]:
    """The source files that the kernel's own records name."""
    for entry in publisher_says.get("affected", []):
        if _pair(entry) == "linux:linux":
            yield from (Place(cve, path) for path in entry.get("programFiles", [])[:_PLACES] if _SOURCE_FILE.match(str(path)))


def _pair(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('vendor', '')}:{entry.get('product', '')}".lower()


def _is_named(component: str, named: Sequence[str]) -> bool:
    """Whether a component that others added is what the publisher names; a chip's driver is not the system it runs on."""
    letters = re.sub(r"[^a-z0-9]", "", component)
    return not named or any(letters in re.sub(r"[^a-z0-9]", "", pair) for pair in named)


def _scores(part: Mapping[str, Any]) -> Iterator[float]:
    for metric in _METRICS:
        for entry in part.get("metrics", []):
            told = entry.get(metric) if isinstance(entry, dict) else None
            if not isinstance(told, dict):
                continue
            value = told.get("baseScore", base_score(str(told.get("vectorString", ""))))
            if isinstance(value, (int, float)):
                yield float(value)


def _severities(part: Mapping[str, Any]) -> Iterator[str]:
    """Where no score is given: the publisher's word, in the forms that OpenSSL, Apache and the kernel's distributions use."""
    for entry in part.get("metrics", []):
        other = entry.get("other") if isinstance(entry, dict) else None
        content = other.get("content") if isinstance(other, dict) else None
        told = [content.get(key) for key in ("text", "severity", "value", "level")] if isinstance(content, dict) else [content]
        yield from filter(None, map(severity_word, told))


def _entry(cve: str, entry: Mapping[str, Any], components: Mapping[str, str], source: str) -> Iterator[Affected | Elsewhere]:
    component = _component(entry, components)
    versions = [each for each in entry.get("versions", []) if isinstance(each, dict) and each.get("versionType") != "git"]
    if component is None or not versions:
        return
    platforms = [str(each) for each in entry.get("platforms", [])]
    if platforms and all(foreign(each) for each in platforms):
        yield Elsewhere(component, cve, source)
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
    pair = _pair(entry)
    return _ALIASES.get(pair) or components.get(pair)


def _range(component: str, cve: str, each: Mapping[str, Any], source: str) -> Iterator[Affected]:
    start = str(each.get("version", "")).strip().lstrip("v")
    end = str(each.get("lessThan") or each.get("lessThanOrEqual") or "").strip().lstrip("v")
    whole = _WHOLE.match(start)
    if start[:1] in ("<", ">", "=") and not end:
        stated = _stated(component, cve, start, source)
        if stated is not None:
            yield stated
    elif end:
        start = "" if start in _OPEN else whole[1] if whole else start
        last = _WHOLE.match(end)
        if last and "lessThan" not in each:  # up to and with the whole branch
            end, each = _next(last[1]), {"lessThan": True}
        if (not start or is_version(start)) and is_version(end):
            yield Affected(component, cve, start, True, end, "lessThan" not in each, source)
    elif whole:
        yield Affected(component, cve, whole[1], True, _next(whole[1]), False, source)
    elif is_version(start) and start != "0":
        yield Affected(component, cve, start, True, start, True, source)


def _stated(component: str, cve: str, text: str, source: str) -> Affected | None:
    """A range in words of its own, as GitHub's records have it: ``>= 1.0.3, < 3.5.0``."""
    start, end, start_included, end_included = "", "", True, False
    for part in text.split(","):
        bound = _STATED.match(part.strip())
        if bound is None or not is_version(bound[2]):
            return None
        sign = bound[1]
        if sign in (">=", "=>", ">", "="):
            start, start_included = bound[2], sign != ">"
        if sign in ("<=", "=<", "<", "="):
            end, end_included = bound[2], sign != "<"
    return Affected(component, cve, start, start_included, end, end_included, source)


def _next(branch: str) -> str:
    """The branch after: 8.1 gives 8.2."""
    *front, last = branch.split(".")
    return ".".join([*front, str(int(last) + 1)])


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
