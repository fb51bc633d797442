"""Signature search: one pass over a source gives every place where a registered format may begin."""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache

from fwcheck.extraction.format import Format, Signature
from fwcheck.extraction.index import Index, Sign, load
from fwcheck.extraction.source import ByteSource, Window

SCAN_CHUNK = 8 << 20
HIT_LIMIT = 20_000  # at once; the search goes on behind what they lead to
_RUN = 64 << 10
_FILLERS = {0: bytes(_RUN), 0xFF: b"\xff" * _RUN}  # padding and erased flash
_DISORDER = 4096  # bytes within which matches of different signatures may come in any order

Hit = tuple[int, int, Format]  # offset, rank of the format, format


class _Place:
    """The signatures of one offset, by the byte they begin with: nearly every content is turned away by a look at one byte."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._signed: list[tuple[int, Sign]] = []
        self.known: list[tuple[tuple[int, re.Pattern[bytes]], ...] | None] = [None] * 256

    def add(self, rank: int, sign: Sign) -> None:
        self._signed.append((rank, sign))

    def candidates(self, first: int) -> tuple[tuple[int, re.Pattern[bytes]], ...]:
        """Rank and pattern of the signatures that may begin with this byte; compiled when it is met for the first time."""
        found = self.known[first] = tuple(
            (rank, re.compile(sign.pattern, re.DOTALL))
            for rank, sign in self._signed
            if sign.first[first >> 3] >> (first & 7) & 1
        )
        return found


class Signatures:
    """The compiled signatures of a set of formats."""

    def __init__(self, index: Index, formats: tuple[Format, ...]) -> None:
        import hyperscan  # noqa: PLC0415  # 30 ms that `fwcheck --help` need not pay

        self._formats = formats
        every = [(rank, sign) for rank, row in enumerate(index.rows) for sign in row.signatures]
        self._anywhere = [one for one in every if one[1].anywhere]
        self._whole: dict[int, re.Pattern[bytes]] = {}
        places: dict[int, _Place] = {}
        for rank, sign in every:
            places.setdefault(sign.offset, _Place(sign.offset)).add(rank, sign)
        self._start = list(places.values())
        self._overlap = max((sign.width for _, sign in self._anywhere), default=1) - 1
        self.head = max((sign.offset + sign.width for _, sign in every), default=0)
        self._searches = index.searches
        self._database = hyperscan.loadb(index.database, mode=hyperscan.HS_MODE_BLOCK)
        self._scratch = hyperscan.Scratch(self._database)

    @property
    def count(self) -> int:
        """How many signatures are looked for at every offset."""
        return len(self._anywhere)

    def searches(self) -> list[tuple[str, bytes]]:
        """The expressions the pass looks for, each with the name of the format it stands for."""
        return [
            (self._formats[self._anywhere[number][0]].name, each.expression)
            for each in self._searches
            for number in each.signatures
        ]

    def everywhere(self, source: ByteSource, begin: int = 0) -> tuple[list[Hit], int]:
        """Places in ``source`` from ``begin`` on where a format may begin, sorted by offset and rank, and how far they reach.

        They reach to the end of the source, or to where HIT_LIMIT was met. Signatures that hold only at the beginning of a
        source are not in them: see :meth:`at_start`.
        """
        hits: set[tuple[int, int]] = set()
        last = 0  # where the last match ended
        for at, data in self._stretches(source, begin):
            last = self._scan(source, at, data, begin, hits) or last
            if len(hits) >= HIT_LIMIT:
                break
        # Matches come nearly in the order of their ends: of what begins shortly before the last one some may still be missing.
        reach = max(begin, last - self.head - _DISORDER) if len(hits) >= HIT_LIMIT else source.size
        return [(at, rank, self._formats[rank]) for at, rank in sorted(hits) if at < reach], reach

    def _stretches(self, source: ByteSource, begin: int) -> Iterator[tuple[int, bytes | memoryview]]:
        """The source in pieces that overlap by what a match across their seam needs; long runs of one byte are left out."""
        overlap, tail = self._overlap, b""
        for at in range(begin, source.size, SCAN_CHUNK):
            length = min(SCAN_CHUNK, source.size - at)
            if source.hole(at, length):
                tail = bytes(min(overlap, length))
                continue
            chunk = source.view(at, length)
            if tail:
                yield at - len(tail), tail + bytes(chunk[:overlap])
            for low, high in _uneven(chunk, overlap):
                yield at + low, chunk[low:high]
            tail = bytes(chunk[-overlap:]) if overlap else b""
            source.release(at, length)

    def _scan(self, source: ByteSource, base: int, data: bytes | memoryview, begin: int, hits: set[tuple[int, int]]) -> int:
        """Adds the places in ``data``, which stands at ``base`` of the source; the end of the last match in it, 0 without one."""
        import hyperscan  # noqa: PLC0415

        searches, anywhere, size, last = self._searches, self._anywhere, len(data), 0

        def found(index: int, _begin: int, end: int, _flags: int, _context: object) -> bool | None:
            nonlocal last
            search = searches[index]
            start = end - search.end
            last = base + end
            if search.anchor:
                width = anywhere[search.signatures[0]][1].width
                inside = start >= 0 and start + width <= size
                # What the seam cuts is compared in the source itself.
                whole = data if inside else source.peek(base + start, width)
                if self._pattern(search.signatures[0]).match(whole, start if inside else 0) is None:
                    return None
            for number in search.signatures:
                rank, sign = anywhere[number]
                at = base + start - sign.offset
                if at >= begin:
                    hits.add((at, rank))
            return True if len(hits) >= HIT_LIMIT else None

        with contextlib.suppress(hyperscan.ScanTerminated):
            # The stubs of hyperscan leave memoryview out; its documentation and its C code take any buffer.
            self._database.scan(data, match_event_handler=found, scratch=self._scratch)  # type: ignore[type-var]
        return last

    def _pattern(self, number: int) -> re.Pattern[bytes]:
        known = self._whole.get(number)
        if known is None:
            known = self._whole[number] = re.compile(self._anywhere[number][1].pattern, re.DOTALL)
        return known

    def at_start(self, head: bytes | memoryview) -> list[Hit]:
        """The formats whose signature stands at the beginning of a source with these first bytes."""
        ranks: set[int] = set()
        size = len(head)
        for place in self._start:
            at = place.offset
            if at >= size:
                continue
            first = head[at]
            candidates = place.known[first]
            for rank, pattern in place.candidates(first) if candidates is None else candidates:
                if pattern.match(head, at):
                    ranks.add(rank)
        return [(0, rank, self._formats[rank]) for rank in sorted(ranks)]


def _uneven(chunk: memoryview, margin: int) -> Iterator[tuple[int, int]]:
    """The stretches of a chunk that are not one byte over and over, with a margin on both sides, in order."""
    begin: int | None = None
    before = -1  # the byte the block before consists of
    for at in range(0, len(chunk), _RUN):
        block = chunk[at : at + _RUN]
        even = block[0] in _FILLERS and bytes(block) == _FILLERS[block[0]][: len(block)]
        if begin is None and not even:
            begin = max(0, at - margin)
        elif begin is not None and even and at - begin > _RUN:
            yield begin, min(len(chunk), at + margin)
            begin = None
        elif begin is None and before not in {-1, block[0]}:  # zeros, then 0xFF: something may begin where they meet
            yield max(0, at - margin), min(len(chunk), at + margin)
        before = block[0] if even else -1
    if begin is not None:
        yield begin, len(chunk)


@cache
def signatures() -> Signatures:
    """The signatures of all registered formats."""
    return Signatures(*load())


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
