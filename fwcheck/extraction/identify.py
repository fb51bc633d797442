"""Signature search: one pass over a source gives every place where a registered format may begin."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from fwcheck.extraction.format import Format, Signature
from fwcheck.extraction.registry import registered
from fwcheck.extraction.source import ByteSource, Window

SCAN_CHUNK = 8 << 20
HIT_LIMIT = 20_000  # at once; the search goes on behind what they lead to
_DISORDER = 4096  # bytes within which matches of different signatures may come in any order

Hit = tuple[int, int, Format]  # offset, rank of the format, format
_Signed = tuple[int, Format, Signature]  # rank of the format, format, signature


class _Place(NamedTuple):
    """The signatures of one offset. Nearly every content is turned away by ``some``, the alternatives of all of them."""

    offset: int
    some: re.Pattern[bytes]
    each: list[tuple[int, Format, re.Pattern[bytes]]]


def _places(every: list[_Signed]) -> list[_Place]:
    by_offset: dict[int, list[_Signed]] = {}
    for one in every:
        by_offset.setdefault(one[2].offset, []).append(one)
    return [
        _Place(
            offset,
            re.compile(b"|".join(b"(?:%b)" % sign.pattern for _, _, sign in signed), re.DOTALL),
            [(rank, each, re.compile(sign.pattern, re.DOTALL)) for rank, each, sign in signed],
        )
        for offset, signed in by_offset.items()
    ]


class Signatures:
    """The compiled signatures of a set of formats."""

    def __init__(self, formats: tuple[Format, ...]) -> None:
        import hyperscan  # noqa: PLC0415  # 30 ms that `fwcheck --help` need not pay

        self._formats = formats
        every = [(rank, each, sign) for rank, each in enumerate(formats) for sign in each.signatures]
        self._anywhere = [one for one in every if one[2].anywhere]
        self._start = _places(every)
        self._overlap = max((sign.width for _, _, sign in self._anywhere), default=1) - 1
        self.head = max((sign.offset + sign.width for _, _, sign in every), default=0)
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=[sign.pattern for _, _, sign in self._anywhere],
            ids=list(range(len(self._anywhere))),
            elements=len(self._anywhere),
            flags=[hyperscan.HS_FLAG_DOTALL] * len(self._anywhere),
        )

    def everywhere(self, source: ByteSource, begin: int = 0) -> tuple[list[Hit], int]:
        """Places in ``source`` from ``begin`` on where a format may begin, sorted by offset and rank, and how far they reach.

        They reach to the end of the source, or to where HIT_LIMIT was met. Signatures that hold only at the beginning of a
        source are not in them: see :meth:`at_start`.
        """
        hits: set[tuple[int, int]] = set()
        overlap, base, last, tail = self._overlap, 0, 0, b""  # base: offset of the bytes being scanned; last: end of a match

        def found(index: int, _begin: int, end: int, _flags: int, _context: object) -> bool | None:
            nonlocal last
            rank, _, sign = self._anywhere[index]
            at = base + end - sign.width - sign.offset
            last = base + end
            if at >= begin:
                hits.add((at, rank))
            return True if len(hits) >= HIT_LIMIT else None

        # The seam between two chunks is scanned on its own; a hit wholly inside one chunk comes twice and counts once.
        for at in range(begin, source.size, SCAN_CHUNK):
            length = min(SCAN_CHUNK, source.size - at)
            if source.hole(at, length):
                tail = bytes(min(overlap, length))
                continue
            chunk = source.view(at, length)
            if tail:
                base = at - len(tail)
                self._scan(tail + bytes(chunk[:overlap]), found)
            base = at
            if len(hits) < HIT_LIMIT:
                self._scan(chunk, found)
            tail = bytes(chunk[-overlap:]) if overlap else b""
            source.release(at, length)
            if len(hits) >= HIT_LIMIT:
                break
        # Matches come nearly in the order of their ends: of what begins shortly before the last one some may still be missing.
        reach = max(begin, last - self.head - _DISORDER) if len(hits) >= HIT_LIMIT else source.size
        return [(at, rank, self._formats[rank]) for at, rank in sorted(hits) if at < reach], reach

    def _scan(self, data: bytes | memoryview, found: Callable[[int, int, int, int, object], bool | None]) -> None:
        import hyperscan  # noqa: PLC0415

        try:
            # The stubs of hyperscan leave memoryview out; its documentation and its C code take any buffer.
            self._database.scan(data, match_event_handler=found)  # type: ignore[type-var]
        except hyperscan.ScanTerminated:
            return

    def at_start(self, head: bytes | memoryview) -> list[Hit]:
        """The formats whose signature stands at the beginning of a source with these first bytes."""
        ranks: dict[int, Format] = {}
        for offset, some, each_of in self._start:
            if some.match(head, offset):
                ranks.update((rank, each) for rank, each, pattern in each_of if pattern.match(head, offset))
        return [(0, rank, each) for rank, each in sorted(ranks.items())]


@cache
def signatures() -> Signatures:
    """The signatures of all registered formats, compiled once per process."""
    return Signatures(registered())


class SignatureIndex:
    """Hits of one underlying source, found once and shared by all windows of it."""

    def __init__(self) -> None:
        self._hits: dict[int, tuple[ByteSource, int, int, list[Hit]]] = {}  # source, from, to, hits

    def hits(self, source: ByteSource, begin: int = 0) -> tuple[Iterator[Hit], int]:
        """Hits of ``source`` from ``begin`` on, in order, with offsets relative to it; and how far they reach.

        Where they end before the source does, the caller asks again for what lies behind, if it still wants to know.
        """
        base, shift = (source.parent, source.offset) if isinstance(source, Window) else (source, 0)
        wanted = shift + begin
        known = self._hits.get(id(base))
        if known is None or not known[1] <= wanted < known[2]:
            # The first search serves all windows; one that was cut short is taken up where somebody wants to know more.
            known = (base, 0, *signatures().everywhere(base)[::-1]) if known is None else None
            if known is None or wanted >= max(known[2], 1):
                known = (base, wanted, *signatures().everywhere(base, wanted)[::-1])
            self._hits[id(base)] = known  # with its source, whose id must not be given to another one
        _, _, reach, every = known
        low = bisect_left(every, shift + begin, key=lambda hit: hit[0])
        high = bisect_left(every, shift + source.size, key=lambda hit: hit[0])
        return self._inside(source, every, shift, low, high, begin), min(reach - shift, source.size)

    def clear(self) -> None:
        """Forgets all sources."""
        self._hits.clear()

    @staticmethod
    def _inside(source: ByteSource, every: list[Hit], shift: int, low: int, high: int, begin: int) -> Iterator[Hit]:
        first = low
        if begin == 0:
            first = bisect_left(every, shift + 1, low, high, key=lambda hit: hit[0])
            start = {rank: each for _, rank, each in every[low:first] + signatures().at_start(source.peek(0, signatures().head))}
            yield from ((0, rank, start[rank]) for rank in sorted(start))
        for index in range(first, high):
            at, rank, each = every[index]
            yield at - shift, rank, each


__all__ = ["Hit", "Signature", "SignatureIndex", "Signatures", "signatures"]
