"""Which packed bytes of an EROFS image give which bytes of a file: its index of logical clusters.

A logical cluster (one block, as a rule) is the *head* of an extent, which begins at an offset inside it, or lies wholly inside
one. Heads say whether the extent is stored or packed, and its first block. The full form has 8 bytes per cluster: type and
flags (2), offset of the extent's begin (2), block (4), or for others two distances (2 + 2). The compact form packs 2 clusters in
8 bytes or 16 in 32: that many fields of 16 or 14 bits (offset or distance, and above it the type), then the block from which
those of the heads are counted (4). The first cluster behind the head of a large packed cluster holds the count of its blocks.

Before the index stands a header of 8 bytes on a border of 8: offset in the packed inode (4; or 2 unused and the size of the
inlined tail, 2), flags (2), two algorithms (1), log2 of clusters to blocks, and bit 7 for a file that lies in the packed inode
as a whole (1). In images with 48-bit addresses a full index may be records of extents instead, of 4, 8, 16 or 32 bytes: packed
length, with partial use in bit 27 and above it the algorithm plus one (4), place in bytes (4 + 4), begin in the file (4 + 4). The
two short forms have one record for each cluster; that of 4 bytes lays packed bytes in a row, from a place that stands first (8).
Source: ``fs/erofs/erofs_fs.h`` and ``fs/erofs/zmap.c`` of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import iter_unpack, unpack

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._erofs_layout import FULL_INDEX, WIDE, Inode, Superblock
from fwcheck.extraction.source import ByteSource

STORED, HEAD_1, INSIDE, HEAD_2 = range(4)
COMPACT_2B, BIG_1, BIG_2, INLINE_TAIL, INTERLACED, FRAGMENT = (1 << n for n in range(6))
_COUNT = 1 << 11  # a distance that is the count of blocks instead
_WHOLE = 1 << 63
UNPACKED_LIMIT = 12 << 20  # bytes of one extent, as the kernel has it
_PACKED_LIMIT = 1 << 20
_CLUSTER_BITS = 20
_RECORDS = 1  # flag of a full index: records of extents
_RECORD_PACKED = (1 << 21) - 1
_RECORD_FORMAT = 28
_PLACE = (1 << 64) - 1

Cluster = tuple[int, int, int, int]  # type, offset of the begin, block, count of blocks (0: not told)


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """``length`` bytes of a file from ``begin`` on, out of ``packed`` bytes at ``at``; algorithm None: stored as they are.

    ``fragment``: ``at`` is an offset in the packed inode, whose bytes are taken as they are.
    """

    begin: int
    length: int
    at: int
    packed: int = 0
    algorithm: int | None = None
    interlaced: bool = False
    fragment: bool = False
    hole: bool = False


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The header of the index, and where the index begins."""

    fragment: int
    tail: int  # bytes of an inlined tail
    advise: int
    algorithms: tuple[int, int]
    bits: int
    whole: bool  # the whole file lies in the packed inode
    index: int
    records: int  # how many, where they tell their begin


def header(source: ByteSource, head: Superblock, inode: Inode) -> Header:
    """The header in front of the index; raises FormatError."""
    at = inode.behind + 7 & ~7
    raw = source.read(at, 8)
    fragment, advise, algorithms, cluster = unpack("<IHBB", raw)
    number = int.from_bytes(raw, "little")
    whole = bool(number & _WHOLE)
    if whole:
        fragment = number ^ _WHOLE
    return Header(
        fragment=fragment, tail=fragment >> 16 if not whole else 0, advise=0 if whole else advise,
        algorithms=(algorithms & 15, algorithms >> 4), bits=head.block_bits + (cluster & 15), whole=whole, index=at + 8,
        records=(number & 0xFFFFFFFF) | number >> 48 << 32,
    )  # fmt: skip


