"""UBIFS nodes on flash, all little-endian, as Linux ``fs/ubifs/ubifs-media.h`` lays them out.

Every node begins on a grid of eight bytes with 24 bytes in common: 0 magic, 4 checksum of all bytes behind it, 8 sequence number
(64 bits), 16 length, 20 type, 21 group. Nodes of the tree have their key at 24: the inode, then three bits of type and 29 bits of
block number or name hash.
    inode      48 size, 72 mtime, 92 links, 96 uid, 100 gid, 104 mode, 108 flags, 112 length of the data at 160
    entry      40 inode (0 takes the name away), 49 type, 50 length of the name at 56; attributes have the same shape
    data       40 unpacked size, 44 compression, 46 packed size when encrypted, 48 data
    truncation 24 inode, 40 old size, 48 new size
    index      24 children, 26 level, 28 branches of LEB, offset, length, key, and a hash where the file system is authenticated
    superblock 26 key hash, 28 flags, 32 minimal I/O, 36 LEB size, 40 LEBs, 56 log LEBs, 60 LPT LEBs, 64 orphan LEBs, 80 version,
               84 compression, 108 UUID, 256 hash algorithm, 258 hash of the master node
    master     32 commit number, 40 flags, 44 first LEB of the log, 48 LEB, offset and length of the root index node, 168 its hash
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.source import ByteSource

MAGIC = b"\x31\x18\x10\x06"
(
    INODE,
    DATA,
    ENTRY,
    ATTRIBUTE,
    TRUNCATION,
    PADDING,
    SUPERBLOCK,
    MASTER,
    REFERENCE,
    INDEX,
    COMMIT,
    ORPHAN,
    AUTHENTICATION,
    SIGNATURE,
) = range(14)
NODE = 24
SUPERBLOCK_SIZE, MASTER_SIZE = 4096, 512
LEAST = {
    INODE: 160, DATA: 48, ENTRY: 56, ATTRIBUTE: 56, TRUNCATION: 56, PADDING: 28, SUPERBLOCK: 4096, MASTER: 512, REFERENCE: 64,
    INDEX: 28, COMMIT: 32, ORPHAN: 32, AUTHENTICATION: 24, SIGNATURE: 64,
}  # fmt: skip
HASHES = {1: "md5", 2: "sha1", 4: "sha256", 5: "sha384", 6: "sha512", 7: "sha224"}  # the kernel's enum hash_algo
_CACHED = 16  # LEBs

HEADER = Struct("<4sIQIBB2x")
_SUPER = Struct("<26xBBIIIII8xIIII8xIH18x4x16s")
_MASTER = Struct("<32xQIIIII")


class Node(msgspec.Struct, frozen=True):
    """A sound node: where it stands, and its bytes."""

    leb: int
    at: int
    type: int
    sequence: int
    group: int
    raw: memoryview


class Super(msgspec.Struct, frozen=True, kw_only=True):
    """The superblock."""

    key_hash: int
    flags: int
    page: int
    leb_size: int
    lebs: int
    most_lebs: int
    log: int
    lpt: int
    orphans: int
    heads: int
    version: int
    compression: int
    uuid: bytes
    hash: str  # of an authenticated file system
    hash_master: bytes

    @property
    def main(self) -> int:
        """The first LEB of the main area."""
        return 3 + self.log + self.lpt + self.orphans


class Master(msgspec.Struct, frozen=True, kw_only=True):
    """A master node."""

    sequence: int
    commit: int
    flags: int
    log: int
    root: tuple[int, int, int]  # LEB, offset, length
    root_hash: bytes
    raw: bytes


def node_at(leb: memoryview, number: int, at: int) -> Node | None:
    """The sound node at an offset; None when there is none."""
    if at + NODE > len(leb):
        return None
    magic, crc, sequence, length, kind, group = HEADER.unpack_from(leb, at)
    if magic != MAGIC or kind not in LEAST or not LEAST[kind] <= length <= len(leb) - at:
        return None
    raw = leb[at : at + length]
    if zlib.crc32(raw[8:]) ^ crc != 0xFFFFFFFF:
        return None
    return Node(number, at, kind, sequence, group, raw)


def superblock(raw: bytes) -> Super | None:
    """The superblock in ``raw``; None when it is none, or its fields contradict each other."""
    node = node_at(memoryview(raw), 0, 0)
    if node is None or node.type != SUPERBLOCK:
        return None
    (key_hash, key_format, flags, page, leb_size, lebs, most, log, lpt, orphans, heads, version, compression, uuid) = (
        _SUPER.unpack_from(raw)
    )
    authenticated = flags & 0x20
    one = Super(
        key_hash=key_hash, flags=flags, page=page, leb_size=leb_size, lebs=lebs, most_lebs=most, log=log, lpt=lpt,
        orphans=orphans, heads=heads, version=version, compression=compression, uuid=uuid,
        hash=HASHES.get(int.from_bytes(raw[256:258], "little"), "") if authenticated else "", hash_master=raw[258:322],
    )  # fmt: skip
    sound = key_format == 0 and 4096 <= leb_size <= 64 << 20 and page and leb_size % 8 == 0 and one.main < lebs <= 1 << 24
    return one if sound else None


def master(node: Node) -> Master:
    """A master node's fields."""
    commit, flags, log, leb, at, length = _MASTER.unpack_from(node.raw)
    raw = bytes(node.raw)
    return Master(
        sequence=node.sequence, commit=commit, flags=flags, log=log, root=(leb, at, length), root_hash=raw[168:232], raw=raw
    )


class Flash:
    """The LEBs of one file system."""

    def __init__(self, source: ByteSource, offset: int, leb_size: int, lebs: int) -> None:
        self.source = source
        self.offset = offset
        self.leb_size = leb_size
        self.size = min(leb_size * lebs, source.size - offset)
        self.lebs = -(-self.size // leb_size)
        self.broken = 0
        self._held: OrderedDict[int, memoryview] = OrderedDict()

    def leb(self, number: int) -> memoryview:
        """The bytes of a LEB; fewer where the image ends."""
        held = self._held.get(number)
        if held is None:
            begin = number * self.leb_size
            length = max(0, min(self.leb_size, self.size - begin)) if number >= 0 else 0
            held = self._held[number] = self.source.view(self.offset + begin, length) if length else memoryview(b"")
            if len(self._held) > _CACHED:
                self._held.popitem(last=False)
        return held

    def node(self, number: int, at: int, kind: int) -> Node:
        """The node of a kind at a place; raises FormatError when there is none."""
        found = node_at(self.leb(number), number, at)
        if found is None or found.type != kind:
            raise FormatError(f"no sound node at {number}:{at}")
        return found

    def scan(self, number: int, at: int = 0) -> Iterator[Node]:
        """Every sound node of a LEB from ``at`` on; what lies between them is searched for the next one."""
        leb = self.leb(number)
        held: bytes | None = None
        while at + NODE <= len(leb):
            found = node_at(leb, number, at)
            if found is not None:
                yield found
                at += len(found.raw) + 7 & ~7
                if found.type == PADDING:
                    at += int.from_bytes(found.raw[24:28], "little")
                    at = at + 7 & ~7
                continue
            held = bytes(leb) if held is None else held
            if held.startswith(MAGIC, at):
                self.broken += 1
                at += 8
            at = held.find(MAGIC, at)
            while at >= 0 and at % 8:
                at = held.find(MAGIC, at + 1)
            if at < 0:
                return

    def forget(self) -> None:
        """Lets go of the LEBs."""
        self._held.clear()
