"""Descriptors of a vbmeta image: what it says of partitions, and whether bytes that are at hand agree.

Big-endian; tag (8), bytes that follow (8). 0, a property: sizes of key and value (8 + 8), both ended by a zero. 1, a hash tree:
dm-verity version (4), image size, offset and size of the tree (3 x 8), block sizes of data and hashes (4 + 4), roots, offset and
size of the error correction (4 + 8 + 8), algorithm (32), sizes of name, salt and root (3 x 4), flags (4), unused (60). 2, a hash:
image size (8), algorithm (32), sizes of name, salt and digest (3 x 4), flags (4), unused (60). 3, a command line: flags, size.
4, a chained partition: rollback index location, sizes of name and key (4 each), flags (4), unused (60).
Source: ``libavb/avb_*_descriptor.h`` of Android.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.formats._verity_tree import Tree
from fwcheck.extraction.formats._verity_tree import words as tree_words
from fwcheck.extraction.source import ByteSource

_HEAD = Struct(">QQ")
_TREE = Struct(">I3QIII2Q32s4I60x")
_HASH = Struct(">Q32s4I60x")
_CHAIN = Struct(">4I60x")
_LIMIT = 1000


class Property(msgspec.Struct, frozen=True):
    key: str
    value: str


class CommandLine(msgspec.Struct, frozen=True):
    flags: int
    text: str


class Chain(msgspec.Struct, frozen=True):
    name: str
    location: int
    key: bytes


class Hash(msgspec.Struct, frozen=True, kw_only=True):
    """The digest of a whole partition."""

    name: str
    size: int
    algorithm: str
    salt: bytes
    digest: bytes

    def check(self, source: ByteSource) -> bool:
        """Whether the image at the begin of the source has this digest; raises FormatError where it cannot be told."""
        if self.algorithm not in {"sha1", "sha256", "sha512"}:
            raise FormatError(f"the unknown algorithm {self.algorithm}")
        state = hashlib.new(self.algorithm, self.salt, usedforsecurity=False)
        for chunk in source.window(0, self.size).chunks():
            state.update(chunk)
        return state.digest() == self.digest


class HashTree(msgspec.Struct, frozen=True, kw_only=True):
    """The hash tree of a partition and its root."""

    name: str
    size: int
    algorithm: str
    salt: bytes
    root: bytes
    tree_at: int
    tree_size: int
    data_block: int
    hash_block: int

    def check(self, source: ByteSource) -> tuple[str, bool]:
        """What recomputing the tree of the partition gave; raises FormatError where it cannot be."""
        if not (self.data_block and self.hash_block and self.size % self.data_block == 0 and self.size > self.data_block):
            raise FormatError("a hash tree of no blocks")
        tree = Tree(
            algorithm=self.algorithm, salt=self.salt, data_block=self.data_block, hash_block=self.hash_block,
            blocks=self.size // self.data_block, at=self.tree_at,
        )  # fmt: skip
        tree.levels()
        if tree.size > self.tree_size:
            raise FormatError("a hash tree larger than its place")
        right = tree.root(source) == self.root
        said, sound = tree_words(tree, source, 0)
        return f"root {'right' if right else 'wrong'}, {said}", right and sound


Descriptor = Property | CommandLine | Chain | Hash | HashTree


def descriptors(raw: bytes, problems: list[str]) -> Iterator[Descriptor]:
    """Every descriptor that is understood; a broken one is a problem and ends them."""
    at = 0
    for _ in range(_LIMIT):
        if at + 16 > len(raw):
            return
        tag, following = _HEAD.unpack_from(raw, at)
        body = raw[at + 16 : at + 16 + following]
        if len(body) < following:
            problems.append(f"descriptor {tag} reaches beyond its block")
            return
        if tag < len(_READERS):
            try:
                yield _READERS[tag](_Fields(body))
            except FormatError as error:
                problems.append(f"descriptor {tag}: {error}")
                return
        at += 16 + following


class _Fields:
    """Takes one field after the other; raises FormatError when one reaches beyond the end."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def fixed(self, layout: Struct) -> tuple[int, ...]:
        values: tuple[int, ...] = layout.unpack(self.take(layout.size))
        return values

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._raw):
            raise FormatError("a field reaches beyond its end")
        self._at += size
        return self._raw[self._at - size : self._at]


def _property(fields: _Fields) -> Property:
    key, value = fields.fixed(_HEAD)
    name = fields.take(key + 1)
    return Property(words(name), words(fields.take(value + 1)))


def _hash_tree(fields: _Fields) -> HashTree:
    _, size, tree_at, tree_size, data, block, _, _, _, algorithm, name, salt, root, _ = _TREE.unpack(fields.take(_TREE.size))
    return HashTree(
        name=words(fields.take(name)), size=size, algorithm=words(algorithm), salt=fields.take(salt), root=fields.take(root),
        tree_at=tree_at, tree_size=tree_size, data_block=data, hash_block=block,
    )  # fmt: skip


def _hash(fields: _Fields) -> Hash:
    size, algorithm, name, salt, digest, _ = _HASH.unpack(fields.take(_HASH.size))
    return Hash(
        name=words(fields.take(name)), size=size, algorithm=words(algorithm), salt=fields.take(salt), digest=fields.take(digest)
    )


def _command_line(fields: _Fields) -> CommandLine:
    flags, size = fields.fixed(Struct(">II"))
    return CommandLine(flags, words(fields.take(size)))


def _chain(fields: _Fields) -> Chain:
    location, name, key, _ = fields.fixed(_CHAIN)
    return Chain(words(fields.take(name)), location, fields.take(key))


_READERS = (_property, _hash_tree, _hash, _command_line, _chain)