def extents(source: ByteSource, head: Superblock, inode: Inode) -> list[Extent]:
    """All extents of a packed file, in order and without holes; the caller has bounded its size. Raises FormatError."""
    form = header(source, head, inode)
    if form.whole:
        return [Extent(begin=0, length=inode.size, at=form.fragment, packed=inode.size, fragment=True)]
    if head.incompat & WIDE and inode.layout == FULL_INDEX and form.advise & _RECORDS:
        return _records(source, head, inode, form)
    if form.bits > _CLUSTER_BITS:
        raise FormatError(f"logical clusters of 2**{form.bits} bytes")
    count = -(-inode.size >> form.bits)
    clusters, end = _full(source, form, count) if inode.layout == FULL_INDEX else _compact(source, head, inode, form, count)
    heads = [
        (number << form.bits | each[1], number, each)
        for number, each in enumerate(clusters)
        if each[0] != INSIDE and (number << form.bits | each[1]) < inode.size
    ]
    if inode.size and (not heads or heads[0][0]):
        raise FormatError("the first extent does not begin with the file")
    ends = [begin for begin, _, _ in heads[1:]] + [inode.size]
    out = []
    for (begin, number, each), stop in zip(heads, ends, strict=True):
        if not 0 < stop - begin <= UNPACKED_LIMIT and not form.advise & FRAGMENT:
            raise FormatError(f"an extent of {stop - begin} bytes")
        last = stop == inode.size
        if last and form.advise & FRAGMENT:
            high = each[2] << 32 if inode.layout == FULL_INDEX else 0
            out.append(Extent(begin=begin, length=stop - begin, at=form.fragment | high, packed=stop - begin, fragment=True))
            continue
        at, packed = each[2] << head.block_bits, _packed(head, form, each, clusters[number + 1 : number + 2])
        if last and form.advise & INLINE_TAIL:
            at, packed = end, form.tail
        out.append(_extent(form, each[0], begin, stop, at, packed))
    return out


