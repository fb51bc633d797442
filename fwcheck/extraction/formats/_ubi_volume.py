"""The contents of UBI volumes: logical blocks laid one behind the other without copying, and what the volume table says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._ubi_layout import (
    AUTORESIZE,
    LAYOUT_VOLUME,
    RECORD,
    RECORDS,
    SKIP_CHECK,
    STATIC,
    TYPES,
    Record,
    record,
)
from fwcheck.extraction.formats._ubi_scan import Block, Scan
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined

HOLES = 64 << 20  # bytes of blocks that are not mapped, per volume, unless as many are mapped


class Erased(ByteSource):
    """Flash that was not written: bytes of all ones."""

    def __init__(self, size: int) -> None:
        self.size = size

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        return memoryview(b"\xff" * length)

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        return iter(())


def table(scan: Scan) -> dict[int, Record]:
    """The volumes by number, from the first copy of the table whose checksums are right; contradictions are problems."""
    copies = []
    for leb in (0, 1):
        block = scan.layout.get(leb)
        if block is None:
            note(scan.problems, f"copy {leb + 1} of the volume table is missing")
            continue
        raw = scan.source.peek(block.at + scan.first.data_offset, RECORD * RECORDS)[: scan.peb - scan.first.data_offset]
        rows = [record(raw[at : at + RECORD]) for at in range(0, len(raw) - RECORD + 1, RECORD)]
        if not rows or None in rows:
            note(scan.problems, f"copy {leb + 1} of the volume table has a wrong checksum")
        copies.append({number: one for number, one in enumerate(rows) if one is not None and one.reserved})
    if len(copies) == 2 and copies[0] != copies[1]:
        note(scan.problems, "the two copies of the volume table differ")
        return copies[1] | copies[0]
    return copies[0] if copies else {}


class Volume:
    """One volume: its blocks, and its record when the table has one."""

    def __init__(self, scan: Scan, number: int, row: Record | None) -> None:
        self.scan = scan
        self.number = number
        self.row = row
        self.blocks = scan.volumes.get(number, {})
        first = next(iter(self.blocks.values()), None)
        self.type = first.identifier.type if first is not None else row.type if row is not None else 0
        padding = first.identifier.padding if first is not None else row.padding if row is not None else 0
        self.leb = scan.peb - scan.first.data_offset - padding
        self.name = _shown(row.name) if row is not None and row.name else f"volume-{number}"
        if number == LAYOUT_VOLUME:
            self.name = "volume table"

    @property
    def detail(self) -> dict[str, str | int]:
        out: dict[str, str | int] = {"volume": self.number, "type": TYPES.get(self.type, str(self.type)), "leb_size": self.leb}
        out["mapped LEBs"] = len(self.blocks)
        if self.row is not None:
            out["reserved LEBs"] = self.row.reserved
            if self.row.alignment != 1:
                out["alignment"] = self.row.alignment
            flags = [name for bit, name in ((AUTORESIZE, "autoresize"), (SKIP_CHECK, "skip check")) if self.row.flags & bit]
            if flags:
                out["flags"] = ", ".join(flags)
            if self.row.updating:
                out["update"] = "interrupted"
        return out

    @cached_property
    def broken(self) -> int:
        """How many LEBs of a static volume have data whose checksum is wrong."""
        return sum(not self.scan.sound(one) for one in self.blocks.values()) if self.type == STATIC else 0

    def content(self) -> ByteSource:
        """The volume's bytes. Raises FormatError when its headers contradict each other."""
        if self.leb <= 0:
            raise FormatError(f"volume {self.name}: its LEBs have no room for data")
        if self.row is not None and self.row.updating:
            note(self.scan.problems, f"volume {self.name}: an update of it was interrupted")
        if self.type == STATIC:
            return self._static()
        return Joined(self._pieces(max(self.blocks, default=-1) + 1))

    def _static(self) -> ByteSource:
        """A static volume has a size of its own, and a checksum in each of its blocks."""
        used = max((one.identifier.used for one in self.blocks.values()), default=0)
        if self.broken:
            note(self.scan.problems, f"volume {self.name}: the data of {self.broken} LEBs have a wrong checksum")
        if missing := used - len(self.blocks):
            note(self.scan.problems, f"volume {self.name}: {missing} of {used} LEBs are missing")
        last = self.blocks.get(used - 1)
        whole = Joined(self._pieces(min(used, max(self.blocks, default=-1) + 1)))
        tail = last.identifier.data_size if last is not None else self.leb
        return whole if last is None or tail > self.leb else whole.window(0, max(whole.size - self.leb + tail, 0))

    def _pieces(self, count: int) -> Iterator[ByteSource]:
        """LEBs ``0 .. count - 1``; those that are not mapped read as erased flash, within bounds."""
        room = max(HOLES, len(self.blocks) * self.leb)
        at = 0
        for leb in sorted(number for number in self.blocks if number < count):
            if leb > at:
                room -= (leb - at) * self.leb
                if room < 0:
                    note(self.scan.problems, f"volume {self.name}: LEBs from {leb} on lie behind too large a hole")
                    return
                yield Erased((leb - at) * self.leb)
            yield from self._block(self.blocks[leb])
            at = leb + 1

    def _block(self, block: Block) -> Iterator[ByteSource]:
        begin = block.at + self.scan.first.data_offset
        there = max(0, min(self.leb, self.scan.source.size - begin))
        yield self.scan.source.window(begin, there)
        if there < self.leb:
            yield Erased(self.leb - there)


def _shown(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace").replace("/", "?")
    return "".join(char if char.isprintable() else "?" for char in text) or "?"
