"""What stands on an EROFS image: the superblock, its checksum, and inodes in their two lengths.

Layout of ``fs/erofs/erofs_fs.h`` of Linux, all little-endian. Superblock at byte 1,024: magic (4), CRC32C (4), compatible
features (4), log2 of the block size (1), further slots of 16 bytes (1), number of the root inode (2), inodes (8), build time
(8 + 4), blocks (4), first block of the inodes (4), first block of shared attributes (4), UUID (16), volume name (16),
incompatible features (4), available algorithms or LZ4 distance (2), further devices (2), slot of their table (2), log2 of blocks
per directory block (1), attribute prefixes (1 + 4), number of the packed inode (8); with 48-bit addresses the field of the
root inode holds the high word of the blocks, and the root inode stands at byte 112 (8). Inode ``n`` stands 32 * n bytes behind
the first block of the inodes, with 32 bytes or 64.
"""

from __future__ import annotations

from struct import Struct, unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._checksums import crc32c
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

SUPERBLOCK = 1024  # where it begins
MAGIC = b"\xe2\xe1\xf5\xe0"
NULL = 0xFFFFFFFF  # the block of a hole

COMPAT_CHECKSUM = 0x1
ZERO_PADDING, COMPRESSION_CONFIG, CHUNKED, DEVICES, TAIL_PACKING, FRAGMENTS, PREFIXES, WIDE, METABOX = (1 << n for n in range(9))
UNDERSTOOD = ZERO_PADDING | COMPRESSION_CONFIG | CHUNKED | DEVICES | TAIL_PACKING | FRAGMENTS | PREFIXES | WIDE

PLAIN, FULL_INDEX, INLINE, COMPACT_INDEX, CHUNKS = range(5)
LAYOUTS = ("plain", "compressed, full index", "inline", "compressed, compact index", "chunks")
ALGORITHMS = ("lz4", "microlzma", "deflate", "zstd")
_SLOT = 128  # bytes of one device's slot
_ROOT_WIDE = 112
_BOXED = 1 << 63  # of an inode number: in the metabox
_FORMAT_HIGH = 0x10  # bit of the format: the links are one, and their field is the high word of the block

_SUPER = Struct("<4sIIBBHQQIIII16s16sIHHHBBIQ")
_COMPACT = Struct("<HHHHIIIIHHI")
_EXTENDED = Struct("<HHHHQIIIIQII")


class Superblock(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that reading needs."""

    checksum: int
    compat: int
    incompat: int
    block_bits: int
    root: int
    inodes: int
    built: int
    blocks: int
    meta: int  # offset of inode 0
    attributes: int  # offset of shared attributes
    uuid: bytes
    volume: bytes
    algorithms: int
    devices: int
    device_table: int  # offset
    directory_bits: int
    packed: int

    @property
    def block(self) -> int:
        return 1 << self.block_bits


class Inode(msgspec.Struct, frozen=True, kw_only=True):
    """One inode; ``body`` is where its attributes begin, ``behind`` where they end."""

    number: int
    at: int
    layout: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int
    value: int  # first block, device number, chunk format or count of packed blocks
    first: int  # first block with its high word; -1 for a hole
    body: int
    behind: int

    @property
    def kind(self) -> NodeKind:
        return {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}.get(
            self.mode & 0o170000, NodeKind.DEVICE
        )

    @property
    def packed(self) -> bool:
        return self.layout in {FULL_INDEX, COMPACT_INDEX}


def superblock(source: ByteSource, offset: int) -> Superblock:
    """Reads and validates the superblock of the file system at ``offset``; raises FormatError."""
    raw = source.peek(offset + SUPERBLOCK, 128)
    if len(raw) < 128 or raw[:4] != MAGIC:
        raise FormatError("no EROFS superblock")
    (
        _, checksum, compat, bits, slots, root, inodes, built, _, blocks, meta, attributes, uuid, volume, incompat,
        algorithms, devices, table, directory, _, _, packed,
    ) = _SUPER.unpack_from(raw)  # fmt: skip
    if not 9 <= bits <= 16 or directory > 4 or 128 + slots * 16 > (1 << bits) or not inodes:
        raise FormatError("the fields of the EROFS superblock contradict each other")
    if incompat & WIDE and (wide := unpack_from("<Q", raw, _ROOT_WIDE)[0]):
        blocks, root = blocks | root << 32, wide
    if (blocks << bits) < SUPERBLOCK + 128:
        raise FormatError("an EROFS of no blocks")
    return Superblock(
        checksum=checksum, compat=compat, incompat=incompat, block_bits=bits, root=root, inodes=inodes, built=built,
        blocks=blocks, meta=meta << bits, attributes=attributes << bits, uuid=uuid, volume=volume, algorithms=algorithms,
        devices=devices if incompat & DEVICES else 0, device_table=table * _SLOT, directory_bits=bits + directory,
        packed=packed if incompat & FRAGMENTS else 0,
    )  # fmt: skip


def checksum_right(source: ByteSource, offset: int, head: Superblock) -> bool:
    """Whether the CRC32C over the rest of the superblock's block, its own field zero, is the one that is stored."""
    size = head.block - SUPERBLOCK if head.block > SUPERBLOCK else head.block
    raw = bytearray(source.peek(offset + SUPERBLOCK, size))
    raw[4:8] = bytes(4)
    return len(raw) == size and crc32c(raw) == head.checksum


def inode(source: ByteSource, head: Superblock, number: int) -> Inode:
    """Reads an inode of the file system that fills ``source``; raises FormatError."""
    if number & _BOXED:
        raise FormatError(f"inode {number ^ _BOXED} lies in the metabox, which is not read")
    at = head.meta + number * 32
    form, attributes = unpack_from("<HH", source.read(at, 4))
    layout = form >> 1 & 7
    if form & ~0x1F or layout > CHUNKS:
        raise FormatError(f"inode {number} has the unknown format 0x{form:x}")
    if form & 1:
        _, _, mode, high, size, value, _, uid, gid, mtime, _, links = _EXTENDED.unpack_from(source.read(at, 64))
        body = at + 64
    else:
        _, _, mode, links, size, later, value, _, uid, gid, _ = _COMPACT.unpack_from(source.read(at, 32))
        mtime, body, high = head.built + later, at + 32, 0
        if form & _FORMAT_HIGH and mode & 0o170000 != 0o040000:
            links, high = 1, links
    if mtime >= 1 << 63:
        mtime -= 1 << 64
    first = value | (high << 32 if head.incompat & WIDE else 0)
    if value == NULL and first >> 32 in (0, 0xFFFF):
        first = -1
    return Inode(
        number=number, at=at, layout=layout, mode=mode, uid=uid, gid=gid, size=size, mtime=mtime, links=links,
        value=value, first=first, body=body, behind=body + (12 + (attributes - 1) * 4 if attributes else 0),
    )  # fmt: skip


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A further device: where its blocks begin in the address space of all devices, and what names it."""

    tag: bytes
    blocks: int
    first: int


def devices(source: ByteSource, head: Superblock) -> list[Device]:
    """The table of further devices; raises FormatError where it does not lie in the image."""
    raw = source.read(head.device_table, head.devices * _SLOT)
    out = []
    for at in range(0, len(raw), _SLOT):
        blocks, first, blocks_high, first_high = unpack_from("<IIIH", raw, at + 64)
        if head.incompat & WIDE:
            blocks, first = blocks | blocks_high << 32, first | first_high << 32
        out.append(Device(tag=raw[at : at + 64].rstrip(b"\0"), blocks=blocks, first=first))
    return out
