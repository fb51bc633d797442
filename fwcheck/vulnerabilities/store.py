"""The knowledge file as SQLite: its tables, and how facts are written into them.

A publisher's word on a CVE is replaced as a whole: what it no longer says is gone. Writing what stands there already changes
nothing, so a second import of the same data is none.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fwcheck.vulnerabilities.belief import ELSEWHERE
from fwcheck.vulnerabilities.sources.facts import (
    Affected,
    AsOf,
    Elsewhere,
    Ending,
    Exploited,
    Fact,
    Likely,
    Place,
    Release,
    Score,
)

SCHEMA_VERSION = "2"
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- source: who states something, and the ISO date of the newest statement where it is known
CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, as_of TEXT NOT NULL);
CREATE TABLE cve (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- score: CVSS base score, or where the source gives none, its severity in words
-- exploited: ISO date on which the CVE was taken up; likely: EPSS probability
CREATE TABLE score (cve INTEGER, source INTEGER, score REAL, PRIMARY KEY (cve, source)) WITHOUT ROWID;
CREATE TABLE exploited (cve INTEGER PRIMARY KEY, since TEXT);
CREATE TABLE likely (cve INTEGER PRIMARY KEY, probability REAL);
-- versions from first to last are affected; an empty bound is open; inclusive: bit 0 the first, bit 1 the last, 4: not about
-- such systems. component: a name of the catalogue, or an ecosystem and a package of it (deb:debian:11/openssl).
CREATE TABLE affected (component TEXT, cve INTEGER, source INTEGER, first TEXT, last TEXT, inclusive INTEGER, condition TEXT,
  PRIMARY KEY (component, cve, source, first, last, inclusive, condition)) WITHOUT ROWID;
-- place: the source files that a kernel CVE is about
CREATE TABLE place (cve INTEGER, path TEXT, PRIMARY KEY (cve, path)) WITHOUT ROWID;
CREATE TABLE release (component TEXT, version TEXT, date TEXT, PRIMARY KEY (component, version)) WITHOUT ROWID;
CREATE TABLE ending (component TEXT, branch TEXT, ended TEXT, source TEXT, PRIMARY KEY (component, branch)) WITHOUT ROWID;
-- statement: what a VEX document says of a product (name or package URL) and a CVE
CREATE TABLE statement (cve INTEGER, product TEXT, versions TEXT, status TEXT, reason TEXT, document TEXT,
  PRIMARY KEY (cve, product, versions, document)) WITHOUT ROWID;
"""
# Only a file that is imported into asks by CVE.
INDEXES = "CREATE INDEX IF NOT EXISTS affected_by_cve ON affected (cve, source);"


_CALENDAR = "endoflife.date"


class Statement(NamedTuple):
    """What a VEX document says of one product and CVE; see vex.py for its fields."""

    cve: str
    product: str
    versions: str
    status: str
    reason: str
    document: str


class Said(NamedTuple):
    """Everything that one publisher says of one CVE."""

    source: str
    cve: str
    facts: tuple[Affected | Elsewhere | Score | Place, ...]


Item = Fact | Statement | Said


