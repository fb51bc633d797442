"""The content of one file of a SquashFS image: blocks, holes, and a tail that may share a fragment with others."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from itertools import accumulate

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.formats._squashfs_blocks import Blocks
from fwcheck.extraction.formats._squashfs_layout import NO_FRAGMENT, Inode
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import CHUNK, ByteSource

_STORED = 1 << 24
_ZEROES = bytes(1 << 20)
_WORD_1 = 1 << 15  # version 1: stored, not compressed


def content(blocks: Blocks, inode: Inode, at: int, offset: int, limits: Limits) -> ByteSource:
    """The content of the file whose inode stands at ``offset`` of the metadata block at ``at``; raises FormatError."""
    count, rest = divmod(inode.size, blocks.head.block_size)
    if rest and inode.fragment == NO_FRAGMENT:
        count += 1
    width = blocks.layout.block_word
    raw = blocks.span(at, offset + inode.length, count * width) if count else b""
    return _Content(blocks, inode, _words(raw, width, blocks.layout.order), limits)


def _words(raw: bytes, width: int, order: str) -> array[int]:
    """Stored-size words in the form of version 2 and later: 24 bits of size, bit 24 for a block stored as it is."""
    words: array[int] = array("H" if width == 2 else "I", raw)
    if (array("H", [1]).tobytes()[0] == 1) != (order == "little"):
        words.byteswap()
    if width == 2:
        words = array("I", [(each & ~_WORD_1 or _WORD_1) | (_STORED if each & _WORD_1 else 0) for each in words])
    return words


class _Content(ByteSource):
    """Unpacks each block when it is asked for; the last block stays, so that small steps forward cost no second pass."""

    def __init__(self, blocks: Blocks, inode: Inode, words: array[int], limits: Limits) -> None:
        self.size = inode.size
        self._blocks = blocks
        self._inode = inode
        self._words = words
        self._starts: list[int] | None = None
        self._last: tuple[int, bytes | memoryview] | None = None
        packed = sum(each & ~_STORED for each in words) + blocks.head.block_size
        self._allowed = min(limits.bytes_stream, max(limits.ratio_floor, packed * limits.ratio))

    def view(self, offset: int, length: int) -> memoryview:
        """Raises QuotaExceeded as well, when the range would unpack to more than the limits allow."""
        self.check(offset, length)
        if length > self._allowed:
            raise QuotaExceeded(f"{length} bytes of a file that may unpack to {self._allowed}")
        if not length:
            return memoryview(b"")
        step = self._blocks.head.block_size
        first, last = offset // step, (offset + length - 1) // step
        if first == last:
            begin = offset - first * step
            return memoryview(self._block(first))[begin : begin + length]
        whole = b"".join(self._block(index) for index in range(first, last + 1))
        begin = offset - first * step
        return memoryview(whole)[begin : begin + length]

    def chunks(self, size: int = CHUNK) -> Iterator[memoryview]:
        """Raises QuotaExceeded where the content passes what the limits allow."""
        step = self._blocks.head.block_size
        for index in range(-(-self.size // step)):
            if min((index + 1) * step, self.size) > self._allowed:
                raise QuotaExceeded(f"file unpacks to more than {self._allowed} bytes")
            data = memoryview(self._block(index, keep=False))
            for begin in range(0, len(data), size):
                yield data[begin : begin + size]

    def packed_digest(self) -> str | None:
        """Over the codec, the size words and stored bytes of all blocks, and the fragment with the place of the tail in it."""
        if not 0 < self.size <= self._allowed:
            return None
        blocks, inode = self._blocks, self._inode
        step = blocks.head.block_size
        codec = blocks.digest_of_codec()
        if codec is None:
            return None
        digest = hashlib.sha256(b"squashfs %d %d %d\0" % (self.size, step, len(self._words)) + codec)
        digest.update(self._words.tobytes())
        try:
            for index, word in enumerate(self._words):
                if word:
                    digest.update(blocks.stored(self._start(index), word))
            if len(self._words) * step < self.size:
                digest.update(b"tail %d\0" % inode.offset + blocks.digest_of_fragment(inode.fragment))
        except FormatError:
            return None
        return digest.hexdigest()

    def _block(self, index: int, *, keep: bool = True) -> bytes | memoryview:
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        step = self._blocks.head.block_size
        expected = min(step, self.size - index * step)
        if index >= len(self._words):
            data: bytes | memoryview = self._tail(expected)
        elif word := self._words[index]:
            data = self._blocks.data(self._start(index), word, expected)
        else:
            data = _ZEROES[:expected] if expected < len(_ZEROES) else _ZEROES
        if len(data) != expected:
            data = data[:expected]
        if keep:
            self._last = (index, data)
        return data

    def _start(self, index: int) -> int:
        if self._starts is None:
            self._starts = list(accumulate((each & ~_STORED for each in self._words), initial=self._inode.start))
        return self._starts[index]

    def _tail(self, expected: int) -> bytes:
        inode = self._inode
        data = self._blocks.fragment(inode.fragment)[inode.offset : inode.offset + expected]
        if len(data) != expected:
            raise FormatError(f"fragment {inode.fragment} ends before byte {inode.offset + expected}")
        return data
