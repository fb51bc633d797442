"""CPE applicability: what else must be there for a match to count (NVD ``configurations``: nodes joined by AND and OR).

A condition is text, one line of JSON: a list of alternatives all of which must hold, each a list of
``[component, first, last, inclusive]``. What firmware always or never is (Linux, Windows) is decided when it is written; what the
image may hold is decided against its components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from fwcheck.vulnerabilities.sources.facts import foreign, is_version
from fwcheck.vulnerabilities.versions import within

_ANY = ("*", "-", "")
_DEPTH = 8  # of nodes in nodes; the published data has two
Alternatives = list[list[str | int]]


class Bounds(NamedTuple):
    """The versions that one CPE match means; an empty bound is open."""

    start: str
    start_included: bool
    end: str
    end_included: bool


class Match(NamedTuple):
    """A vulnerable CPE match, and what must be there beside it. ``never``: that is nothing that firmware has."""

    match: Mapping[str, Any]
    condition: str = ""
    never: bool = False
    foreign: bool = False


def matches(configuration: Mapping[str, Any], components: Mapping[str, str]) -> Iterator[Match]:
    """Every vulnerable match of one configuration with its condition; negated ones state nothing."""
    nodes = [node for node in _nodes(configuration) if not node.get("negate")]
    together = str(configuration.get("operator", "OR")).upper() == "AND" and not configuration.get("negate")
    for node in nodes:
        own = list(_matches(node))
        beside = [list(_matches(other)) for other in nodes if other is not node] if together else []
        for match in own:
            if not match.get("vulnerable"):
                continue
            needed = list(beside)
            if str(node.get("operator", "OR")).upper() == "AND":
                needed += [[other] for other in own if other is not match]
            yield _conditional(match, needed, components)


def _nodes(configuration: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    nodes = configuration.get("nodes", configuration.get("children", []))
    return [node for node in nodes if isinstance(node, dict)]


def _matches(node: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The matches of a node and of the nodes in it."""
    yield from (
        match for match in node.get("cpeMatch", node.get("cpe_match", [])) if isinstance(match, dict) and not match.get("negate")
    )
    if depth < _DEPTH:
        for child in node.get("children", []):
            yield from _matches(child, depth + 1)


def _conditional(match: Mapping[str, Any], needed: Sequence[Sequence[Mapping[str, Any]]], components: Mapping[str, str]) -> Match:
    held: list[Alternatives] = []
    for group in needed:
        alternatives = [each for other in group if (each := _alternative(other, components)) is not None]
        if any(len(each) == 1 for each in alternatives):  # Linux of any version: always there
            continue
        if not alternatives and group:
            strange = any(foreign(fields(other)[4]) for other in group if len(fields(other)) > 4)
            return Match(match, never=True, foreign=strange)
        if alternatives:
            held.append(alternatives)
    return Match(match, msgspec.json.encode(held).decode() if held else "")


def _alternative(match: Mapping[str, Any], components: Mapping[str, str]) -> list[str | int] | None:
    held = fields(match)
    name = components.get(":".join(held[3:5])) if len(held) > 6 else None
    if name is None:
        return None
    found = bounds(match)
    if name == "linux_kernel" and (found is None or found == Bounds("", True, "", False)):
        return [name]
    if found is None:
        found = Bounds("", True, "", False)
    return [name, found.start, found.end, int(found.start_included) | int(found.end_included) << 1]


def bounds(match: Mapping[str, Any]) -> Bounds | None:
    """The versions of a match: one version, or from its four bounds; None where they cannot be compared."""
    held = fields(match)
    version = held[5].replace("\\", "") if len(held) > 6 else "-"
    if version not in _ANY:
        update = held[6].replace("\\", "")
        exact = version + ("" if update in _ANY else update)
        return Bounds(exact, True, exact, True) if is_version(exact) else None
    start = str(match.get("versionStartIncluding") or match.get("versionStartExcluding") or "").lstrip("v")
    end = str(match.get("versionEndExcluding") or match.get("versionEndIncluding") or "").lstrip("v")
    start = "" if start in ("0", "-", "*") else start
    if not all(is_version(bound) for bound in (start, end) if bound):
        return None
    included = "versionEndIncluding" in match and "versionEndExcluding" not in match
    return Bounds(start, "versionStartExcluding" not in match, end, included)


def fields(match: Mapping[str, Any]) -> list[str]:
    """The attributes of a CPE 2.3 formatted string; a colon behind a backslash divides nothing (NISTIR 7695, 6.2)."""
    text = str(match.get("criteria") or match.get("cpe23Uri") or "")
    return [field.replace("\0", "\\:") for field in text.replace("\\:", "\0").split(":")]


def holds(condition: str, present: Mapping[str, Iterable[str | None]]) -> bool:
    """Whether a condition is met by the components that are present, by name with their versions; an unknown version meets it."""
    if not condition:
        return True
    return all(any(_present(each, present) for each in group) for group in msgspec.json.decode(condition))


def _present(alternative: Sequence[Any], present: Mapping[str, Iterable[str | None]]) -> bool:
    name, first, last, inclusive = alternative
    versions = present.get(name, ())
    return any(version is None or within(version, first, bool(inclusive & 1), last, bool(inclusive & 2)) for version in versions)