class Writer:
    """Writes into an open knowledge file and counts what it changed."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        self._sources: dict[str, tuple[int, str]] = {
            name: (number, as_of) for number, name, as_of in base.execute("SELECT id, name, as_of FROM source")
        }
        self._cves: dict[str, int] = dict(base.execute("SELECT name, id FROM cve"))
        self.changed: Counter[str] = Counter()

    def write(self, items: Iterable[Item]) -> None:
        """Takes facts in any order."""
        for item in items:
            match item:
                case Said(source, cve, facts):
                    self._said(source, cve, facts)
                case Affected() | Elsewhere():
                    self._insert("affected", self._range(item))
                case Score(cve, value, source):
                    self._put("score", ("cve", "source"), (self.cve(cve), self.source(source)), "score", value)
                case Place(cve, path):
                    self._insert("place", (self.cve(cve), path))
                case Exploited(cve, since):
                    self._put("exploited", ("cve",), (self.cve(cve),), "since", since)
                case Likely(cve, probability):
                    self._put("likely", ("cve",), (self.cve(cve),), "probability", probability)
                case Release(component, version, date):
                    self._put("release", ("component", "version"), (component, version), "date", date)
                case Ending(component, branch, ended, source):
                    self._ending(component, branch, ended, source)
                case Statement():
                    self._insert("statement", (self.cve(item.cve), *item[1:]), replace=True)
                case AsOf(source, date):
                    self._as_of(source, date)

    def cve(self, name: str) -> int:
        """The number of a CVE in this file; a new one is given the next."""
        number: int | None = self._cves.get(name)
        if number is None:
            number = self._cves[name] = len(self._cves) + 1
            self._base.execute("INSERT INTO cve VALUES (?, ?)", (number, name))
        return number

    def source(self, name: str) -> int:
        """The number of a publisher in this file."""
        if name not in self._sources:
            self._sources[name] = (len(self._sources) + 1, "")
            self._base.execute("INSERT INTO source VALUES (?, ?, '')", (self._sources[name][0], name))
        return self._sources[name][0]

    def exploited_alone(self, names: Sequence[str]) -> None:
        """A catalogue is whole: what it no longer lists is no longer known to be exploited."""
        kept = {self.cve(name) for name in names}
        gone = [(number,) for (number,) in self._base.execute("SELECT cve FROM exploited") if number not in kept]
        self._base.executemany("DELETE FROM exploited WHERE cve = ?", gone)
        self._count("exploited", len(gone))

    def _said(self, source: str, cve: str, facts: tuple[Affected | Elsewhere | Score | Place, ...]) -> None:
        known = self._cves.get(cve)
        if known is None and not any(isinstance(each, Affected | Elsewhere) for each in facts):
            return  # about nothing that is known here
        number, origin = self.cve(cve), self.source(source)
        held = set(
            self._base.execute(
                "SELECT component, cve, source, first, last, inclusive, condition FROM affected WHERE cve = ? AND source = ?",
                (number, origin),
            )
        )
        wanted = {self._range(each) for each in facts if isinstance(each, Affected | Elsewhere) and each.source == source}
        for row in sorted(wanted - held):
            self._base.execute("INSERT INTO affected VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for row in sorted(held - wanted):
            self._base.execute(
                "DELETE FROM affected WHERE component = ? AND cve = ? AND source = ? AND first = ? AND last = ?"
                " AND inclusive = ? AND condition = ?",
                row,
            )
        self._count("affected", len(wanted ^ held))
        self.write(each for each in facts if isinstance(each, Score | Place) or each.source != source)

    def _range(self, fact: Affected | Elsewhere) -> tuple[str, int, int, str, str, int, str]:
        origin = self.source(fact.source)
        if isinstance(fact, Elsewhere):
            return fact.component, self.cve(fact.cve), origin, "", "", ELSEWHERE, ""
        inclusive = int(fact.start_included) | int(fact.end_included) << 1
        return fact.component, self.cve(fact.cve), origin, fact.start, fact.end, inclusive, fact.condition

    def _ending(self, component: str, branch: str, ended: str, source: str) -> None:
        row = self._base.execute(
            "SELECT ended, source FROM ending WHERE component = ? AND branch = ?", (component, branch)
        ).fetchone()
        if row is not None and source == _CALENDAR and row[1] != _CALENDAR:
            return  # the project's own calendar, or one that was looked up, is nearer to the source
        if row != (ended, source):
            self._base.execute("INSERT OR REPLACE INTO ending VALUES (?, ?, ?, ?)", (component, branch, ended, source))
            self._count("ending", 1)

    def _as_of(self, source: str, date: str) -> None:
        number = self.source(source)
        if date > self._sources[source][1]:
            self._sources[source] = (number, date)
            self._base.execute("UPDATE source SET as_of = ? WHERE id = ?", (date, number))
            self._count("source", 1)

    def _insert(self, table: str, row: tuple[object, ...], *, replace: bool = False) -> None:
        marks = ", ".join("?" * len(row))
        if replace and self._base.execute(_same(table), row).fetchone():
            return
        verb = "REPLACE" if replace else "IGNORE"
        self._count(table, self._base.execute(f"INSERT OR {verb} INTO {table} VALUES ({marks})", row).rowcount)  # noqa: S608  # own names

    def _put(self, table: str, columns: tuple[str, ...], keys: tuple[object, ...], column: str, value: object) -> None:
        """One value under a key: written when it is new or another."""
        where = " AND ".join(f"{name} = ?" for name in columns)
        row = self._base.execute(f"SELECT {column} FROM {table} WHERE {where}", keys).fetchone()  # noqa: S608  # own names
        if row is None or row[0] != value:
            marks = ", ".join("?" * (len(keys) + 1))
            self._base.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", (*keys, value))  # noqa: S608
            self._count(table, 1)

    def _count(self, table: str, rows: int) -> None:
        if rows > 0:
            self.changed[table] += rows


def _same(table: str) -> str:
    columns = {"statement": ("cve", "product", "versions", "status", "reason", "document")}[table]
    return f"SELECT 1 FROM {table} WHERE " + " AND ".join(f"{name} = ?" for name in columns)  # noqa: S608  # own names


def stamp(base: sqlite3.Connection) -> None:
    """Sets the date of the file: that of its newest source."""
    date = base.execute("SELECT max(as_of) FROM source").fetchone()[0] or ""
    base.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("date", date), ("schema", SCHEMA_VERSION)])


def in_order(names: Iterable[str]) -> Iterator[str]:
    """CVE identifiers by year and number."""
    yield from sorted(set(names), key=_order)


def _order(name: str) -> tuple[int, int, str]:
    parts = name.split("-")
    return (int(parts[1]), int(parts[2]), name) if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit() else (0, 0, name)
