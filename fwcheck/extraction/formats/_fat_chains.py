"""What FAT and exFAT share: chains of clusters in an allocation table, and times in the form DOS gave them.

A cluster belongs to one chain. Every chain that is followed marks its clusters, so that following all of them costs no more than
there are clusters, whatever a hostile directory says.
"""

from __future__ import annotations

import calendar
from array import array
from collections.abc import Sequence
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Entry
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined

RUNS = 200_000  # pieces of one file


class Chain(msgspec.Struct, kw_only=True):
    """A chain as runs of neighbouring clusters: first cluster and count, flattened; ``ended`` with its own end mark."""

    runs: array[int]
    clusters: int
    ended: bool = False
    complaint: str = ""


class Heap:
    """The clusters of a volume: ``at`` is where cluster 2 lies in ``source``."""

    def __init__(self, source: ByteSource, table: Sequence[int], at: int, cluster: int, count: int, end_mark: int) -> None:
        self.source = source
        self.cluster = cluster
        self._table = table
        self._at = at
        self._end_mark = end_mark  # this and greater values end a chain
        self._mask = end_mark | 0xF
        self._present = min(count, max(0, (source.size - at) // cluster), max(0, len(table) - 2))
        self._count = count
        self._used = bytearray(self._present + 2)
        self._shared = self._present  # steps allowed on clusters that another chain has marked already

    def chain(self, first: int, wanted: int, *, alone: bool = False) -> Chain:
        """The chain that begins with ``first``, at most ``wanted`` clusters of it; with ``alone`` up to one used before."""
        runs: array[int] = array("Q")
        table, used, mask, last = self._table, self._used, self._mask, self._present + 2
        number, left, begin, previous, complaint, ended = first, wanted, first, first - 1, "", False
        while left:
            if not 2 <= number < last:
                ended = number >= self._end_mark and left < wanted
                complaint = complaint if ended else self._complaint(number)
                break
            if used[number]:
                complaint = "it shares clusters with another chain, or with itself"
                self._shared -= 1
                if alone or self._shared < 0:
                    break
            used[number] = 1
            if number != previous + 1:
                runs.extend((begin, previous + 1 - begin))
                begin = number
                if len(runs) > 2 * RUNS:
                    raise QuotaExceeded(f"a file in more than {RUNS} pieces")
            previous = number
            left -= 1
            number = table[number] & mask
        if previous >= begin:
            runs.extend((begin, previous + 1 - begin))
        return Chain(runs=runs, clusters=wanted - left, ended=ended, complaint=complaint)

    def contiguous(self, first: int, wanted: int) -> Chain:
        """``wanted`` clusters from ``first`` on, allocated without a chain (exFAT)."""
        if wanted and not 2 <= first < self._count + 2:
            return Chain(runs=array("Q"), clusters=0, complaint=f"cluster {first} is outside the volume")
        there = max(0, min(wanted, self._present + 2 - first))
        complaint = "" if there == wanted else "clusters behind the end"
        if self._used.find(1, first, first + there) >= 0:
            complaint = "it shares clusters with another file"
        self._used[first : first + there] = b"\1" * there
        return Chain(runs=array("Q", (first, there)) if there else array("Q"), clusters=there, complaint=complaint)

    def _complaint(self, number: int) -> str:
        if 2 <= number < self._count + 2:
            return f"cluster {number} lies behind the end of what is there"
        return f"its chain leads to cluster 0x{number:x}, which is none"

    def place(self, cluster: int) -> int:
        """The offset of a cluster in ``source``."""
        return self._at + (cluster - 2) * self.cluster

    def content(self, runs: array[int], size: int) -> ByteSource:
        """The first ``size`` bytes of these runs; raises FormatError when they are fewer."""
        pieces: list[ByteSource | int] = []
        left = size
        for index in range(0, len(runs), 2):
            length = min(left, runs[index + 1] * self.cluster)
            pieces.append(self.source.window(self.place(runs[index]), length))
            left -= length
        if left:
            raise FormatError(f"{left} bytes of {size} are in no cluster")
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], ByteSource) else Joined(pieces)


def place(heap: Heap, entry: Entry, cluster: int, offset: int, problems: list[str], *, chained: bool = True) -> None:
    """Finds the clusters of a file of ``entry.size`` bytes and sets how to read it; what is missing shortens it."""
    wanted = -(-entry.size // heap.cluster)
    try:
        chain = heap.chain(cluster, wanted) if chained else heap.contiguous(cluster, wanted)
    except QuotaExceeded as error:
        note(problems, f"{entry.path}: {error}")
        return
    if chain.complaint:
        note(problems, f"{entry.path}: {chain.complaint}")
    if chain.clusters < wanted:
        if chain.ended:
            note(problems, f"{entry.path}: its chain ends {wanted - chain.clusters} clusters too early")
        entry.detail = {**entry.detail, "stored_size": entry.size}
        entry.size = chain.clusters * heap.cluster
    if not chain.runs:
        return
    entry.locality = offset + heap.place(chain.runs[0])
    if len(chain.runs) == 2:
        entry.offset = entry.locality
        entry.open = partial(heap.source.window, heap.place(chain.runs[0]), entry.size)
    else:
        entry.open = partial(heap.content, chain.runs, entry.size)


def dos_time(date: int, time: int) -> int:
    """A date and time of a directory entry as seconds since 1970, taken for UTC: FAT stores local time. 0 for none."""
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return 0
    return calendar.timegm((year, month, day, time >> 11, time >> 5 & 63, (time & 31) * 2))
