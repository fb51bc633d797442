"""One pass over a content for all built-in byte patterns: version banners, secret shapes, key candidates.

hyperscan finds where a pattern ends (1.4 GB/s for hundreds of patterns); ``re`` then reads the exact match and its groups in a
window around that place. Patterns are written in the dialect that both share. Where hyperscan does not run (it needs SSSE3 or
NEON), ``re`` does the whole pass: far slower, the same result.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

REACH = 512  # bytes of a match that lie before its end; longer matches are found from there on
_AFTER = 256  # bytes behind a candidate that its match may go on
_CLUSTER = _AFTER // 2  # a candidate this close behind another lies in its window already
_PER_PATTERN = 1024  # candidates kept of one pattern
_PER_CONTENT = 50_000  # candidates after which a content counts as noise: the rest is then looked at once per pattern
# Constructs that hyperscan only approximates: such patterns are compiled as a filter, and decided by ``re`` like all others.
_APPROXIMATE = re.compile(rb"\(\?<?[=!]|\\[bB]|\\[1-9]|\(\?P=")


class Pattern(NamedTuple):
    """A pattern with the name its matches are reported under. ``regex`` is for bytes; flags stand inline: ``(?i)...``.

    ``find`` is a simpler expression for hyperscan, where ``regex`` itself would be dear to compile: it has to match inside every
    match of ``regex``, within its first 512 bytes.
    """

    id: str
    regex: bytes
    find: bytes = b""

    @property
    def native(self) -> bytes:
        """The expression that hyperscan looks for."""
        return self.find or self.regex


class Needle(NamedTuple):
    """Bytes of which only the presence is asked; with ``nocase`` they are lower case and stand for both cases of ASCII."""

    data: bytes
    nocase: bool


class Scan(NamedTuple):
    """Matches by pattern id, in order of offset, and whether some were left out because there were too many.

    ``seen`` are the needles of the set that stand in the content; None: not known, any may.
    """

    matches: dict[str, list[re.Match[bytes]]]
    noisy: bool
    seen: frozenset[Needle] | None = None


class _Regexes:
    """The patterns as ``re`` objects, each compiled when first needed: most never match anything in an image."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._compiled: dict[int, re.Pattern[bytes]] = {}

    def __getitem__(self, index: int) -> re.Pattern[bytes]:
        """The pattern at ``index``; raises ValueError naming it when ``re`` does not take it."""
        if index not in self._compiled:
            pattern = self._patterns[index]
            try:
                self._compiled[index] = re.compile(pattern.regex)
            except re.error as error:
                raise ValueError(f"pattern {pattern.id}: {error}") from None
        return self._compiled[index]


