"""Hash trees of dm-verity: where their levels lie, and whether each agrees with the one above it and with the data.

The lowest level holds the digests of all data blocks, each level above those of the blocks of the one below, up to a single
block whose digest is the root. Levels lie from the top down. As many digests share a block as the largest power of two that
fits; in version 1 each is padded to its share of the block and the salt is hashed in front of a block, in version 0 digests are
packed and the salt is hashed behind it. Source: ``drivers/md/dm-verity-target.c`` of Linux and its documentation,
``admin-guide/device-mapper/verity``.
"""

from __future__ import annotations

import hashlib

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.source import ByteSource

CHECKED = 2048  # blocks that are hashed: of the tree, and of the data
_LEVELS = 20
ALGORITHMS = frozenset({"sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "blake2b-256"})


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A hash tree at ``at`` of a source, over ``blocks`` blocks of data."""

    algorithm: str
    salt: bytes
    data_block: int
    hash_block: int
    blocks: int
    at: int
    version: int = 1

    @property
    def digest_size(self) -> int:
        return hashlib.new(self.algorithm, usedforsecurity=False).digest_size

    @property
    def per_block(self) -> int:
        return 1 << (self.hash_block // self.digest_size).bit_length() - 1

    def levels(self) -> list[tuple[int, int]]:
        """Offset and blocks of each level, from the lowest up; raises FormatError for a tree that cannot be."""
        if self.algorithm not in ALGORITHMS or self.hash_block < 2 * self.digest_size:
            raise FormatError(f"a hash tree of {self.algorithm}")
        counts = []
        count = self.blocks
        while count > 1:
            count = -(-count // self.per_block)
            counts.append(count)
            if len(counts) > _LEVELS:
                raise FormatError("a hash tree without an end")
        at = self.at
        out = []
        for count in reversed(counts):
            out.append((at, count))
            at += count * self.hash_block
        return out[::-1]

    @property
    def size(self) -> int:
        return sum(count for _, count in self.levels()) * self.hash_block

    def digest(self, data: memoryview | bytes) -> bytes:
        state = hashlib.new(self.algorithm, self.salt if self.version else b"", usedforsecurity=False)
        state.update(data)
        if not self.version:
            state.update(self.salt)
        return state.digest()

    def entry(self, source: ByteSource, level: tuple[int, int], index: int) -> bytes:
        """The digest number ``index`` of a level."""
        block, inside = divmod(index, self.per_block)
        stride = self.hash_block // self.per_block if self.version else self.digest_size
        return source.read(level[0] + block * self.hash_block + inside * stride, self.digest_size)

    def root(self, source: ByteSource) -> bytes:
        """The digest of the topmost block; raises FormatError where there is no level."""
        levels = self.levels()
        if not levels:
            raise FormatError("a hash tree without a level")
        return self.digest(source.view(levels[-1][0], self.hash_block))

    def broken(self, source: ByteSource) -> tuple[int, int]:
        """Of the tree's blocks below the topmost: how many were hashed, and how many differ from the digest above them."""
        levels, done, wrong = self.levels(), 0, 0
        for number in range(len(levels) - 1, 0, -1):
            at, count = levels[number - 1]
            for index in range(min(count, CHECKED - done)):
                block = source.view(at + index * self.hash_block, self.hash_block)
                wrong += self.digest(block) != self.entry(source, levels[number], index)
                done += 1
        return done, wrong

    def differing(self, source: ByteSource, data: int, limit: int = CHECKED) -> tuple[int, int]:
        """Of the data blocks from ``data`` on: how many were hashed, and how many differ from their digest."""
        levels, wrong = self.levels(), 0
        count = min(self.blocks, limit) if levels else 0
        for index in range(count):
            block = source.view(data + index * self.data_block, self.data_block)
            wrong += self.digest(block) != self.entry(source, levels[0], index)
        return count, wrong


def words(tree: Tree, source: ByteSource, data: int | None) -> tuple[str, bool]:
    """What checking the tree and the data gave, and whether all of it was right; raises FormatError outside the source."""
    done, wrong = tree.broken(source)
    said = [
        f"{wrong} of {done} checked blocks of the tree differ from the digest above" if wrong else "the tree agrees with itself"
    ]
    if data is not None:
        count, differing = tree.differing(source, data)
        part = "all" if count == tree.blocks else f"the first {count}"
        said.append(f"{differing} of {count} data blocks differ" if differing else f"{part} data blocks agree with it")
        wrong += differing
    return ", ".join(said), not wrong
