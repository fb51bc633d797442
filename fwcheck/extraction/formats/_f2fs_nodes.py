"""F2FS from its checkpoint to its nodes: which of two checkpoints holds, where every node is, and the blocks of a file.

Checkpoint: version 0, flags 132, blocks of the pack 136, first summary 140, bytes of the segment and node bitmaps 156 and
160, checksum offset 164, bitmaps 192. The node table has two copies of each segment; the bitmap says which holds; newer
entries stand in a journal in the summaries. An entry: version, inode, block (9 bytes). A node: 4,072 bytes, then its number
and that of its inode. Source: Linux kernel, ``include/linux/f2fs_fs.h``, ``fs/f2fs/node.c`` and ``segment.c``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource, Joined

MAGIC = 0xF2F52010
BLOCK = 4096
SEGMENT = 512  # blocks
PER_TABLE = 455  # entries of a block of the node table
PER_NODE = 1018  # addresses of a direct node, numbers of an indirect one
ADDRESSES = 923  # 32-bit words of an inode behind its fields
BODY = 360  # where they begin
NIDS = 4052
NEW, COMPRESSED = 0xFFFFFFFF, 0xFFFFFFFE
UMOUNT, COMPACT, LARGE_BITMAP = 0x1, 0x4, 0x400  # flags of a checkpoint
INLINE_XATTR, INLINE_DATA, INLINE_DENTRY, EXTRA = 0x01, 0x02, 0x04, 0x20
FLEXIBLE = 0x40  # feature: the room for attributes differs from inode to inode
ENCRYPTED = 0x04  # in i_advise
JOURNAL = 3584  # where the journal begins in a summary block
JOURNAL_LIMIT = 38


def crc(data: bytes) -> int:
    """The CRC-32 of F2FS: begun with the magic, not inverted."""
    return zlib.crc32(data, MAGIC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


class Inode(msgspec.Struct, kw_only=True):
    """One inode; ``at`` is where its block lies in the source."""

    number: int
    at: int
    mode: int
    advise: int
    inline: int
    uid: int
    gid: int
    links: int
    size: int
    mtime: int
    start: int  # first word of the addresses
    count: int  # words for addresses or inline data
    raw: bytes

    @property
    def reserved(self) -> int:
        """Words at the end that hold attributes."""
        return ADDRESSES - self.start - self.count


class Volume:
    """Checkpoint and node table of the file system that begins at 0 of ``source``; ``raw`` is its superblock."""

    def __init__(self, source: ByteSource, raw: bytes, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.checkpoint_at, _, self.table = unpack_from("<III", raw, 76)
        self.root = unpack_from("<I", raw, 96)[0]
        self._payload = unpack_from("<I", raw, 1664)[0]
        self.features = unpack_from("<I", raw, 2180)[0]
        packs = [found for at in (self.checkpoint_at, self.checkpoint_at + SEGMENT) if (found := self._pack(at)) is not None]
        if not packs:
            raise FormatError("no valid F2FS checkpoint")
        self.version, self._begin, self._checkpoint = max(packs, key=lambda pack: pack[0])
        self.flags = unpack_from("<I", self._checkpoint, 132)[0]
        self._bitmap = self._node_bitmap()
        self._journal = self._read_journal()
        self._budget = 16 * (source.size // BLOCK)  # reads of nodes: more than these mean that nodes are shared

    def block(self, number: int) -> bytes:
        """One block; raises FormatError outside."""
        return self.source.read(number * BLOCK, BLOCK)

    def _pack(self, at: int) -> tuple[int, int, bytes] | None:
        """Version, place and first block of a checkpoint whose first and last blocks agree."""
        try:
            first = self.block(at)
            total = unpack_from("<I", first, 136)[0]
            last = self.block(at + total - 1) if 2 <= total <= SEGMENT else b""
        except FormatError:
            return None
        for one in (first, last):
            offset = unpack_from("<I", one, 164)[0] if one else 0
            if not 192 <= offset <= BLOCK - 4 or crc(one[:offset]) != unpack_from("<I", one, offset)[0] or one[:8] != first[:8]:
                return None
        return int.from_bytes(first[:8], "little"), at, first

    def _node_bitmap(self) -> bytes:
        sit, nat = unpack_from("<II", self._checkpoint, 156)
        begin = 192
        if self.flags & LARGE_BITMAP:
            begin += 4
        elif not self._payload:
            begin += sit
        return self._checkpoint[begin : begin + nat]

    def _read_journal(self) -> dict[int, int]:
        """Entries of the node table that were not written back yet: number to block."""
        total, start = unpack_from("<II", self._checkpoint, 136)
        if self.flags & COMPACT:
            raw = self.block(self._begin + start)
        else:
            raw = self.block(self._begin + total - (7 if self.flags & UMOUNT else 4))[JOURNAL:]
        count = int.from_bytes(raw[:2], "little")
        found = {}
        for at in range(2, 2 + 13 * min(count, JOURNAL_LIMIT), 13):
            number, _, _, place = unpack_from("<IBII", raw, at)
            found[number] = place
        return found

    def _place(self, number: int) -> int:
        """The block of a node."""
        if number in self._journal:
            return self._journal[number]
        block, entry = divmod(number, PER_TABLE)
        at = self.table + block // SEGMENT * 2 * SEGMENT + block % SEGMENT
        byte = self._bitmap[block >> 3] if block >> 3 < len(self._bitmap) else 0
        at += SEGMENT if byte >> 7 - (block & 7) & 1 else 0
        place: int = unpack_from("<I", self.source.read(at * BLOCK + entry * 9 + 5, 4))[0]
        return place

    def node(self, number: int, inode: int) -> tuple[int, bytes]:
        """Place and content of a node; raises FormatError unless it is the one that is wanted."""
        self._budget -= 1
        if self._budget < 0:
            raise FormatError("the files of an F2FS share their nodes")
        place = self._place(number)
        if place in (0, NEW, COMPRESSED):
            raise FormatError(f"node {number} is free")
        raw = self.block(place)
        if unpack_from("<II", raw, 4072) != (number, inode):
            raise FormatError(f"no node {number} where the table says")
        return place * BLOCK, raw

    def inode(self, number: int) -> Inode:
        """Reads an inode."""
        at, raw = self.node(number, number)
        mode, advise, inline, uid, gid, links, size = unpack_from("<HBBIIIQ", raw)
        extra = unpack_from("<H", raw, BODY)[0] // 4 if inline & EXTRA else 0
        reserved = 50 if inline & (INLINE_XATTR | INLINE_DENTRY) else 0
        if inline & EXTRA and self.features & FLEXIBLE:
            reserved = unpack_from("<H", raw, BODY + 2)[0]
        if extra + reserved >= ADDRESSES - 1:
            raise FormatError(f"inode {number} has no room for addresses")
        return Inode(
            number=number, at=at, mode=mode, advise=advise, inline=inline, uid=uid, gid=gid, links=links, size=size,
            mtime=unpack_from("<q", raw, 48)[0], start=extra, count=ADDRESSES - extra - reserved, raw=raw,
        )  # fmt: skip

    def inlined(self, inode: Inode) -> tuple[int, int]:
        """Where inline data stands in the inode, and how many bytes there may be."""
        return BODY + 4 * (inode.start + 1), 4 * (inode.count - 1)

    def addresses(self, inode: Inode) -> Iterator[int]:
        """The block of each page of a file, in order; stops behind the last one."""
        left = -(-inode.size // BLOCK)
        begin = BODY + 4 * inode.start
        direct = unpack_from(f"<{min(left, inode.count)}I", inode.raw, begin)
        yield from direct
        left -= len(direct)
        for number, level in zip(unpack_from("<5I", inode.raw, NIDS), (1, 1, 2, 2, 3), strict=True):
            if left <= 0:
                return
            yield from self._below(number, level, inode.number, left)
            left -= PER_NODE**level

    def _below(self, number: int, level: int, inode: int, left: int) -> Iterator[int]:
        span = PER_NODE ** (level - 1)
        if not number:
            yield from (0 for _ in range(min(left, span * PER_NODE)))
            return
        for value in unpack_from(f"<{PER_NODE}I", self.node(number, inode)[1]):
            if left <= 0:
                return
            if level == 1:
                yield value
            else:
                yield from self._below(value, level - 1, inode, left)
            left -= span

    def content(self, inode: Inode) -> ByteSource:
        """The bytes of a file: windows of the image and holes."""
        if inode.inline & INLINE_DATA:
            at, room = self.inlined(inode)
            if inode.size > room:
                raise FormatError("inline data that is longer than its room")
            return self.source.window(inode.at + at, inode.size)
        if inode.size > self.source.size + self.limits.bytes_stream:
            raise QuotaExceeded(f"a sparse file of {inode.size} bytes")
        pieces: list[ByteSource | int] = []
        first = length = 0
        for address in [*self.addresses(inode), None]:
            if address == COMPRESSED:
                raise FormatError("a file packed by F2FS, which is not read")
            place = 0 if address == NEW else address
            if length and place is not None and place == (first + length if first else 0):
                length += 1
                continue
            if length:
                pieces.append(self.source.window(first * BLOCK, length * BLOCK) if first else length * BLOCK)
            first, length = place or 0, 1
        whole = Joined(pieces)
        return whole.window(0, inode.size) if whole.size > inode.size else Joined([whole, inode.size - whole.size])
