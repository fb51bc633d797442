"""A user's knowledge file brought up to the one shipped with a newer release of the program.

What the shipped file says of a CVE replaces what the same publisher said before, unless the user imported something newer of that
publisher. What the project keeps itself is replaced as a whole.
"""

from __future__ import annotations

import hashlib
import lzma
import sqlite3
from collections.abc import Iterator
from importlib import resources

from fwcheck.vulnerabilities.belief import ELSEWHERE
from fwcheck.vulnerabilities.database import SHIPPED
from fwcheck.vulnerabilities.sources.facts import Affected, AsOf, Elsewhere, Ending, Exploited, Place, Release, Score
from fwcheck.vulnerabilities.store import Item, Said, Writer

_OWN = "https://"  # how the names of documents begin that the project's own table rests on
_KEV = "CISA KEV"


def shipped() -> tuple[str, bytes]:
    """Digest and content of the shipped file."""
    raw = resources.files("fwcheck.vulnerabilities").joinpath(SHIPPED).read_bytes()
    return hashlib.sha256(raw).hexdigest()[:16], lzma.decompress(raw)


def rebase(base: sqlite3.Connection, writer: Writer) -> bool:
    """Brings an open file up to the shipped one; whether that was called for."""
    digest, raw = shipped()
    held = base.execute("SELECT value FROM meta WHERE key = 'base'").fetchone()
    if held == (digest,):
        return False
    newer = sqlite3.connect(":memory:")
    try:
        newer.deserialize(raw)
        dates = dict(base.execute("SELECT name, as_of FROM source"))
        base.execute("DELETE FROM affected WHERE source IN (SELECT id FROM source WHERE name LIKE ?)", (f"{_OWN}%",))
        base.execute("DELETE FROM score WHERE source IN (SELECT id FROM source WHERE name LIKE ?)", (f"{_OWN}%",))
        writer.write(_items(newer, base, dates))
    finally:
        newer.close()
    base.execute("INSERT OR REPLACE INTO meta VALUES ('base', ?)", (digest,))
    return True


def _items(newer: sqlite3.Connection, base: sqlite3.Connection, dates: dict[str, str]) -> Iterator[Item]:
    own: set[tuple[str, str]] = set(
        base.execute(
            "SELECT DISTINCT cve.name, source.name FROM affected JOIN cve ON cve.id = cve JOIN source ON source.id = source"
        )
    )
    for source, as_of in newer.execute("SELECT name, as_of FROM source ORDER BY id").fetchall():
        ahead = bool(as_of) and dates.get(source, "") > as_of  # what the user imported of it is newer
        yield from (each for each in _said(newer, source) if not ahead or (each.cve, source) not in own)
        yield AsOf(source, as_of)
    yield from (Place(*row) for row in newer.execute("SELECT name, path FROM place JOIN cve ON id = cve"))
    if dates.get(_KEV, "") <= (newer.execute("SELECT as_of FROM source WHERE name = ?", (_KEV,)).fetchone() or ("",))[0]:
        yield from (Exploited(*row) for row in newer.execute("SELECT name, since FROM exploited JOIN cve ON id = cve"))
    yield from (Release(*row) for row in newer.execute("SELECT component, version, date FROM release"))
    yield from (Ending(*row) for row in newer.execute("SELECT component, branch, ended, source FROM ending"))


def _said(newer: sqlite3.Connection, source: str) -> Iterator[Said]:
    """What one publisher says in the shipped file, by CVE."""
    found: dict[str, list[Affected | Elsewhere | Score | Place]] = {}
    rows = newer.execute(
        "SELECT component, cve.name, first, last, inclusive, condition FROM affected JOIN cve ON cve.id = cve"
        " JOIN source ON source.id = source WHERE source.name = ? ORDER BY cve",
        (source,),
    )
    for component, cve, first, last, inclusive, condition in rows:
        elsewhere = Elsewhere(component, cve, source)
        affected = Affected(component, cve, first, bool(inclusive & 1), last, bool(inclusive & 2), source, condition)
        found.setdefault(cve, []).append(elsewhere if inclusive == ELSEWHERE else affected)
    rows = newer.execute(
        "SELECT cve.name, score FROM score JOIN cve ON cve.id = cve JOIN source ON source.id = source WHERE source.name = ?",
        (source,),
    )
    for cve, score in rows:
        found.setdefault(cve, []).append(Score(cve, score, source))
    yield from (Said(source, cve, tuple(facts)) for cve, facts in found.items())
