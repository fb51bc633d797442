"""Signature search: one pass over a source gives every place where a registered format may begin."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache

from fwcheck.extraction.format import Format, Signature
from fwcheck.extraction.registry import registered
from fwcheck.extraction.source import ByteSource, Window

SCAN_CHUNK = 8 << 20
HIT_LIMIT = 100_000  # per source: a source full of magics is an attack, not an image

Hit = tuple[int, int, Format]  # offset, rank of the format, format


class Signatures:
    """The compiled signatures of a set of formats."""

    def __init__(self, formats: tuple[Format, ...]) -> None:
        import hyperscan  # noqa: PLC0415  # 30 ms that `fwcheck --help` need not pay

        self._formats = formats
        every = [(rank, each, sign) for rank, each in enumerate(formats) for sign in each.signatures]
        self._anywhere = [one for one in every if one[2].anywhere]
        self._start = [(rank, each, sign, re.compile(sign.pattern, re.DOTALL)) for rank, each, sign in every]
        self._overlap = max((sign.width for _, _, sign in self._anywhere), default=1) - 1
        self.head = max((sign.offset + sign.width for _, _, sign in every), default=0)
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=[sign.pattern for _, _, sign in self._anywhere],
            ids=list(range(len(self._anywhere))),
            elements=len(self._anywhere),
            flags=[hyperscan.HS_FLAG_DOTALL] * len(self._anywhere),
        )

    def everywhere(self, source: ByteSource) -> tuple[list[Hit], bool]:
        """All places in ``source`` where a format may begin, sorted by offset and rank; True when HIT_LIMIT was reached.

        Signatures that hold only at the beginning of a source are not in it: see :meth:`at_start`.
        """
        hits: set[tuple[int, int]] = set()
        overlap, base, tail = self._overlap, 0, b""  # base: offset of the bytes being scanned

        def found(index: int, _begin: int, end: int, _flags: int, _context: object) -> bool | None:
            rank, _, sign = self._anywhere[index]
            at = base + end - sign.width - sign.offset
            if at >= 0:
                hits.add((at, rank))
            return True if len(hits) >= HIT_LIMIT else None

        # The seam between two chunks is scanned on its own; a hit wholly inside one chunk comes twice and counts once.
        for at in range(0, source.size, SCAN_CHUNK):
            length = min(SCAN_CHUNK, source.size - at)
            if source.hole(at, length):
                tail = bytes(min(overlap, length))
                continue
            chunk = source.view(at, length)
            if tail:
                base = at - len(tail)
                self._scan(tail + bytes(chunk[:overlap]), found)
            base = at
            self._scan(chunk, found)
            tail = bytes(chunk[-overlap:]) if overlap else b""
            source.release(at, length)
            if len(hits) >= HIT_LIMIT:
                break
        return [(at, rank, self._formats[rank]) for at, rank in sorted(hits)], len(hits) >= HIT_LIMIT

    def _scan(self, data: bytes | memoryview, found: Callable[[int, int, int, int, object], bool | None]) -> None:
        import hyperscan  # noqa: PLC0415

        try:
            # The stubs of hyperscan leave memoryview out; its documentation and its C code take any buffer.
            self._database.scan(data, match_event_handler=found)  # type: ignore[type-var]
        except hyperscan.ScanTerminated:
            return

    def at_start(self, head: bytes) -> list[Hit]:
        """The formats whose signature stands at the beginning of a source with these first bytes."""
        ranks: dict[int, Format] = {}
        for rank, each, sign, pattern in self._start:
            if rank not in ranks and pattern.match(head, sign.offset):
                ranks[rank] = each
        return [(0, rank, each) for rank, each in sorted(ranks.items())]


@cache
def signatures() -> Signatures:
    """The signatures of all registered formats, compiled once per process."""
    return Signatures(registered())


class SignatureIndex:
    """Hits of one underlying source, found once and shared by all windows of it."""

    def __init__(self) -> None:
        self._hits: dict[int, tuple[ByteSource, list[Hit], bool]] = {}

    def hits(self, source: ByteSource) -> tuple[Iterator[Hit], bool]:
        """Hits of ``source`` in order, with offsets relative to it, and whether the search was cut short."""
        base, shift = (source.parent, source.offset) if isinstance(source, Window) else (source, 0)
        if id(base) not in self._hits:
            # The source is kept with its hits: its id must not be given to another one.
            self._hits[id(base)] = (base, *signatures().everywhere(base))
        _, every, cut = self._hits[id(base)]
        low = bisect_left(every, shift, key=lambda hit: hit[0])
        high = bisect_left(every, shift + source.size, key=lambda hit: hit[0])
        return self._inside(source, every, shift, low, high), cut

    def clear(self) -> None:
        """Forgets all sources."""
        self._hits.clear()

    @staticmethod
    def _inside(source: ByteSource, every: list[Hit], shift: int, low: int, high: int) -> Iterator[Hit]:
        first = bisect_left(every, shift + 1, low, high, key=lambda hit: hit[0])
        start = {rank: each for _, rank, each in every[low:first] + signatures().at_start(source.peek(0, signatures().head))}
        yield from ((0, rank, start[rank]) for rank in sorted(start))
        for index in range(first, high):
            at, rank, each = every[index]
            yield at - shift, rank, each


__all__ = ["Hit", "Signature", "SignatureIndex", "Signatures", "signatures"]