def _records(source: ByteSource, head: Superblock, inode: Inode, form: Header) -> list[Extent]:
    """The extents of an index of records."""
    width = 4 << (form.advise >> 1 & 3)
    at = -(-form.index // width) * width
    rows = list(_short(source, inode, form, at, width) if width <= 8 else _long(source, inode, form, at, width))
    if not rows or rows[0][0]:
        raise FormatError("the first extent does not begin with the file")
    ends = [begin for begin, _, _ in rows[1:]] + [inode.size]
    out = []
    for (begin, packed, place), stop in zip(rows, ends, strict=True):
        size, kind = packed & _RECORD_PACKED, packed >> _RECORD_FORMAT
        fragment = stop == inode.size and bool(form.advise & FRAGMENT)
        if not begin < stop <= inode.size or not (stop - begin <= UNPACKED_LIMIT or fragment):
            raise FormatError(f"an extent of {stop - begin} bytes")
        if fragment:
            high = place << 32 & _PLACE if width > 4 else 0
            out.append(Extent(begin=begin, length=stop - begin, at=packed | high, packed=stop - begin, fragment=True))
        elif not size:
            out.append(Extent(begin=begin, length=stop - begin, at=0, hole=True))
        elif not kind and stop - begin > size:
            raise FormatError(f"{stop - begin} stored bytes in {size}")
        else:
            turned = not kind and bool(form.advise & INTERLACED) and (place | size) % head.block == 0
            algorithm = kind - 1 if kind else None
            out.append(Extent(begin=begin, length=stop - begin, at=place, packed=size, algorithm=algorithm, interlaced=turned))
    return out


def _short(source: ByteSource, inode: Inode, form: Header, at: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Begin in the file, packed length and place of each record, of which every cluster has one."""
    if form.bits > _CLUSTER_BITS:
        raise FormatError(f"logical clusters of 2**{form.bits} bytes")
    count = -(-inode.size >> form.bits)
    if width == 8:
        for number, (packed, place) in enumerate(iter_unpack("<II", source.view(at, count * 8))):
            yield number << form.bits, packed, place
        return
    place = int.from_bytes(source.view(at, 8), "little")
    for number, (packed,) in enumerate(iter_unpack("<I", source.view(at + 8, count * 4))):
        yield number << form.bits, packed, place & _PLACE
        place += packed & _RECORD_PACKED


def _long(source: ByteSource, inode: Inode, form: Header, at: int, width: int) -> Iterator[tuple[int, int, int]]:
    """The same where each record tells its begin."""
    raw = source.view(at, form.records * width)
    if form.records > inode.size:
        raise FormatError(f"{form.records} extents in {inode.size} bytes")
    layout = "<5I12x" if width == 32 else "<4I"
    for packed, low, high, begin, *more in iter_unpack(layout, raw):
        yield begin | (more[0] << 32 if more else 0), packed, low | high << 32


def _extent(form: Header, kind: int, begin: int, stop: int, at: int, packed: int) -> Extent:
    if kind == STORED and stop - begin > packed:
        raise FormatError(f"{stop - begin} stored bytes in {packed}")
    algorithm = None if kind == STORED else form.algorithms[kind == HEAD_2]
    interlaced = kind == STORED and bool(form.advise & INTERLACED)
    return Extent(begin=begin, length=stop - begin, at=at, packed=packed, algorithm=algorithm, interlaced=interlaced)


def _packed(head: Superblock, form: Header, cluster: Cluster, after: list[Cluster]) -> int:
    """The bytes of a packed cluster: one logical cluster, or as many blocks as the cluster behind its head says."""
    big = {HEAD_1: BIG_1, HEAD_2: BIG_2}.get(cluster[0], 0)
    if form.advise & big and after and after[0][0] == INSIDE:
        size = after[0][3] << head.block_bits
        if not 0 < size <= _PACKED_LIMIT:
            raise FormatError(f"a packed cluster of {size} bytes")
        return size
    return 1 << form.bits


def _full(source: ByteSource, form: Header, count: int) -> tuple[list[Cluster], int]:
    at = form.index + 8
    out: list[Cluster] = []
    for advise, begin, low, high in iter_unpack("<HHHH", source.view(at, count * 8)):
        kind = advise & 3
        if kind == INSIDE:
            out.append((INSIDE, 0, 0, low & ~_COUNT if low & _COUNT else 0))
        elif begin >> form.bits:
            raise FormatError("an extent that begins behind its cluster")
        else:
            out.append((kind, begin, low | high << 16, 0))
    return out, at + count * 8


def _compact(source: ByteSource, head: Superblock, inode: Inode, form: Header, count: int) -> tuple[list[Cluster], int]:
    """Packs of 8 bytes up to a border of 32, packs of 32 as far as they are full, packs of 8 for the rest."""
    if form.bits > 14:
        raise FormatError(f"a compact index of clusters of 2**{form.bits} bytes")
    blocks = -(-inode.size >> head.block_bits)
    first = -form.index % 32 // 4
    dense = (blocks - first) // 16 * 16 if form.advise & COMPACT_2B and first < blocks else 0
    if dense and form.bits > 12:
        raise FormatError("a compact index of two bytes for large clusters")
    out: list[Cluster] = []
    at, rest = form.index, count
    for entries, length, fields in ((first, 8, 2), (dense, 32, 16), (rest, 8, 2)):
        wanted = min(entries, rest)
        packs = -(-wanted // fields)
        raw = source.view(at, packs * length)
        for begin in range(0, len(raw), length):
            out += _pack(bytes(raw[begin : begin + length]), fields, form)
        del out[count - rest + wanted :]
        rest -= wanted
        at += packs * length
    return out, at


def _pack(raw: bytes, fields: int, form: Header) -> Iterator[Cluster]:
    """The clusters of one pack: the block of a head follows from those of the heads before it."""
    width = (len(raw) - 4) * 8 // fields
    low = max(form.bits, 12)
    packed, block = int.from_bytes(raw[:-4], "little"), int.from_bytes(raw[-4:], "little")
    values = [packed >> width * n for n in range(fields)]
    big = form.advise & BIG_1
    if not big:
        block += 1
    for number, value in enumerate(values):
        kind, rest = value >> low & 3, value & (1 << low) - 1
        if kind == INSIDE:
            blocks = rest & ~_COUNT if rest & _COUNT and big else 0
            yield INSIDE, 0, 0, blocks
            block += blocks
            continue
        if rest >> form.bits:
            raise FormatError("an extent that begins behind its cluster")
        yield kind, rest, block & 0xFFFFFFFF, 0
        after = values[number + 1] if big and number + 1 < fields else 0
        # The count of a large cluster stands in the field behind its head and is added there.
        if not (after >> low & 3 == INSIDE and after & _COUNT):
            block += 1
