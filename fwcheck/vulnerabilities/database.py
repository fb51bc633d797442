"""What is known of component versions: vulnerabilities, releases and ends of support, from the file shipped with the package."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import msgspec

from fwcheck.model import Component, SeverityWord, Vulnerability
from fwcheck.vulnerabilities import ecosystems
from fwcheck.vulnerabilities.applicability import holds
from fwcheck.vulnerabilities.belief import Range, believed
from fwcheck.vulnerabilities.cvss import severity_word
from fwcheck.vulnerabilities.origins import begun
from fwcheck.vulnerabilities.store import SCHEMA_VERSION, Statement
from fwcheck.vulnerabilities.versions import branch_of, compare, key, within

SHIPPED = "knowledge.sqlite.xz"
_XZ = b"\xfd7zXZ"
_LIMIT = 64 << 20  # bytes of an unpacked knowledge file
_PATCH_LEVEL = re.compile(r"p\d+$")
# Projects whose branches end when they get no more releases; a year without one tells. A branch is the first two numbers, of the
# kernel before 3.0 the first three.
_END_WITH_LAST_RELEASE = frozenset({"linux_kernel", "openwrt", "lede"})
_BRANCH = re.compile(r"^2\.[0-6]\.\d+|^\d+\.\d+")


# Whose score counts first; others after them by name.
_SCORED = ("NVD", "kernel.org", "OpenSSL", "curl", "CVE List", "OSV", "CSAF")


def user_file() -> Path:
    """Where a user's own knowledge file lies: ``FWCHECK_DB``, else in the XDG data directory."""
    named = os.environ.get("FWCHECK_DB")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()) / "fwcheck" / "knowledge.sqlite"


class _Said(NamedTuple):
    """What holds of one component and CVE, and what is known of the CVE."""

    cve: str
    score: float | None
    severity: SeverityWord
    exploited: str | None
    likely: float | None
    ranges: tuple[Range, ...]