class PatternSet:
    """Patterns compiled together."""

    def check(self) -> None:
        """Raises ValueError naming the first pattern that ``re`` does not take."""
        for index in range(len(self._patterns)):
            self._regexes[index]

    def __init__(self, patterns: Sequence[Pattern], needles: Sequence[Needle] = (), *, native: bool = True) -> None:
        self._patterns = tuple(patterns)
        self._needles = tuple(needles)
        self._native = native
        self._local = threading.local()
        self._regexes = _Regexes(self._patterns)

    def scan(self, content: bytes, limit: int = 64) -> Scan:
        """All matches, at most ``limit`` of one pattern. Never raises for any bytes."""
        if not content:
            return Scan({}, noisy=False)
        ends, noisy, seen = self._candidates(content)
        matches: dict[str, list[re.Match[bytes]]] = {}
        for index, places in ends.items():
            found = list(_take(_read(self._regexes[index], content, places), limit))
            if found:
                matches[self._patterns[index].id] = found
        for index in self._unfit:
            found = list(_take(self._regexes[index].finditer(content), limit))
            if found:
                matches[self._patterns[index].id] = found
        return Scan(matches, noisy, seen)

    @property
    def fingerprint(self) -> str:
        """Changes with everything that is compiled: names what :meth:`dump` gave."""
        return hashlib.sha256(repr((self._patterns, self._needles)).encode()).hexdigest()[:16]

    @property
    def ready(self) -> bool:
        """Whether the database is there already: compiled, or restored."""
        return "_compiled" in self.__dict__

    @property
    def native(self) -> bool:
        """Whether hyperscan does the pass."""
        return self._database is not None

    @cached_property
    def _database(self) -> Any:
        """The compiled database; None where hyperscan is missing or refuses the processor."""
        return self._compiled[1]

    @cached_property
    def _single(self) -> Any:
        """The same patterns, each reported once per scan: for contents that would otherwise call back without end."""
        return self._try(_hyperscan(), self._fit, single=True)

    @property
    def _fit(self) -> list[int]:
        """Indices of the patterns that hyperscan takes."""
        return self._compiled[0]

    @cached_property
    def _unfit(self) -> list[int]:
        fit = set(self._fit)
        return [index for index in range(len(self._patterns)) if index not in fit]

    @cached_property
    def _compiled(self) -> tuple[list[int], Any]:
        """Which patterns hyperscan takes (asked one by one only when it refuses the whole set), and their database."""
        if not self._native or (hyperscan := _hyperscan()) is None:
            return [], None
        everything = list(range(len(self._patterns)))
        if (database := self._try(hyperscan, everything, single=False)) is not None:
            return everything, database
        fit = [index for index in everything if self._try(hyperscan, [index], single=False) is not None]
        return fit, self._try(hyperscan, fit, single=False) if fit else None

    def dump(self) -> bytes | None:
        """The compiled database as bytes, for :meth:`restore` on this machine; None when there is none for all patterns."""
        if self._database is None or self._unfit:
            return None
        return bytes(_hyperscan().dumpb(self._database))

    def restore(self, data: bytes) -> bool:
        """Takes a database that :meth:`dump` wrote for the same patterns instead of compiling; False when it does not fit.

        The bytes are trusted like code: they have to come from a place that only this user can write to.
        """
        hyperscan = _hyperscan()
        if hyperscan is None or not self._native or "_compiled" in self.__dict__:
            return False
        try:
            database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
        except (hyperscan.HyperscanError, ValueError, TypeError):
            return False
        self.__dict__["_compiled"] = (list(range(len(self._patterns))), database)
        return True

    def _try(self, hyperscan: Any, indices: list[int], *, single: bool) -> Any:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        once = hyperscan.HS_FLAG_SINGLEMATCH if single else 0
        flags = [
            once | (hyperscan.HS_FLAG_PREFILTER if _APPROXIMATE.search(self._patterns[index].native) else 0) for index in indices
        ]
        expressions = [self._patterns[index].native for index in indices]
        ids = list(indices)
        if not single:
            # Numbered behind the patterns. A needle costs the compiler next to nothing, and the scan one report.
            expressions += [b"".join(b"\\x%02x" % byte for byte in needle.data) for needle in self._needles]
            ids += range(len(self._patterns), len(self._patterns) + len(self._needles))
            nocase = hyperscan.HS_FLAG_CASELESS
            flags += [hyperscan.HS_FLAG_SINGLEMATCH | (nocase if needle.nocase else 0) for needle in self._needles]
        try:
            database.compile(expressions=expressions, ids=ids, elements=len(ids), flags=flags)
        except hyperscan.HyperscanError:
            return None
        return database

    def _candidates(self, content: bytes) -> tuple[dict[int, list[int]], bool, frozenset[Needle] | None]:
        """Where matches may end, by pattern index, ascending; whether some are left out; the needles seen."""
        ends: dict[int, list[int]] = {}
        if self._database is None:
            return ends, False, None
        patterns = len(self._patterns)
        seen: list[Needle] = []
        total = 0
        reached = 0
        lost = False

        def note(index: int, _start: int, end: int, _flags: int, _context: object) -> bool | None:
            nonlocal total, reached, lost
            if index >= patterns:
                seen.append(self._needles[index - patterns])
                return None
            places = ends.setdefault(index, [])
            if not places or not places[-1] <= end <= places[-1] + _CLUSTER:
                if len(places) < _PER_PATTERN:
                    places.append(end)
                else:
                    lost = True
            total += 1
            reached = max(reached, end)
            return True if total >= _PER_CONTENT else None

        if self._run("database", self._database, content, note):
            return ends, lost, frozenset(seen) if self._needles else None
        rest_at = max(reached - REACH, 0)

        def note_rest(index: int, _start: int, end: int, _flags: int, _context: object) -> None:
            ends.setdefault(index, []).append(rest_at + end)

        self._run("single", self._single, memoryview(content)[rest_at:], note_rest)
        return ends, True, None

    def _run(self, name: str, database: Any, content: bytes | memoryview, note: Any) -> bool:
        """One scan with this thread's scratch space; False when ``note`` ended it early."""
        hyperscan = _hyperscan()
        scratch = getattr(self._local, name, None)
        if scratch is None:
            scratch = hyperscan.Scratch(database)
            setattr(self._local, name, scratch)
        try:
            database.scan(content, match_event_handler=note, scratch=scratch)
        except hyperscan.ScanTerminated:
            return False
        return True


def _hyperscan() -> Any:
    try:
        import hyperscan  # noqa: PLC0415  # processes that inspect nothing do without it
    except (ImportError, OSError):
        return None
    return hyperscan


def _read(regex: re.Pattern[bytes], content: bytes, places: Sequence[int]) -> Iterator[re.Match[bytes]]:
    """The matches around candidate ends, in order and without overlap."""
    done = -1
    for end in sorted(places):
        if end <= done:
            continue
        stop = min(end + _AFTER, len(content))
        for match in regex.finditer(content, max(end - REACH, done, 0), stop):
            if match.end() <= done:
                continue
            # A match that reaches the window's edge is read again without the edge.
            whole = regex.match(content, match.start()) if match.end() == stop < len(content) else match
            if whole is not None and whole.end() > done:
                done = whole.end()
                yield whole


def _take(matches: Iterator[re.Match[bytes]], limit: int) -> Iterator[re.Match[bytes]]:
    for count, match in enumerate(matches):
        if count >= limit:
            return
        yield match
