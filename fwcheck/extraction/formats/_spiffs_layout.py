"""Where a SPIFFS volume lies: page size, block size, first block and number of blocks, none of which it has a header for.

A block begins with lookup pages: one number (16 bits, little-endian) for each page behind them, which that page's own header
repeats. The last but one number of the lookup pages is the magic, 0x0529 XOR page size, in most builds XOR the number of blocks
from this one to the end; the last one counts how often the block was erased.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from
from typing import Literal

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.source import ByteSource

MAGIC = 0x0529
PAGE_SIZES = (256, 512, 1024, 2048, 4096)
BLOCK_SIZES = (4096, 8192, 16384, 32768, 65536, 131072)
FREE, DELETED, INDEX = 0xFFFF, 0, 0x8000
BLOCKS = 65536
JUDGED = 32  # blocks that decide between two shapes
FLAGS, UNUSED_FLAGS = 0x39, 0x38  # bit 0 is cleared when a page is used, bits 3 to 5 mean nothing

Magic = Literal["with length", "without length", "none"]


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes; ``begin`` is where block 0 lies in the source."""

    begin: int
    page: int
    block: int
    count: int
    magic: Magic

    @property
    def lookups(self) -> int:
        """Lookup pages of a block."""
        return lookup_pages(self.page, self.block)

    @property
    def pages(self) -> int:
        """Pages of a block, those for lookup among them."""
        return self.block // self.page


def lookup_pages(page: int, block: int) -> int:
    """How many pages of a block hold the numbers of the others."""
    return max(1, block // page * 2 // page)


def around(source: ByteSource, at: int) -> Geometry:
    """The volume whose object header is the page at ``at``; raises FormatError."""
    wanted = source.peek(at, 2)
    best: tuple[int, Geometry] | None = None
    for page in PAGE_SIZES:
        for block in BLOCK_SIZES:
            lookups = lookup_pages(page, block)
            if block // page < 4 or lookups >= block // page:
                continue
            for number in range(lookups, block // page):
                first = at - number * page
                entry = first + 2 * (number - lookups)
                if first >= 0 and source.peek(entry, 2) == wanted and (found := _extended(source, first, page, block)):
                    score = _score(source, found)
                    best = (score, found) if best is None or score > best[0] else best
    if best is None or best[0] < 1:
        raise FormatError("no SPIFFS block around an object header")
    return best[1]


def _score(source: ByteSource, found: Geometry) -> int:
    """How much of a volume of this shape agrees with it: half a block of another shape may look right by itself."""
    total = 0
    for index in range(min(found.count, JUDGED)):
        at = found.begin + index * found.block
        if at + found.block > source.size:
            break
        if not consistent(source, at, found.page, found.block):
            total -= 100
            continue
        total += _held(source, at, found.page, found.block)
        expected = found.count - index if found.magic == "with length" else 0
        total += 10 if found.magic != "none" and _left(source, at, found.page, found.block) == expected else 0
    return total


def at_start(source: ByteSource, offset: int) -> Geometry:
    """An empty volume: blocks that hold nothing but their magic."""
    for page in PAGE_SIZES:
        for block in BLOCK_SIZES:
            if block // page < 4:
                continue
            left = _left(source, offset, page, block)
            if left is None or (left and left < 2):
                continue
            found = _extended(source, offset, page, block)
            if found is not None and found.begin == offset:
                return found
    raise FormatError("no empty SPIFFS volume")


def _left(source: ByteSource, first: int, page: int, block: int) -> int | None:
    """Blocks from this one to the end as its magic tells, 0 for a magic that does not tell; None for no magic."""
    raw = source.peek(first + lookup_pages(page, block) * page - 4, 2)
    if len(raw) < 2 or raw == b"\xff\xff":
        return None
    return int.from_bytes(raw, "little") ^ MAGIC ^ page


def _extended(source: ByteSource, first: int, page: int, block: int) -> Geometry | None:
    """The volume around the block at ``first``, when that block holds what its lookup pages say."""
    if first + block > source.size or not consistent(source, first, page, block):
        return None
    left = _left(source, first, page, block)
    if left == 0:
        return _run(source, first, page, block, "without length")
    if left is not None and left < BLOCKS:
        begin, count = first, left
        while begin >= block and _left(source, begin - block, page, block) == count + 1:
            begin, count = begin - block, count + 1
        following = first + block
        if left == 1 or following + block > source.size or _left(source, following, page, block) == left - 1:
            # A lone block proves nothing but by what it holds; a neighbour that counts on is proof enough.
            proof = (left > 1 and following + block <= source.size) or begin < first
            if proof or _held(source, first, page, block) > 1:
                return Geometry(begin=begin, page=page, block=block, count=count, magic="with length")
    return _run(source, first, page, block, "none") if _held(source, first, page, block) > 1 else None


def _run(source: ByteSource, first: int, page: int, block: int, magic: Magic) -> Geometry:
    """Neighbouring blocks that look alike, where nothing says how many there are."""

    def alike(at: int) -> bool:
        if at < 0 or at + block > source.size:
            return False
        if magic == "without length":
            return _left(source, at, page, block) == 0
        return _held(source, at, page, block) > 0 and consistent(source, at, page, block)

    begin, end = first, first + block
    while alike(begin - block) and (end - begin) // block < BLOCKS:
        begin -= block
    while alike(end) and (end - begin) // block < BLOCKS:
        end += block
    return Geometry(begin=begin, page=page, block=block, count=(end - begin) // block, magic=magic)


def entries(source: ByteSource, first: int, page: int, block: int) -> Iterator[tuple[int, int]]:
    """The numbers of the lookup pages with the offsets of the pages they stand for; free and deleted pages are left out."""
    lookups = lookup_pages(page, block)
    for index, number in enumerate(unpack_from(f"<{block // page - lookups}H", source.read(first, lookups * page))):
        if number not in (FREE, DELETED):
            yield number, first + (lookups + index) * page


def _held(source: ByteSource, first: int, page: int, block: int) -> int:
    return sum(1 for _ in entries(source, first, page, block))


def consistent(source: ByteSource, first: int, page: int, block: int) -> bool:
    """Whether every page in use carries the number that the lookup pages give it, and flags that there are."""
    for number, at in entries(source, first, page, block):
        owner, flags = unpack_from("<HxxB", source.view(at, 5))
        if owner != number or flags & FLAGS != UNUSED_FLAGS:
            return False
    return True
