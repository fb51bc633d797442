"""From erase blocks to the map of logical blocks, as attaching a UBI device by full scan does it.

Where two physical blocks claim one logical block the higher sequence number holds, unless it is a copy (wear levelling, bit-flip
scrubbing) that was cut short: then the checksum of its data is wrong, and the older block holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.formats._checksums import crc32_plain
from fwcheck.extraction.formats._ubi_layout import (
    EC_MAGIC,
    HEADER,
    LAYOUT_VOLUME,
    EraseCounter,
    Identifier,
    erase_counter,
    identifier,
)
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

PEB_MIN, PEB_MAX = 512, 16 << 20
LONE_PEB = 128 << 10  # when one block is all there is: the usual size on NAND with pages of 2 KiB
SAMPLES = 256  # headers that tell the size of a block
REACH = 64 << 20  # bytes searched for them
FOREIGN = 64  # blocks in a row that are neither UBI's nor erased: the partition has ended
ERASED = b"\xff" * HEADER


class Block(msgspec.Struct, frozen=True):
    """A physical block that holds a logical one."""

    at: int
    identifier: Identifier


class Scan:
    """All blocks of the device that begins at ``offset``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.source = source
        self.offset = offset
        first = erase_counter(source.peek(offset, HEADER))
        if first is None:
            raise FormatError("no UBI erase counter header")
        self.first = first
        self.image = first.image
        self.peb = self._peb_size()
        if source.size - offset < first.data_offset:
            raise Truncated("the image ends before the data of the first UBI block")
        self.problems: list[str] = []
        self.volumes: dict[int, dict[int, Block]] = {}
        self.counts: list[int] = []  # erase counters
        self.free = self.stale = self.damaged = 0
        self._limit = limits.nodes * 4
        self.end = self._blocks()
        if self.damaged:
            note(self.problems, f"{self.damaged} blocks have a broken header: without the volume's header a block is left out")

    def _peb_size(self) -> int:
        """The step whose grid meets most of the headers that have the layout of the first with the fewest places.

        Headers that lie beside the grid are those of a device stored in a volume of this one.
        """
        found = [at - self.offset for at in self._headers()]
        steps = Counter(step for before, after in pairwise(found) if (step := after - before) > self.first.data_offset)
        if not steps:
            rest = self.source.size - self.offset
            return rest if PEB_MIN <= rest <= PEB_MAX and rest & (rest - 1) == 0 else LONE_PEB
        likely = sorted(step for step, _ in steps.most_common(8))
        return max(likely, key=lambda step: step * sum(at % step == 0 for at in found) ** 4)

    def _headers(self) -> Iterator[int]:
        at, end, count = self.offset, min(self.source.size, self.offset + REACH), 0
        while at < end and count < SAMPLES:
            chunk = bytes(self.source.view(at, min(1 << 20, self.source.size - at)))
            place = chunk.find(EC_MAGIC)
            while place >= 0 and count < SAMPLES:
                one = erase_counter(self.source.peek(at + place, HEADER))
                step = PEB_MIN
                if one is None or one.layout != self.first.layout or (at + place - self.offset) % PEB_MIN:
                    step = 4
                else:
                    count += 1
                    yield at + place
                place = chunk.find(EC_MAGIC, place + step)
            at += max(len(chunk) - 3, 1)

    def _blocks(self) -> int:
        """Reads every block; the end of the last one that is part of the device."""
        end = at = self.offset
        gap = None  # where a run of blocks without a header began
        foreign = 0
        while at + self.first.data_offset <= self.source.size and foreign < FOREIGN and len(self.counts) < self._limit:
            raw = self.source.read(at, HEADER)
            one = erase_counter(raw)
            if one is not None and (one.layout != self.first.layout or not self._same_image(one)):
                break
            vid = identifier(self.source.peek(at + self.first.vid_offset, HEADER)) if raw != ERASED else None
            if one is None and vid is None:
                gap = at if gap is None else gap
                foreign = 0 if raw == ERASED else foreign + 1
            else:
                if vid is not None and not self._add(Block(at, vid)):
                    end = at if gap is None else gap
                    break
                self._count(one, vid, at)
                end, gap, foreign = at + self.peb, None, 0
            at += self.peb
        if end > self.source.size:
            note(self.problems, f"the last block is cut off: {end - self.source.size} bytes are missing")
        return min(end, self.source.size)

    def _count(self, one: EraseCounter | None, vid: Identifier | None, at: int) -> None:
        if one is not None:
            self.counts.append(one.count)
        unused = vid is None and self.source.peek(at + self.first.vid_offset, HEADER) == ERASED
        self.free += unused
        self.damaged += one is None or (vid is None and not unused)

    def _same_image(self, one: EraseCounter) -> bool:
        self.image = self.image or one.image
        return one.image in (0, self.image)

    def _add(self, block: Block) -> bool:
        """Takes a block in; False when it shows that another device, written from the same image, has begun."""
        vid = block.identifier
        lebs = self.volumes.setdefault(vid.volume, {})
        before = lebs.get(vid.leb)
        if before is None:
            lebs[vid.leb] = block
            return True
        if before.identifier.sequence == vid.sequence:
            return False
        self.stale += 1
        older, newer = (before, block) if vid.sequence > before.identifier.sequence else (block, before)
        lebs[vid.leb] = newer if not newer.identifier.copy or self.sound(newer) else older
        return True

    def sound(self, block: Block) -> bool:
        """Whether the checksum of a block's data is right."""
        vid, begin = block.identifier, block.at + self.first.data_offset
        if vid.data_size > self.peb - self.first.data_offset:
            return False
        data = self.source.peek(begin, vid.data_size)
        return len(data) == vid.data_size and crc32_plain(data) == vid.data_crc

    @property
    def layout(self) -> dict[int, Block]:
        """The blocks of the volume table."""
        return self.volumes.get(LAYOUT_VOLUME, {})
