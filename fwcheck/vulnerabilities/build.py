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
from fwcheck.vulnerabilities.sources.facts import Affected, AsOf, Elsewhere, Ending, Exploited, Fact, Release, Score
from fwcheck.vulnerabilities.versions import key

SCHEMA_VERSION = "1"
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- source: who states the range, and the ISO date of the statement where it is known
CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL, as_of TEXT NOT NULL);
-- exploited: ISO date on which the CVE was taken up as known to be exploited; score: CVSS base score
CREATE TABLE cve (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, score REAL, exploited TEXT);
-- versions from first to last are affected; an empty bound is open; inclusive: bit 0 the first, bit 1 the last
CREATE TABLE affected (component TEXT, cve INTEGER, first TEXT, last TEXT, inclusive INTEGER, source INTEGER,
  PRIMARY KEY (component, cve, first, last, inclusive)) WITHOUT ROWID;
CREATE TABLE release (component TEXT, version TEXT, date TEXT, PRIMARY KEY (component, version)) WITHOUT ROWID;
CREATE TABLE ending (component TEXT, branch TEXT, ended TEXT, source TEXT, PRIMARY KEY (component, branch)) WITHOUT ROWID;
"""
# Who is believed first: those who make the program, then the CVE List and NVD. What the project keeps itself fills holes only.
_RANK = {"OpenSSL": 0, "curl": 0, "kernel.org": 0, "Linux stable": 1, "CVE List": 2, "NVD": 3}
_OWN = 9
# A CVE that names one of these is about a package of it, not about the system as such.
_DISTRIBUTIONS = frozenset({"alpine_linux", "debian_linux", "ubuntu_linux"})
_STREAMS = "Linux stable"  # tells of the stable streams it names; of the others somebody else may


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
    """The SQLite file that holds the facts."""
    ranges = _ranges([fact for fact in facts if isinstance(fact, Affected | Elsewhere)])
    names = sorted({each.cve for each in ranges}, key=_cve_order)
    number = {name: index for index, name in enumerate(names, 1)}
    scores: dict[str, float] = {}
    for score in (fact for fact in facts if isinstance(fact, Score)):
        scores.setdefault(score.cve, score.score)
    exploited = {fact.cve: fact.since for fact in facts if isinstance(fact, Exploited)}
    origin = {name: index for index, name in enumerate(sorted({each.source for each in ranges}), 1)}
    endings: dict[tuple[str, str], Ending] = {}
    for ending in (fact for fact in facts if isinstance(fact, Ending)):
        endings.setdefault((ending.component, ending.branch), ending)
    released = {(fact.component, fact.version): fact.date for fact in facts if isinstance(fact, Release)}
    as_of = {fact.source: fact.date for fact in facts if isinstance(fact, AsOf)}
    date = max(as_of.values(), default="")
    with sqlite3.connect(":memory:") as base:
        base.executescript("PRAGMA page_size=4096;" + SCHEMA)
        base.executemany("INSERT INTO meta VALUES (?, ?)", [("date", date), ("schema", SCHEMA_VERSION)])
        base.executemany(
            "INSERT INTO source VALUES (?, ?, ?)", [(index, name, as_of.get(name, "")) for name, index in origin.items()]
        )
        base.executemany(
            "INSERT INTO cve VALUES (?, ?, ?, ?)", [(number[name], name, scores.get(name), exploited.get(name)) for name in names]
        )
        base.executemany(
            "INSERT INTO affected VALUES (?, ?, ?, ?, ?, ?)",
            sorted(
                (
                    each.component,
                    number[each.cve],
                    each.start,
                    each.end,
                    int(each.start_included) | int(each.end_included) << 1,
                    origin[each.source],
                )
                for each in ranges
            ),
        )
        base.executemany("INSERT INTO release VALUES (?, ?, ?)", sorted((*key, day) for key, day in released.items()))
        base.executemany("INSERT INTO ending VALUES (?, ?, ?, ?)", [tuple(endings[key]) for key in sorted(endings)])
        base.commit()
        base.execute("VACUUM")
        raw = base.serialize()
    base.close()
    return raw


def _ranges(found: list[Affected | Elsewhere]) -> list[Affected]:
    """The most trusted publisher's ranges per component and CVE; two that state the same are one."""
    pairs: dict[tuple[str, str], list[Affected | Elsewhere]] = {}
    for each in found:
        pairs.setdefault((each.component, each.cve), []).append(each)
    kept = [each for pair in pairs.values() for each in _believed(pair)]
    return list({each._replace(source=""): each for each in kept}.values())


def _believed(pair: list[Affected | Elsewhere]) -> list[Affected]:
    ranks = sorted({_RANK.get(each.source, _OWN) for each in pair})
    by_rank = [[each for each in pair if _RANK.get(each.source, _OWN) == rank] for rank in ranks]
    if ranks[0] > _RANK[_STREAMS] and any(isinstance(each, Elsewhere) for each in pair):
        return []  # one says that it is not about such systems, the others just do not say
    believed = [each for each in by_rank[0] if isinstance(each, Affected)]
    if len(by_rank) > 1 and believed and all(each.source == _STREAMS for each in believed):
        others = [each for each in by_rank[1] if isinstance(each, Affected)]
        believed += [each for each in others if not any(_overlap(each, stream) for stream in believed)]
    return believed


def _overlap(left: Affected, right: Affected) -> bool:
    """Whether two ranges may share a version."""
    return not any(
        one.end and other.start and (key(one.end), one.end_included) <= (key(other.start), False)
        for one, other in ((left, right), (right, left))
    )


def _cve_order(name: str) -> tuple[int, int, str]:
    parts = name.split("-")
    return (int(parts[1]), int(parts[2]), name) if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit() else (0, 0, name)


def count(raw: bytes) -> Counts:
    """What a knowledge file holds."""
    base = sqlite3.connect(":memory:")
    base.deserialize(raw)
    queries = (
        "SELECT count(DISTINCT component) FROM affected",
        "SELECT count(*) FROM cve",
        "SELECT count(*) FROM affected",
        "SELECT count(*) FROM cve WHERE exploited IS NOT NULL",
        "SELECT count(*) FROM release",
        "SELECT count(*) FROM ending",
    )
    counts = Counts(*(base.execute(query).fetchone()[0] for query in queries))
    base.close()
    return counts
