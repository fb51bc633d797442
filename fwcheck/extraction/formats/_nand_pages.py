"""NAND flash as it is dumped with its spare (OOB) areas: pages with some bytes of bad block marks, tags and ECC behind each.

Sizes are those of data sheets (ONFI parameter pages): 512+16, 2048+64, 4096+128 and their successors. What a dump holds
tells them:

* UBI: the volume identifier header stands a whole number of pages behind the erase counter header, plus their spare areas;
* U-Boot images: the checksum of the data is right when the spare areas are left out;
* device trees and FIT images: the structure block ends in its end token;
* SquashFS 4: the identifier table's index, at the end, points at the metadata block in front of it;
* JFFS2: the clean marker of eight bytes that only NAND has stands in the spare area of the first page of each erased block.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import msgspec

from fwcheck.extraction.formats._ubi_layout import HEADER, erase_counter, identifier
from fwcheck.extraction.source import ByteSource

PAGES = (16384, 8192, 4096, 2048, 1024, 512)
SIZES = (
    (2048, 64), (512, 16), (4096, 128), (4096, 224), (4096, 256), (4096, 218), (2048, 128), (2048, 112), (1024, 32), (8192, 256),
    (8192, 436), (8192, 448), (8192, 512), (8192, 640), (8192, 744), (16384, 512), (16384, 1024), (16384, 1216), (16384, 1280),
)  # fmt: skip
BLOCKS = (16, 32, 64, 128, 256, 512)  # pages of an erase block
MARKERS = re.compile(rb"\x85\x19\x03\x20\x08\x00\x00\x00|\x19\x85\x20\x03\x00\x00\x00\x08")
_BEGIN, _END = b"\0\0\0\1", b"\0\0\0\x09"  # tokens of a device tree: a node begins, the structure ends
_REACH = 256 << 20  # bytes searched for clean markers
_MARKS = 16  # of them, after which their distance is known
_LARGEST = 64 << 20  # bytes of a U-Boot image whose checksum is worth trying


class Geometry(msgspec.Struct, frozen=True):
    """Bytes of a page and of the spare area behind it."""

    page: int
    spare: int

    @property
    def stride(self) -> int:
        return self.page + self.spare


class Pages(ByteSource):
    """The pages of a dump, without their spare areas."""

    def __init__(self, parent: ByteSource, geometry: Geometry) -> None:
        self.parent = parent
        self.page, self.stride = geometry.page, geometry.stride
        self.size = parent.size // self.stride * self.page

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        first, inside = divmod(offset, self.page)
        if inside + length <= self.page:
            return self.parent.view(first * self.stride + inside, length)
        count = -(-(inside + length) // self.page)
        raw = self.parent.view(first * self.stride, count * self.stride)
        pages = b"".join([raw[at : at + self.page] for at in range(0, len(raw), self.stride)])
        return memoryview(pages)[inside : inside + length]

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """A spare area counts to the page it protects: a range of pages is one range of the image."""
        if length > 0:
            begin, end = self._place(offset), self._place(offset + length - 1) + 1
            yield from self.parent.extents(begin, end - begin)

    def release(self, offset: int, length: int) -> None:
        if length > 0:
            begin = self._place(offset)
            self.parent.release(begin, self._place(offset + length - 1) + 1 - begin)

    def _place(self, offset: int) -> int:
        return offset // self.page * self.stride + offset % self.page


def _aligned(source: ByteSource, at: int) -> Iterator[Geometry]:
    """The usual geometries in which a page begins at ``at``."""
    for page, spare in SIZES:
        if at % (page + spare) == 0 and source.size >= 2 * (page + spare):
            yield Geometry(page, spare)


def by_ubi(source: ByteSource, at: int) -> Geometry | None:
    """From the distance of the two headers of an UBI block; any spare size."""
    first = erase_counter(source.peek(at, HEADER))
    if first is None or identifier(source.peek(at + first.vid_offset, HEADER)) is not None:
        return None
    near = source.peek(at + first.vid_offset, first.vid_offset // 2 + HEADER)
    place = near.find(b"UBI!\1", 8)
    if place < 0 or identifier(near[place : place + HEADER]) is None:
        return None
    for page in PAGES:
        count, rest = divmod(first.vid_offset, page)
        spare, odd = divmod(place, count) if count else (0, 1)
        # Behind the header a page is filled with one byte; that also tells small pages from large ones.
        if rest or odd or not 8 <= spare <= page // 3 or at % (page + spare):
            continue
        filler = source.peek(at + HEADER, page - HEADER)
        if page == 512 or filler.count(filler[:1]) == len(filler):
            return Geometry(page, spare)
    return None


def by_checksum(source: ByteSource, at: int) -> Geometry | None:
    """From the checksum of a U-Boot image."""
    head = source.peek(at, 64)
    if len(head) < 64 or zlib.crc32(head[:4] + bytes(4) + head[8:]) != int.from_bytes(head[4:8], "big"):
        return None
    size, wanted = int.from_bytes(head[12:16], "big"), int.from_bytes(head[24:28], "big")
    if not 512 < size <= min(_LARGEST, source.size):
        return None
    for one in (each for each in _aligned(source, at) if source.size % each.stride == 0):
        pages = Pages(source, one)
        begin = at // one.stride * one.page + 64
        if begin + size <= pages.size and zlib.crc32(pages.view(begin, size)) == wanted:
            return one
    return None


def by_tree(source: ByteSource, at: int) -> Geometry | None:
    """From the end token of a flattened device tree that is longer than a page."""
    head = source.peek(at, 40)
    if len(head) < 40:
        return None
    total, begin, length = (int.from_bytes(head[place : place + 4], "big") for place in (4, 8, 36))
    end = begin + length
    if not 40 <= begin < end <= total <= source.size - at or source.peek(at + end - 4, 4) == _END:
        return None
    for one in _aligned(source, at):
        pages = Pages(source, one)
        first = at // one.stride * one.page
        if end > one.page and pages.peek(first + begin, 4) == _BEGIN and pages.peek(first + end - 4, 4) == _END:
            return one
    return None


def by_squashfs(source: ByteSource, at: int) -> Geometry | None:
    """From the index of the identifier table of a SquashFS 4, little-endian."""
    head = source.peek(at, 96)
    if len(head) < 96:
        return None
    used, table = int.from_bytes(head[40:48], "little"), int.from_bytes(head[48:56], "little")
    if not 96 < table < used <= source.size - at or _index(source.peek(at + table, 8), source, at, table):
        return None
    for one in _aligned(source, at):
        pages = Pages(source, one)
        begin = at // one.stride * one.page
        if _index(pages.peek(begin + table, 8), pages, begin, table):
            return one
    return None


def _index(raw: bytes, source: ByteSource, begin: int, table: int) -> bool:
    """Whether the metadata block that an index points at ends where the index begins."""
    block = int.from_bytes(raw, "little")
    if len(raw) < 8 or not 96 <= block <= table - 3 or table - block > 8194:
        return False
    length = int.from_bytes(source.peek(begin + block, 2), "little")
    return (length & 0x7FFF) + 2 == table - block


def by_markers(source: ByteSource, at: int) -> Geometry | None:
    """From the distance of clean markers, and where in a page and its spare area they stand."""
    fitting = [one for one in (Geometry(*size) for size in SIZES) if 0 <= at % one.stride - one.page <= one.spare - 8]
    if not fitting:
        return None
    places: list[int] = []
    for base in range(at, min(source.size, at + _REACH), 8 << 20):
        chunk = source.view(base, min((8 << 20) + 7, source.size - base))
        places += [base + match.start() for match in islice(MARKERS.finditer(chunk), _MARKS)]
        source.release(base, len(chunk))
        if len(places) >= _MARKS:
            break
    steps = [after - before for before, after in pairwise(places)]
    if len(steps) < 3:
        return None
    step = min(steps)
    if any((place - at) % step for place in places):
        return None
    return next((one for one in fitting if step in [count * one.stride for count in BLOCKS]), None)


EVIDENCE: dict[bytes, tuple[str, Callable[[ByteSource, int], Geometry | None]]] = {
    b"UBI#": ("headers of an UBI block", by_ubi),
    b"\x27\x05\x19\x56": ("checksum of a U-Boot image", by_checksum),
    b"\xd0\x0d\xfe\xed": ("structure of a device tree", by_tree),
    b"hsqs": ("tables of a SquashFS", by_squashfs),
    b"\x85\x19\x03\x20": ("clean markers of JFFS2", by_markers),
    b"\x19\x85\x20\x03": ("clean markers of JFFS2", by_markers),
}
