"""Builds the knowledge file from public data: affected versions, scores, known exploitation, releases and ends of support.

Only facts are kept (identifiers, versions, dates, scores) and only of the catalogue's components. The same input gives the same
bytes: rows are sorted, the file has one page layout and carries no time of its own.
"""

from __future__ import annotations

import lzma
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fwcheck.device.products import by_cpe, products
from fwcheck.vulnerabilities.sources import curl, cve5, kernel, kev, nvd, own, releases
from fwcheck.vulnerabilities.sources.facts import Affected, Elsewhere, Ending, Fact, Release, Score
from fwcheck.vulnerabilities.store import SCHEMA, Writer, in_order, stamp

# A CVE that names one of these is about a package of it, not about the system as such.
_DISTRIBUTIONS = frozenset({"alpine_linux", "debian_linux", "ubuntu_linux"})


class Counts(NamedTuple):
    """How many facts a knowledge file holds."""

    components: int
    vulnerabilities: int
    ranges: int
    exploited: int
    releases: int
    endings: int


def build(sources: Path, output: Path) -> Counts:
    """Writes the knowledge file from the archives in ``sources``; xz-compressed when the name of ``output`` ends in ``.xz``.

    Raises OSError for an archive that is missing, ValueError for one that cannot be read.
    """
    facts = list(dict.fromkeys(gather(sources)))
    raw = assemble(facts)
    output.write_bytes(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME) if output.suffix == ".xz" else raw)
    return count(raw)


def gather(sources: Path) -> Iterator[Fact]:
    """Every fact of every source."""
    components = {pair: name for pair, name in by_cpe().items() if name not in _DISTRIBUTIONS}
    calendars: dict[str, tuple[str, ...]] = {
        product.lifecycle: (name,) for name, product in products().items() if product.lifecycle
    }
    calendars |= {"sqlite": ("sqlite",), "openwrt": ("openwrt", "lede")}
    web = frozenset(name for name, product in products().items() if product.network == "web")
    yield from cve5.read(sources, components)
    yield from nvd.read(sources, components, web)
    yield from curl.read(sources)
    yield from kernel.read(sources)
    yield from kev.read(sources)
    yield from releases.openssl(sources)
    yield from releases.read(sources, calendars)
    yield from own.vulnerabilities()
    yield from own.endings()


def assemble(facts: list[Fact]) -> bytes:
    """The SQLite file that holds the facts: of CVEs, those that somebody gives a range for."""
    ranges = [fact for fact in facts if isinstance(fact, Affected | Elsewhere)]
    names = {each.cve for each in ranges if isinstance(each, Affected)}
    wanted = {None, *names}  # of facts that are about no CVE, all
    with sqlite3.connect(":memory:") as base:
        base.executescript("PRAGMA page_size=4096;" + SCHEMA)
        writer = Writer(base)
        for name in in_order(names):
            writer.cve(name)
        for name in sorted({each.source for each in ranges}):
            writer.source(name)
        writer.write(_first([fact for fact in facts if getattr(fact, "cve", None) in wanted]))
        stamp(base)
        base.commit()
        base.execute("VACUUM")
        raw = base.serialize()
    base.close()
    return raw


def _first(facts: list[Fact]) -> Iterator[Fact]:
    """Sorted facts; of two that speak of the same thing, the one that came first."""
    told: dict[tuple[object, ...], Fact] = {}
    for fact in facts:
        told.setdefault(_subject(fact), fact)
    yield from sorted(told.values(), key=_place)


def _place(fact: Fact) -> tuple[object, ...]:
    """By kind, then by content; scores may be words, which do not compare with numbers."""
    return type(fact).__name__, (fact.cve, fact.source) if isinstance(fact, Score) else fact


def _subject(fact: Fact) -> tuple[object, ...]:
    match fact:
        case Score(cve, _, source):
            return "score", cve, source
        case Ending(component, branch):
            return "ending", component, branch
        case Release(component, version):
            return "release", component, version
    return (type(fact).__name__, *fact)


def count(raw: bytes) -> Counts:
    """What a knowledge file holds."""
    base = sqlite3.connect(":memory:")
    base.deserialize(raw)
    queries = (
        "SELECT count(DISTINCT component) FROM affected",
        "SELECT count(*) FROM cve",
        "SELECT count(*) FROM affected",
        "SELECT count(*) FROM exploited",
        "SELECT count(*) FROM release",
        "SELECT count(*) FROM ending",
    )
    counts = Counts(*(base.execute(query).fetchone()[0] for query in queries))
    base.close()
    return counts
