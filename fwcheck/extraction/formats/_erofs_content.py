"""The content of one file of an EROFS image: stored bytes are windows, packed ones are unpacked extent by extent."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from struct import iter_unpack

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.formats._erofs_codecs import unpack
from fwcheck.extraction.formats._erofs_layout import (
    CHUNKS,
    INLINE,
    NULL,
    ZERO_PADDING,
    Device,
    Inode,
    Superblock,
    devices,
    inode,
)
from fwcheck.extraction.formats._erofs_map import Extent, extents
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import CHUNK, ByteSource, Joined

_CHUNK_BITS, _CHUNK_INDEX, _CHUNK_WIDE = 0x1F, 0x20, 0x40
_NULL_WIDE = (1 << 48) - 1


class Contents:
    """Gives the content of inodes of the file system that fills ``source``."""

    def __init__(self, source: ByteSource, head: Superblock, limits: Limits) -> None:
        self.source = source
        self.head = head
        self.limits = limits
        self._devices: list[Device] | None = None
        self._fragments: ByteSource | None = None

    def content(self, one: Inode, *, fragments: bool = True) -> ByteSource:
        """Raises FormatError, and QuotaExceeded for sizes that no limit allows. Without ``fragments`` none may be used."""
        if not one.size:
            return self.source.window(0, 0)
        if one.packed:
            return self._packed(one, fragments)
        if one.layout == CHUNKS:
            return self._chunks(one)
        return self._flat(one)

    def _flat(self, one: Inode) -> ByteSource:
        """All blocks in a row; the rest behind the inode where the layout says so."""
        tail = one.size % self.head.block if one.layout == INLINE else 0
        whole = one.size - tail
        pieces: list[ByteSource | int] = []
        if whole:
            pieces.append(self._hole(whole) if one.first < 0 else self.source.window(one.first << self.head.block_bits, whole))
        if tail:
            pieces.append(self.source.window(one.behind, tail))
        return Joined(pieces)

    def _hole(self, size: int) -> int:
        if size > self.limits.bytes_stream:
            raise QuotaExceeded(f"a sparse file with {size} bytes of holes")
        return size

    def _chunks(self, one: Inode) -> ByteSource:
        """A table of the blocks where chunks begin: 4 bytes each, or 8 with the number of a device."""
        form = one.value & 0xFFFF
        if form & ~(_CHUNK_BITS | _CHUNK_INDEX | _CHUNK_WIDE):
            raise FormatError(f"the chunk format 0x{form:x} is not understood")
        bits = self.head.block_bits + (form & _CHUNK_BITS)
        unit = 8 if form & _CHUNK_INDEX else 4
        at = one.behind + unit - 1 & -unit
        raw = self.source.view(at, -(-one.size >> bits) * unit)
        starts = (
            ((block | (high << 32 if form & _CHUNK_WIDE else 0), device) for high, device, block in iter_unpack("<HHI", raw))
            if unit == 8
            else ((block, 0) for (block,) in iter_unpack("<I", raw))
        )
        runs: list[tuple[int, int]] = []  # offset (-1: a hole) and length, neighbours merged
        rest = one.size
        for block, device in starts:
            length = min(rest, 1 << bits)
            rest -= length
            begin = -1 if block in (NULL, _NULL_WIDE) else self._place(block, device)
            if runs and (begin == runs[-1][0] == -1 or (begin >= 0 and runs[-1][0] >= 0 and begin == sum(runs[-1]))):
                runs[-1] = (runs[-1][0], runs[-1][1] + length)
            else:
                runs.append((begin, length))
        self._hole(sum(length for begin, length in runs if begin < 0))
        return Joined([length if begin < 0 else self.source.window(begin, length) for begin, length in runs])

    def _place(self, block: int, device: int) -> int:
        """Where a block lies in this image; raises FormatError when it lies on another device."""
        if self.head.devices:
            if self._devices is None:
                self._devices = devices(self.source, self.head)
            if device & 0xFF:
                raise FormatError(f"its bytes lie on device {device & 0xFF} of {self.head.devices}, which is another image")
            for number, each in enumerate(self._devices, 1):
                if each.first and each.first <= block < each.first + each.blocks:
                    raise FormatError(f"its bytes lie on device {number} of {self.head.devices}, which is another image")
        return block << self.head.block_bits

    def _packed(self, one: Inode, fragments: bool) -> ByteSource:
        if one.size > self.limits.bytes_stream:
            raise QuotaExceeded(f"a packed file of {one.size} bytes")
        every = extents(self.source, self.head, one)
        return Unpacked(self, one.size, every, fragments=fragments)

    def fragments(self) -> ByteSource:
        """The content of the packed inode, which holds the ends of other files, or all of small ones."""
        if self._fragments is None:
            if not self.head.packed:
                raise FormatError("a fragment, and no packed inode")
            self._fragments = self.content(inode(self.source, self.head, self.head.packed), fragments=False)
        return self._fragments


class Unpacked(ByteSource):
    """Unpacks each extent when it is asked for; the last one stays, so that small steps forward cost no second pass."""

    def __init__(self, contents: Contents, size: int, every: list[Extent], *, fragments: bool) -> None:
        self.size = size
        self._contents = contents
        self._every = every
        self._fragments = fragments
        self._begins = [each.begin for each in every]
        self._last: tuple[int, bytes | memoryview] | None = None
        limits = contents.limits
        packed = sum(each.packed for each in every)
        self._allowed = min(limits.bytes_stream, max(limits.ratio_floor, packed * limits.ratio))

    def view(self, offset: int, length: int) -> memoryview:
        """Raises QuotaExceeded as well, when the range would unpack to more than the limits allow."""
        self.check(offset, length)
        if length > self._allowed:
            raise QuotaExceeded(f"{length} bytes of a file that may unpack to {self._allowed}")
        pieces = []
        end = offset + length
        at = offset
        while at < end:
            index = bisect_right(self._begins, at) - 1
            each = self._every[index]
            begin, stop = at - each.begin, min(end - each.begin, each.length)
            pieces.append(self._part(index, begin, stop))
            at = each.begin + stop
        return memoryview(pieces[0]) if len(pieces) == 1 else memoryview(b"".join(pieces))

    def chunks(self, size: int = CHUNK) -> Iterator[memoryview]:
        """Raises QuotaExceeded where the content passes what the limits allow."""
        for each in self._every:
            for at in range(each.begin, each.begin + each.length, size):
                length = min(size, each.begin + each.length - at)
                if at + length > self._allowed:
                    raise QuotaExceeded(f"file unpacks to more than {self._allowed} bytes")
                yield self.view(at, length)

    def _part(self, index: int, begin: int, stop: int) -> bytes | memoryview:
        each = self._every[index]
        if each.fragment:
            if not self._fragments:
                raise FormatError("fragments of the packed inode itself")
            return self._contents.fragments().view(each.at + begin, stop - begin)
        if self._last is None or self._last[0] != index:
            self._last = (index, self._extent(each))
        return self._last[1][begin:stop]

    def _extent(self, each: Extent) -> bytes | memoryview:
        """What one extent holds. The last bytes of an image may be missing where only padding would follow."""
        head, source = self._contents.head, self._contents.source
        if each.hole:
            return bytes(each.length)
        packed = source.peek(each.at, each.packed)
        if each.algorithm is not None:
            return unpack(each.algorithm, packed, each.length, padded=bool(head.incompat & ZERO_PADDING))
        if len(packed) < each.length:
            raise FormatError("stored bytes lie outside the image")
        if not each.interlaced:
            return packed[: each.length]
        # Every byte stands at its own offset in a block: what comes first stands last.
        first = min(head.block - each.begin % head.block, each.length)
        begin = len(packed) - (head.block - each.begin % head.block)
        return packed[begin : begin + first] + packed[: each.length - first]
