"""Files of Btrfs: inodes, directory entries and extents of one subvolume, and their contents.

Inode: size 16, links 40, owner 44, group 48, mode 52, device 56, modification 136. Directory entry: key of what it names,
length of its data 25 and of its name 27, type 29, name 30. Extent: unpacked size 8, compression 16 (1 zlib, 2 LZO, 3
Zstandard), encryption 17, type 20 (0 inline, 1 regular, 2 preallocated), then the inline data, or address 21, size 29,
offset 37 and bytes 45. Source: Linux kernel, ``include/uapi/linux/btrfs_tree.h``; for LZO ``fs/btrfs/lzo.c``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import unpack_from

import msgspec
import zstandard
from lzallright import InputNotConsumed, LZOCompressor, LZOError

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.formats._btrfs_trees import Volume
from fwcheck.extraction.limits import bounded
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.extraction.spool import spool

INODE_ITEM, XATTR_ITEM, DIR_INDEX, EXTENT_DATA = 1, 24, 96, 108
INLINE, REGULAR, PREALLOCATED = 0, 1, 2
ZLIB, LZO, ZSTD = 1, 2, 3
PACKED_LIMIT = 128 << 10  # bytes of a packed extent, and of what it unpacks to
LZO_SECTOR = 4096


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a file; ``at`` in the source for inline data, a logical address otherwise."""

    begin: int
    length: int
    type: int
    compression: int
    at: int
    packed: int
    unpacked: int
    skip: int


class Node(msgspec.Struct, kw_only=True):
    """Everything the tree says of one inode."""

    size: int = 0
    links: int = 0
    uid: int = 0
    gid: int = 0
    mode: int = 0
    device: int = 0
    mtime: int = 0
    names: list[tuple[bytes, int, int]] = []  # name, number, type of key
    extents: list[Extent] = []
    attributes: list[tuple[bytes, bytes]] = []


def subvolume(volume: Volume, root: int, budget: int) -> dict[int, Node]:
    """All inodes of the tree at this address; raises QuotaExceeded beyond ``budget`` of them."""
    nodes: dict[int, Node] = {}
    for item in volume.items(root):
        if item.type not in (INODE_ITEM, XATTR_ITEM, DIR_INDEX, EXTENT_DATA):
            continue
        if item.object not in nodes and len(nodes) >= budget:
            raise QuotaExceeded(f"more than {budget} inodes")
        node = nodes.setdefault(item.object, Node())
        data = item.data
        if item.type == INODE_ITEM and len(data) >= 160:
            node.size = unpack_from("<Q", data, 16)[0]
            node.links, node.uid, node.gid, node.mode, node.device = unpack_from("<IIIIQ", data, 40)
            node.mtime = unpack_from("<q", data, 136)[0]
        elif item.type == EXTENT_DATA and len(data) >= 21:
            node.extents.append(_extent(item.offset, data, item.at))
        elif item.type in (DIR_INDEX, XATTR_ITEM) and len(data) >= 30:
            number, kind, _, _, value, name = unpack_from("<QBQQHH", data)
            text = data[30 : 30 + name]
            if item.type == DIR_INDEX:
                node.names.append((text, number, kind))
            else:
                node.attributes.append((text, data[30 + name : 30 + name + value]))
    return nodes


def _extent(begin: int, data: bytes, at: int) -> Extent:
    unpacked, compression, encryption = unpack_from("<QBB", data, 8)
    if encryption:
        raise FormatError("an encrypted Btrfs extent")
    if data[20] == INLINE:
        return Extent(begin=begin, length=unpacked, type=INLINE, compression=compression, at=at + 21, packed=len(data) - 21,
                      unpacked=unpacked, skip=0)  # fmt: skip
    if len(data) < 53:
        raise FormatError("a Btrfs extent that is cut off")
    address, packed, skip, length = unpack_from("<4Q", data, 21)
    return Extent(begin=begin, length=length, type=data[20], compression=compression, at=address, packed=packed,
                  unpacked=unpacked, skip=skip)  # fmt: skip


def content(volume: Volume, node: Node) -> ByteSource:
    """The bytes of a file: windows of the image, holes, and what packed extents unpack to."""
    packed = [one for one in node.extents if _is_packed(one)]
    total = sum(one.packed for one in packed)
    unpacked = spool(bounded(_unpacked(volume, packed), total, volume.limits)) if packed else None
    pieces: list[ByteSource | int] = []
    at = done = 0
    for one in node.extents:
        if one.begin < at:
            raise FormatError("the extents of a file overlap")
        length = min(one.length, max(0, node.size - one.begin))
        pieces.append(min(one.begin, node.size) - at)
        at = min(one.begin, node.size) + length
        if unpacked is not None and _is_packed(one):
            pieces.append(unpacked.window(done + one.skip, length))
            done += one.unpacked
        elif one.type == INLINE:
            pieces.append(volume.source.window(one.at, min(length, one.packed)))
        elif one.type == REGULAR and one.at:
            pieces.append(volume.source.window(volume.place(one.at + one.skip, length), length))
        else:
            pieces.append(length)
    pieces.append(node.size - at)
    if sum(piece for piece in pieces if isinstance(piece, int)) > volume.limits.bytes_stream:
        raise QuotaExceeded(f"a sparse file of {node.size} bytes")
    return Joined(pieces)


def _is_packed(extent: Extent) -> bool:
    return bool(extent.compression and extent.type != PREALLOCATED and (extent.type == INLINE or extent.at))


def _unpacked(volume: Volume, extents: list[Extent]) -> Iterator[bytes]:
    for one in extents:
        if one.packed > PACKED_LIMIT or one.unpacked > PACKED_LIMIT or one.skip + one.length > one.unpacked:
            raise FormatError("a packed Btrfs extent of impossible size")
        at = one.at if one.type == INLINE else volume.place(one.at, one.packed)
        data = volume.source.read(at, one.packed)
        try:
            out = _DECODERS[one.compression](data, one.unpacked)
        except (zlib.error, zstandard.ZstdError, LZOError, InputNotConsumed, KeyError) as error:
            raise FormatError(f"a broken packed extent at 0x{at:x}: {error}") from None
        yield out[: one.unpacked].ljust(one.unpacked, b"\0")


def _zlib(data: bytes, size: int) -> bytes:
    return zlib.decompressobj().decompress(data, size)


def _zstd(data: bytes, size: int) -> bytes:
    return zstandard.ZstdDecompressor(max_window_size=PACKED_LIMIT * 8).stream_reader(data).read(size)


def _lzo(data: bytes, size: int) -> bytes:
    """Segments, each with its length in front, no length across the border of two sectors."""
    end = min(int.from_bytes(data[:4], "little"), len(data))
    at, out = 4, b""
    while at + 4 <= end and len(out) < size:
        length = int.from_bytes(data[at : at + 4], "little")
        out += LZOCompressor.decompress(data[at + 4 : at + 4 + length], output_size_hint=LZO_SECTOR)
        at += 4 + length
        left = LZO_SECTOR - at % LZO_SECTOR
        at += left if left < 4 else 0
    return out


_DECODERS = {ZLIB: _zlib, LZO: _lzo, ZSTD: _zstd}
