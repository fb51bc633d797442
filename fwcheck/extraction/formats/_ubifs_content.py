"""The contents of UBIFS files: data nodes of at most one block each, packed one by one.

Compression numbers: Linux ``fs/ubifs/ubifs-media.h``; zlib means a bare deflate stream there.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from struct import Struct

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.formats._ubifs_index import BLOCK, Index
from fwcheck.extraction.formats._ubifs_nodes import DATA, MAGIC, Flash
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.extraction.spool import spool

NAMES = {0: "none", 1: "lzo", 2: "zlib", 3: "zstd"}
_BATCH = 64  # blocks handed on at once
_DATA = Struct("<4sI8xIB3xII8xIH")  # magic, checksum, length, type, key, unpacked size, compression
_ONES = 0xFFFFFFFF
_KEY = DATA << 29


def _none(packed: memoryview, _: int) -> bytes:
    return bytes(packed)


def _lzo(packed: memoryview, size: int) -> bytes:
    import lzallright  # noqa: PLC0415  # few images need it

    try:
        return lzallright.LZOCompressor.decompress(packed, size)
    except (lzallright.LZOError, lzallright.InputNotConsumed, MemoryError) as error:
        raise FormatError(f"lzo: {error}") from None


def _zlib(packed: memoryview, size: int) -> bytes:
    try:
        return zlib.decompressobj(-15).decompress(packed, size)
    except zlib.error as error:
        raise FormatError(f"zlib: {error}") from None


_local = threading.local()  # a decoder serves one thread at a time


def _zstd(packed: memoryview, size: int) -> bytes:
    import zstandard  # noqa: PLC0415  # few images need it

    try:
        # The library believes a size in the frame header and would allocate it.
        if zstandard.frame_content_size(packed) > size:
            raise FormatError("zstd: the frame is larger than its block")
        decoder: zstandard.ZstdDecompressor | None = getattr(_local, "zstd", None)
        if decoder is None:
            decoder = _local.zstd = zstandard.ZstdDecompressor()
        return decoder.decompress(packed, max_output_size=size)
    except (zstandard.ZstdError, MemoryError) as error:
        raise FormatError(f"zstd: {error}") from None


_DECODERS: tuple[Callable[[memoryview, int], bytes], ...] = (_none, _lzo, _zlib, _zstd)


def content(index: Index, inode: int, size: int, limits: Limits) -> ByteSource:
    """A file's content: the blocks that are there, unpacked one behind the other, and holes between them."""
    blocks = index.data.get(inode, {})
    order = sorted(block for block in blocks if block * BLOCK < size)
    holes = size - len(order) * BLOCK
    if holes > 0 and size > limits.bytes_stream:
        raise QuotaExceeded(f"a sparse file of {size} bytes")
    whole = spool(bounded(_unpacked(index.flash, inode, blocks, order, size), len(order) * BLOCK, limits))
    if whole.size == size:
        return whole
    return Joined(_laid(whole, order, size))


def _laid(whole: ByteSource, order: list[int], size: int) -> Iterator[ByteSource | int]:
    """Runs of blocks and the holes between them."""
    at = begin = run = 0  # in the file; in what was unpacked
    for block in [*order, -1]:
        if block * BLOCK != at + run or block < 0:
            length = min(run, whole.size - begin)
            if length:
                yield whole.window(begin, length)
            begin, at, run = begin + run, at + length, 0
            until = block * BLOCK if block >= 0 else size
            if until > at:
                yield until - at
                at = until
        run += BLOCK


def _unpacked(flash: Flash, inode: int, blocks: dict[int, int], order: list[int], size: int) -> Iterator[bytes]:
    batch: list[bytes] = []
    number, leb = -1, memoryview(b"")
    for block in order:
        wanted, at = divmod(blocks[block], flash.leb_size)
        if wanted != number:
            number, leb = wanted, flash.leb(wanted)
        piece = _block(leb, at, inode, block)
        want = min(BLOCK, size - block * BLOCK)
        batch.append(piece if len(piece) == want else piece[:want].ljust(want, b"\0"))
        if len(batch) == _BATCH:
            yield b"".join(batch)
            batch.clear()
    yield b"".join(batch)


def _block(leb: memoryview, at: int, inode: int, block: int) -> bytes:
    if at + 48 > len(leb):
        raise FormatError(f"block {block} lies behind the end of the image")
    magic, crc, length, kind, owner, key, size, method = _DATA.unpack_from(leb, at)
    if magic != MAGIC or kind != DATA or owner != inode or key != _KEY | block or not 48 <= length <= len(leb) - at:
        raise FormatError(f"block {block} is not where the index has it")
    if zlib.crc32(leb[at + 8 : at + length]) ^ crc != _ONES:
        raise FormatError(f"block {block} has a wrong checksum")
    if method >= len(_DECODERS):
        raise FormatError(f"UBIFS compression {method} cannot be unpacked")
    out: bytes = _DECODERS[method](leb[at + 48 : at + length], min(size, BLOCK))
    if len(out) != size or size > BLOCK:
        raise FormatError(f"block {block} of {size} bytes unpacks to {len(out)}")
    return out


def ciphertext(index: Index, inode: int, size: int) -> ByteSource:
    """What an encrypted file's data nodes hold, as it lies there."""
    flash, pieces = index.flash, []
    for block, place in sorted(index.data.get(inode, {}).items()):
        if block * BLOCK >= size:
            break
        node = flash.node(*divmod(place, flash.leb_size), DATA)
        pieces.append(flash.source.window(flash.offset + place + 48, len(node.raw) - 48))
    return Joined(pieces)
