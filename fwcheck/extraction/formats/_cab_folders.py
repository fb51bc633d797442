"""The folders of a cabinet: chains of data blocks that unpack to one content each.

A block (CFDATA of [MS-CAB]) has a checksum, packed and unpacked size, reserved bytes and data. MSZIP blocks begin with ``CK`` and
are deflate streams whose dictionary is the content of the block before ([MS-MCI]).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.extraction.spool import spool

STORED, MSZIP, QUANTUM, LZX = 0, 1, 2, 3
NAMES = {STORED: "stored", MSZIP: "MSZIP", QUANTUM: "Quantum", LZX: "LZX"}
_BLOCK = struct.Struct("<IHH")
_UNPACKED = 32768  # bytes of one block, at most


class Block(msgspec.Struct, frozen=True):
    """One data block: where its data lie, how long they are, what they unpack to."""

    checksum: int
    header: int
    at: int
    packed: int
    size: int


class Folder(msgspec.Struct, kw_only=True):
    """One folder; its content is unpacked once and kept for all its files."""

    source: ByteSource
    method: int
    blocks: list[Block]
    limits: Limits
    content: ByteSource | None = None

    @property
    def size(self) -> int:
        """What the folder unpacks to, as its blocks say."""
        return sum(each.size for each in self.blocks)

    def file(self, at: int, size: int) -> ByteSource:
        """A file of the folder; raises FormatError when it cannot be unpacked."""
        if self.content is None:
            self.content = self._unpacked()
        return self.content.window(at, size)

    def _unpacked(self) -> ByteSource:
        if self.method == STORED:
            for each in self.blocks:
                self._check(each)
            return Joined([self.source.window(each.at, each.packed) for each in self.blocks])
        if self.method != MSZIP:
            raise FormatError(f"{NAMES.get(self.method, self.method)} cannot be unpacked")
        return spool(bounded(self._inflated(), sum(each.packed for each in self.blocks), self.limits))

    def _inflated(self) -> Iterator[bytes]:
        before = b""
        for each in self.blocks:
            self._check(each)
            data = self.source.view(each.at, each.packed)
            if bytes(data[:2]) != b"CK" or each.size > _UNPACKED:
                raise FormatError(f"no MSZIP block at 0x{each.at:x}")
            decoder = zlib.decompressobj(-15, zdict=before) if before else zlib.decompressobj(-15)
            try:
                piece = decoder.decompress(data[2:], _UNPACKED + 1)
            except zlib.error as error:
                raise FormatError(f"broken MSZIP block at 0x{each.at:x}: {error}") from None
            if len(piece) != each.size:
                raise FormatError(f"the MSZIP block at 0x{each.at:x} unpacks to {len(piece)} bytes, not {each.size}")
            before = piece
            yield piece

    def _check(self, one: Block) -> None:
        if one.checksum:
            value = checksum(self.source.view(one.at, one.packed))
            if checksum(self.source.view(one.header + 4, 4)) ^ value != one.checksum:
                raise FormatError(f"the checksum of the block at 0x{one.header:x} is wrong")


def blocks(source: ByteSource, at: int, count: int, reserved: int) -> list[Block]:
    """The blocks of a folder, as far as they fit into the source."""
    found: list[Block] = []
    for _ in range(count):
        head = source.peek(at, _BLOCK.size)
        if len(head) < _BLOCK.size:
            break
        value, packed, size = _BLOCK.unpack(head)
        data = at + _BLOCK.size + reserved
        if data + packed > source.size or not packed:
            break
        found.append(Block(value, at, data, packed, size))
        at = data + packed
    return found


def checksum(data: memoryview | bytes) -> int:
    """The exclusive or of all little-endian words; up to three bytes more count from the highest down.

    Halves of a great number are combined until one word is left: native, where a loop over words would not be.
    """
    whole = len(data) & ~3
    value = int.from_bytes(data[:whole], "little")
    width = 32
    while width < whole * 8:
        width *= 2
    while width > 32:
        width //= 2
        value = (value >> width) ^ (value & ((1 << width) - 1))
    return value ^ int.from_bytes(data[whole:], "big")