class Knowledge:
    """A knowledge file, in memory or on disk. Raises ValueError for a file that is none."""

    def __init__(self, raw: bytes | Path, digest: str = "") -> None:
        self._digest = digest
        head = raw[:16] if isinstance(raw, bytes) else _head(raw)
        if not head.startswith(b"SQLite format 3\0"):
            raise ValueError("not a knowledge file: it does not begin like an SQLite database")
        self.path = raw if isinstance(raw, Path) else None
        address = ":memory:" if isinstance(raw, bytes) else f"{raw.absolute().as_uri()}?mode=ro&immutable=1"
        self._base = sqlite3.connect(address, check_same_thread=False, uri=True)
        weakref.finalize(self, self._base.close)
        try:
            if isinstance(raw, bytes):
                self._base.deserialize(raw)
            self._meta = dict(self._base.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise ValueError(f"not a knowledge file: {error}") from None
        if self._meta.get("schema") != SCHEMA_VERSION:
            raise ValueError("not a knowledge file of this release: import again into a new one")
        self._ranges: dict[str, tuple[_Said, ...]] = {}
        self._ends: dict[str, tuple[tuple[str, str, str], ...]] = {}
        self._released: dict[str, dict[object, str]] = {}

    @classmethod
    def open(cls, path: Path | None = None) -> Knowledge:
        """The knowledge file at ``path`` (xz-compressed or plain), else the user's own, else the one shipped with the package.

        Raises OSError when it cannot be read, ValueError when it is no knowledge file.
        """
        if path is None and (own := user_file()).is_file():
            path = own
        if path is not None and not _head(path).startswith(_XZ):
            return cls(path)
        raw = path.read_bytes() if path else resources.files("fwcheck.vulnerabilities").joinpath(SHIPPED).read_bytes()
        try:
            plain = lzma.LZMADecompressor(memlimit=256 << 20).decompress(raw, _LIMIT)
            return cls(plain, hashlib.sha256(raw).hexdigest())
        except lzma.LZMAError as error:
            raise ValueError(f"not a knowledge file: {error}") from None

    @property
    def date(self) -> str:
        """ISO date of the newest source: what was published later is not known here."""
        return str(self._meta.get("date", ""))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, hexadecimal; "" for one that was given in memory and unpacked."""
        if self.path is None or self._digest:
            return self._digest
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _dates(self, component: str) -> dict[object, str]:
        """When the releases of a component came out."""
        if component not in self._released:
            rows = self._base.execute("SELECT version, date FROM release WHERE component = ? ORDER BY version", (component,))
            self._released[component] = {key(version): date for version, date in rows}
        return self._released[component]

    def vulnerabilities(
        self, component: Component, present: Mapping[str, Iterable[str | None]] | None = None
    ) -> tuple[Vulnerability, ...]:
        """What affects this version: known to be exploited first, then by score, then by identifier.

        ``present`` are the versions of the components beside it, by name: some CVEs need one of them.
        """
        if component.version is None:
            return self._of_range(component) if component.version_range else ()
        listed = [
            _known(each, hits)
            for each in self._of(component.name)
            if (hits := [one for one in each.ranges if self._affects(component, one, present or {})])
        ]
        return tuple(sorted(listed, key=_rank))

    def _of_range(self, component: Component) -> tuple[Vulnerability, ...]:
        """What affects all releases of a range, and what affects some of them: of the latter nobody knows whether this one."""
        first, before = bounds(component.version_range or "")
        listed: list[Vulnerability] = []
        for each in self._of(component.name):
            hits = [one for one in each.ranges if not one.condition and _meets(one, first, before)]
            if not hits:
                continue
            whole = any(_covers(one, first, before) for one in hits)
            status = "affected" if whole else "under_investigation"
            reason = f"the version is one of {component.version_range}: {'all are' if whole else 'not all are'} affected"
            listed.append(msgspec.structs.replace(_known(each, hits), status=status, reason=reason))
        return tuple(sorted(listed, key=_rank))

    def distribution(self, component: Component, found: Sequence[Vulnerability]) -> Iterator[Vulnerability]:
        """The same vulnerabilities as the distribution of the package sees them, and those that it alone knows of.

        A CVE that it lists for the package, with a fix no newer than the installed revision, is marked as fixed.
        """
        told: dict[str, tuple[Vulnerability, bool]] = {}
        for key_ in ecosystems.keys(component.purl) if component.package or component.version else ():
            system = re.split(r"[:/]", key_, maxsplit=1)[0]
            version = component.package or component.version or ""
            for each in self._of(key_):
                hits = [one for one in each.ranges if ecosystems.within(system, version, one.first, one.last, one.inclusive)]
                last = (hits or list(each.ranges))[0]
                entry = Vulnerability(
                    id=each.cve,
                    score=each.score,
                    severity=each.severity,
                    known_exploited=each.exploited is not None,
                    fixed_in=None if last.inclusive & 2 else last.last or None,
                    source=last.source,
                    epss=each.likely,
                )
                told[each.cve] = (entry, bool(hits))
        for one in found:
            entry, affected = told.pop(one.id, (one, True))
            if affected:
                yield one
            else:
                reason = f"the distribution lists it as fixed in {entry.fixed_in}; {component.package} is installed"
                yield msgspec.structs.replace(one, status="fixed", reason=reason, ground="distribution")
        for entry, affected in told.values():
            if affected:
                yield entry

    def places(self, cve: str) -> tuple[str, ...]:
        """The source files that a kernel CVE is about."""
        return self._places.get(cve, ())

    @cached_property
    def _places(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for name, path in self._base.execute("SELECT name, path FROM place JOIN cve ON id = cve ORDER BY cve, path"):
            found.setdefault(name, []).append(path)
        return {name: tuple(paths) for name, paths in found.items()}

    def statements(self) -> tuple[Statement, ...]:
        """What VEX documents that were imported say."""
        rows = self._base.execute(
            "SELECT name, product, versions, status, reason, document FROM statement JOIN cve ON id = cve ORDER BY cve, product"
        )
        return tuple(Statement(*row) for row in rows)

    def exploited_since(self, cve: str) -> str | None:
        """ISO date on which a CVE was taken up as known to be exploited."""
        row = self._base.execute("SELECT since FROM exploited JOIN cve ON id = cve WHERE name = ?", (cve,)).fetchone()
        return str(row[0]) if row and row[0] else None

    def end_of_life(self, component: Component) -> str | None:
        """ISO date on which upstream support of this version's branch ended, None while it lasts or when nothing is known."""
        ends = self._end(component)
        return ends if ends and ends <= self.date else None

    def supported_until(self, component: Component) -> str | None:
        """ISO date on which upstream support of this version's branch will end, None when it has or nothing is known."""
        ends = self._end(component)
        return ends if ends and ends > self.date else None

    def _end(self, component: Component) -> str | None:
        if component.version is None:
            return None
        endings = self._endings(component.name)
        own = [(branch, ended) for branch, ended, _ in endings if branch_of(component.version, branch)]
        if own:
            ended: str | None = max(own, key=lambda pair: len(pair[0]))[1]
        elif endings and all(compare(component.version, branch) < 0 for branch, _, _ in endings):
            ended = min(ended for _, ended, _ in endings)
        else:
            ended = self._last_release(component.name, component.version)
        return ended

    def released(self, component: Component) -> str | None:
        """ISO date on which this version was released, None when it is not known."""
        return self._dates(component.name).get(key(component.version)) if component.version is not None else None

    def components(self) -> Iterator[str]:
        """Names of the components that something is known of, sorted."""
        rows = self._base.execute("SELECT component FROM affected UNION SELECT component FROM ending ORDER BY 1")
        yield from (str(row[0]) for row in rows)

    def sources(self) -> Iterator[tuple[str, str, int]]:
        """Every publisher with the date of its newest statement and the number of its ranges."""
        yield from self._base.execute(
            "SELECT name, as_of, count(affected.source) FROM source LEFT JOIN affected ON affected.source = source.id"
            " GROUP BY source.id HAVING count(affected.source) OR as_of != '' ORDER BY name"
        )

    def close(self) -> None:
        """Frees the memory the file takes."""
        self._base.close()

    def _of(self, component: str) -> tuple[_Said, ...]:
        if component not in self._ranges:
            rows = self._base.execute(
                "SELECT cve.name, cve, first, last, inclusive, source.name, as_of, condition FROM affected"
                " JOIN cve ON cve.id = cve JOIN source ON source.id = source WHERE component = ? ORDER BY cve, first, last",
                (component,),
            )
            said: dict[tuple[str, int], list[Range]] = {}
            for name, number, *rest in rows:
                said.setdefault((name, number), []).append(Range(*rest))
            self._ranges[component] = tuple(
                _Said(name, *self._about(number), tuple(held))
                for (name, number), ranges in said.items()
                if (held := begun(component, name, believed(ranges)))
            )
        return self._ranges[component]

    def _about(self, cve: int) -> tuple[float | None, SeverityWord, str | None, float | None]:
        """Score, or the severity in words where nobody gives one; day of known exploitation; probability of a CVE."""
        score = self._scores.get(cve)
        return None if isinstance(score, str) else score, severity_word(score), self._exploited.get(cve), self._likely.get(cve)

    @cached_property
    def _scores(self) -> dict[int, float | str]:
        rows = self._base.execute("SELECT cve, source.name, score FROM score JOIN source ON source.id = source").fetchall()
        place = {name: number for number, name in enumerate(_SCORED)}
        rows.sort(key=lambda row: (isinstance(row[2], str), place.get(row[1], len(place)), row[1]), reverse=True)
        return {cve: score for cve, _, score in rows}

    @cached_property
    def _exploited(self) -> dict[int, str]:
        return dict(self._base.execute("SELECT cve, since FROM exploited"))

    @cached_property
    def _likely(self) -> dict[int, float]:
        return dict(self._base.execute("SELECT cve, probability FROM likely"))

    def _endings(self, component: str) -> tuple[tuple[str, str, str], ...]:
        if component not in self._ends:
            rows = self._base.execute("SELECT branch, ended, source FROM ending WHERE component = ?", (component,))
            self._ends[component] = tuple(rows)
        return self._ends[component]

    def _last_release(self, component: str, version: str) -> str | None:
        numbers = _BRANCH.match(version)
        if component not in _END_WITH_LAST_RELEASE or numbers is None or not self.date:
            return None
        rows = self._base.execute("SELECT version, date FROM release WHERE component = ?", (component,)).fetchall()
        own = [date for release, date in rows if branch_of(release, numbers[0])]
        if not own and rows and all(compare(version, release) < 0 for release, _ in rows):
            oldest = ".".join(min((release for release, _ in rows), key=key).split(".")[:2])
            own = [date for release, date in rows if branch_of(release, oldest)]
        newer = any(compare(release, version) > 0 and not branch_of(release, numbers[0]) for release, _ in rows)
        year_before = f"{int(self.date[:4]) - 1}{self.date[4:]}"
        return max(own) if own and newer and max(own) < year_before else None

    def _affects(self, component: Component, each: Range, present: Mapping[str, Iterable[str | None]]) -> bool:
        version = component.version or ""
        if component.confidence == "tentative" and any(bound.startswith(f"{version}.") for bound in (each.first, each.last)):
            return False  # the version is told less exactly than the range asks
        first, last = each.first, each.last
        if component.name == "openssh":  # the mark of the portable edition is of no weight for a bound without one
            version, first, last = _unmarked(version, first, last)
        if not within(version, first, bool(each.inclusive & 1), last, bool(each.inclusive & 2)):
            return False
        if not holds(each.condition, present):
            return False
        # A statement older than the version cannot know of a fix that came to its branch since.
        branch = re.match(r"\d+\.\d+", version)
        same_branch = branch is not None and branch_of(each.last, branch[0])
        return same_branch or not each.as_of or (self.released(component) or "") <= each.as_of


def _unmarked(version: str, first: str, last: str) -> tuple[str, str, str]:
    """Version and bounds of OpenSSH, as far as the upper bound tells editions apart."""
    if _PATCH_LEVEL.search(last):
        return version, first, last
    return _PATCH_LEVEL.sub("", version), _PATCH_LEVEL.sub("", first), last


def bounds(told: str) -> tuple[str, str]:
    """First release and the release before which a range ends, of ``>=1.0 <1.2``; empty where it is open."""
    words = told.split()
    first = next((word[2:] for word in words if word.startswith(">=")), "")
    return first, next((word[1:] for word in words if word.startswith("<")), "")


def _meets(one: Range, first: str, before: str) -> bool:
    """Whether a release from ``first``, older than ``before``, may lie in the range."""
    if before and one.first and compare(one.first, before) >= 0:
        return False
    return not (first and one.last) or compare(first, one.last) < (1 if one.inclusive & 2 else 0)


def _covers(one: Range, first: str, before: str) -> bool:
    """Whether every release from ``first``, older than ``before``, lies in the range."""
    begins = not one.first or (bool(first) and compare(one.first, first) < (1 if one.inclusive & 1 else 0))
    return begins and (not one.last or (bool(before) and compare(before, one.last) <= 0))


def _known(each: _Said, hits: Sequence[Range]) -> Vulnerability:
    """A CVE whose ranges ``hits`` hold a component."""
    return Vulnerability(
        id=each.cve,
        score=each.score,
        severity=each.severity,
        known_exploited=each.exploited is not None,
        fixed_in=min((one.last for one in hits if one.last and not one.inclusive & 2), key=key, default=None),
        source=hits[0].source,
        epss=each.likely,
    )


def _rank(each: Vulnerability) -> tuple[bool, float, tuple[int, ...]]:
    """Known to be exploited first, then by score, then the newest."""
    return not each.known_exploited, -each.weight, _order(each.id)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(16)


def _order(cve: str) -> tuple[int, ...]:
    """Newest first."""
    return tuple(-int(number) for number in re.findall(r"\d+", cve))
