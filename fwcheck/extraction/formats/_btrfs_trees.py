"""The trees of Btrfs: from logical addresses to the image, and every item of a tree in the order of its keys.

A chunk maps a range of logical addresses: length, type 24, stripes 44 (count), then per stripe device and offset. A node:
checksum, file system 32, own address 48, items 96, level 100; from 101 on keys of 17 bytes (object, type, offset) with an
address (inner nodes) or with offset and size of their data (leaves). Source: Linux kernel,
``include/uapi/linux/btrfs_tree.h``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from struct import Struct, unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource

HEADER = 101
LEVELS = 8
STRIPED = 0x8 | 0x40 | 0x80 | 0x100  # RAID0, RAID10, RAID5, RAID6: data lies in pieces on several devices
CHUNK_ITEM, ROOT_ITEM = 228, 132
SYSTEM_CHUNKS, SYSTEM_CHUNKS_SIZE = 811, 2048

_KEY = Struct("<QBQ")
_LEAF = Struct("<QBQII")
_INNER = Struct("<QBQQQ")


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Logical addresses from ``begin`` on; ``at`` is their place on this device, None when it is on others alone."""

    begin: int
    length: int
    at: int | None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a leaf; ``at`` is where its data stands in the source."""

    object: int
    type: int
    offset: int
    data: bytes
    at: int


class Volume:
    """Chunks and trees of the file system that begins at 0 of ``source``, whose superblock is ``raw``."""

    def __init__(self, source: ByteSource, raw: bytes, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.uuid = raw[32:48]
        self.sector, self.node = unpack_from("<II", raw, 144)
        self.device = unpack_from("<Q", raw, 201)[0]
        self._chunks: list[Chunk] = []
        self._nodes = source.size // self.node + 1  # none is read more often than there are
        self._system(raw[SYSTEM_CHUNKS : SYSTEM_CHUNKS + min(SYSTEM_CHUNKS_SIZE, unpack_from("<I", raw, 160)[0])])
        for item in list(self.items(unpack_from("<Q", raw, 88)[0])):
            if item.type == CHUNK_ITEM:
                self._chunk(item.offset, item.data)
        self.root = unpack_from("<Q", raw, 80)[0]

    def _system(self, array: bytes) -> None:
        at = 0
        while at + 17 + 48 <= len(array):
            _, kind, begin = _KEY.unpack_from(array, at)
            stripes = unpack_from("<H", array, at + 17 + 44)[0]
            size = 48 + 32 * stripes
            if kind != CHUNK_ITEM or at + 17 + size > len(array):
                return
            self._chunk(begin, array[at + 17 : at + 17 + size])
            at += 17 + size

    def _chunk(self, begin: int, data: bytes) -> None:
        if len(data) < 80:
            raise FormatError("a Btrfs chunk that is cut off")
        length, _, _, kind = unpack_from("<4Q", data)
        place = None
        for number in range(min(unpack_from("<H", data, 44)[0], (len(data) - 48) // 32)):
            device, offset = unpack_from("<QQ", data, 48 + 32 * number)
            if device == self.device and not kind & STRIPED:
                place = offset
                break
        known = bisect_right([chunk.begin for chunk in self._chunks], begin)
        if not known or self._chunks[known - 1].begin != begin:
            self._chunks.insert(known, Chunk(begin=begin, length=length, at=place))
        if len(self._chunks) > self.limits.nodes // 10:
            raise FormatError("too many Btrfs chunks")

    def place(self, logical: int, length: int) -> int:
        """Where a range of logical addresses lies; raises FormatError."""
        index = bisect_right(self._chunks, logical, key=lambda chunk: chunk.begin) - 1
        if index < 0 or logical + length > self._chunks[index].begin + self._chunks[index].length:
            raise FormatError(f"no chunk for address 0x{logical:x}")
        found = self._chunks[index]
        if found.at is None:
            raise FormatError("the chunk lies striped, or on another device")
        at = found.at + logical - found.begin
        self.source.check(at, length)
        return at

    def items(self, logical: int) -> Iterator[Item]:
        """Every item of the tree whose root node is at this address."""
        yield from self._below(logical, LEVELS, set())

    def _below(self, logical: int, above: int, seen: set[int]) -> Iterator[Item]:
        self._nodes -= 1
        if logical in seen or self._nodes < 0:
            raise FormatError("a node of a Btrfs tree is used twice")
        seen.add(logical)
        base = self.place(logical, self.node)
        raw = self.source.read(base, self.node)
        count, level = unpack_from("<IB", raw, 96)
        if raw[32:48] != self.uuid or unpack_from("<Q", raw, 48)[0] != logical or level >= above:
            raise FormatError(f"no node of this Btrfs at address 0x{logical:x}")
        step = _INNER.size if level else _LEAF.size
        if HEADER + count * step > len(raw):
            raise FormatError("more items than a Btrfs node has room for")
        for at in range(HEADER, HEADER + count * step, step):
            if level:
                yield from self._below(_INNER.unpack_from(raw, at)[3], level, seen)
                continue
            number, kind, offset, begin, size = _LEAF.unpack_from(raw, at)
            begin += HEADER
            if begin + size > len(raw):
                raise FormatError("an item outside its Btrfs leaf")
            yield Item(object=number, type=kind, offset=offset, data=raw[begin : begin + size], at=base + begin)
