"""SquashFS on-disk records of versions 1 to 4, in both byte orders, as tables of field widths.

Versions 1 to 3 are C bit-fields: allocated from the least significant bit on a little-endian maker, from the most significant
on a big-endian one. Version 4 knows whole bytes only. One table serves all: a record of whole bytes compiles to a
:class:`struct.Struct`, any other to shifts over one integer.

Source: ``fs/squashfs/squashfs_fs.h`` of Linux (version 4) and ``squashfs_compat.h`` of squashfs-tools (versions 1 to 3).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Literal, NamedTuple

from fwcheck.extraction.errors import FormatError

ByteOrder = Literal["little", "big"]
Field = tuple[str, int]  # name, width in bits
Values = tuple[int, ...]
Unpack = Callable[[bytes | memoryview, int], Values]

METADATA_SIZE = 8192
NO_FRAGMENT = 0xFFFFFFFF
NO_ATTRIBUTES = 0xFFFFFFFF

DIRECTORY, FILE, SYMLINK, BLOCK_DEVICE, CHARACTER_DEVICE, FIFO, SOCKET = range(1, 8)
EXTENDED = 7  # an extended inode's type is its basic type plus this


class Record:
    """A packed record: ``size`` bytes, and how to unpack the wanted fields of it (a missing one reads as its default)."""

    def __init__(self, order: ByteOrder, fields: tuple[Field, ...], wanted: tuple[Field, ...]) -> None:
        bits = sum(width for _, width in fields)
        self.size = bits // 8
        self.unpack = self._bytes(order, fields, wanted) if self._whole(fields) else self._bits(order, fields, wanted, bits)

    @staticmethod
    def _whole(fields: tuple[Field, ...]) -> bool:
        return all(width in _CODES for _, width in fields)

    @staticmethod
    def _bytes(order: ByteOrder, fields: tuple[Field, ...], wanted: tuple[Field, ...]) -> Unpack:
        unpack = struct.Struct((">" if order == "big" else "<") + "".join(_CODES[width] for _, width in fields)).unpack_from
        names = [name for name, _ in fields]
        defaults = tuple(default for name, default in wanted if name not in names)
        missing = [name for name, _ in wanted if name not in names]
        pick = itemgetter(*((names + missing).index(name) for name, _ in wanted))
        return lambda data, at: pick(unpack(data, at) + defaults)

    @staticmethod
    def _bits(order: ByteOrder, fields: tuple[Field, ...], wanted: tuple[Field, ...], bits: int) -> Unpack:
        places: dict[str, tuple[int, int]] = {}
        low = 0
        for name, width in fields:
            places[name] = (low if order == "little" else bits - low - width, (1 << width) - 1)
            low += width
        missing = dict(wanted)
        # Defaults are laid above the record's own bits, so that every wanted field is one shift and one mask.
        above = 0
        plan: list[tuple[int, int]] = []
        for name, _ in wanted:
            if name not in places:
                position = bits + 32 * len(plan)
                above |= missing[name] << position
                places[name] = (position, 0xFFFFFFFF)
            plan.append(places[name])
        size = bits // 8

        def unpack(data: bytes | memoryview, at: int) -> Values:
            raw = data[at : at + size]
            if len(raw) != size:
                raise struct.error("record cut short")
            value = int.from_bytes(raw, order) | above
            return tuple([(value >> shift) & mask for shift, mask in plan])

        return unpack


_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}


class Inode(NamedTuple):
    """An inode of any version. ``kind`` is the basic type; ``size`` the bytes of a file, listing or link target.

    ``start`` is the first data block of a file, or the metadata block of a directory's listing; ``offset`` the place inside
    the fragment or that block; ``length`` the bytes of the fixed part, after which block sizes or link target follow.
    """

    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    number: int
    size: int
    start: int
    offset: int
    fragment: int
    rdev: int
    xattr: int
    length: int


_INODE: tuple[Field, ...] = (
    ("mode", 0), ("uid", 0), ("gid", 0), ("mtime", 0), ("number", 0), ("size", 0), ("start", 0), ("offset", 0),
    ("fragment", NO_FRAGMENT), ("rdev", 0), ("xattr", NO_ATTRIBUTES),
)  # fmt: skip

_BASE_4: tuple[Field, ...] = (("type", 16), ("mode", 16), ("uid", 16), ("gid", 16), ("mtime", 32), ("number", 32))
_BASE_3: tuple[Field, ...] = (("type", 4), ("mode", 12), ("uid", 8), ("gid", 8), ("mtime", 32), ("number", 32))
_BASE_2: tuple[Field, ...] = (("type", 4), ("mode", 12), ("uid", 8), ("gid", 8))
_BASE_1: tuple[Field, ...] = (("type", 4), ("mode", 12), ("uid", 4), ("gid", 4))

_LINKS: Field = ("links", 32)
_START: Field = ("start", 32)
_TAIL: tuple[Field, ...] = (("fragment", 32), ("offset", 32))

# Type to fields, per version. Extended types add 7; those that differ by a trailing attribute index alone share a row.
_INODES: dict[int, dict[int, tuple[Field, ...]]] = {
    4: {
        DIRECTORY: (*_BASE_4, _START, _LINKS, ("size", 16), ("offset", 16), ("parent", 32)),
        FILE: (*_BASE_4, _START, *_TAIL, ("size", 32)),
        SYMLINK: (*_BASE_4, _LINKS, ("size", 32)),
        BLOCK_DEVICE: (*_BASE_4, _LINKS, ("rdev", 32)),
        FIFO: (*_BASE_4, _LINKS),
        DIRECTORY + EXTENDED: (
            *_BASE_4, _LINKS, ("size", 32), _START, ("parent", 32), ("indices", 16), ("offset", 16), ("xattr", 32),
        ),
        FILE + EXTENDED: (*_BASE_4, ("start", 64), ("size", 64), ("sparse", 64), _LINKS, *_TAIL, ("xattr", 32)),
    },
    3: {
        DIRECTORY: (*_BASE_3, _LINKS, ("size", 19), ("offset", 13), _START, ("parent", 32)),
        FILE: (*_BASE_3, ("start", 64), *_TAIL, ("size", 32)),
        SYMLINK: (*_BASE_3, _LINKS, ("size", 16)),
        BLOCK_DEVICE: (*_BASE_3, _LINKS, ("rdev", 16)),
        FIFO: (*_BASE_3, _LINKS),
        DIRECTORY + EXTENDED: (*_BASE_3, _LINKS, ("size", 27), ("offset", 13), _START, ("indices", 16), ("parent", 32)),
        FILE + EXTENDED: (*_BASE_3, _LINKS, ("start", 64), *_TAIL, ("size", 64)),
    },
    2: {
        DIRECTORY: (*_BASE_2, ("size", 19), ("offset", 13), ("mtime", 32), ("start", 24)),
        FILE: (*_BASE_2, ("mtime", 32), _START, *_TAIL, ("size", 32)),
        SYMLINK: (*_BASE_2, ("size", 16)),
        BLOCK_DEVICE: (*_BASE_2, ("rdev", 16)),
        FIFO: _BASE_2,
        DIRECTORY + EXTENDED: (*_BASE_2, ("size", 27), ("offset", 13), ("mtime", 32), ("start", 24), ("indices", 16)),
    },
    1: {
        DIRECTORY: (*_BASE_1, ("size", 19), ("offset", 13), ("mtime", 32), ("start", 24)),
        FILE: (*_BASE_1, ("mtime", 32), _START, ("size", 32)),
        SYMLINK: (*_BASE_1, ("size", 16)),
        BLOCK_DEVICE: (*_BASE_1, ("rdev", 16)),
    },
}  # fmt: skip

# Version 1 folds FIFOs and sockets into type 0, which names the real type and the sixteen user ids that ``uid`` chooses from.
_IPC_1: tuple[Field, ...] = (*_BASE_1, ("kind", 4), ("group", 4))
_IPC_1_WANTED: tuple[Field, ...] = (("mode", 0), ("uid", 0), ("gid", 0), ("kind", 0), ("group", 0))
_TYPES_1 = 5  # version 1 repeats its five other types for every further sixteen user ids

_LISTING_HEADER: dict[int, tuple[Field, ...]] = {
    4: (("count", 32), ("start", 32), ("number", 32)),
    3: (("count", 8), ("start", 32), ("number", 32)),
    2: (("count", 8), ("start", 24)),
}
_LISTING_ENTRY: dict[int, tuple[Field, ...]] = {
    4: (("offset", 16), ("number", 16), ("type", 16), ("size", 16)),
    3: (("offset", 13), ("type", 3), ("size", 8), ("number", 16)),
    2: (("offset", 13), ("type", 3), ("size", 8)),
}
_FRAGMENT: dict[int, tuple[Field, ...]] = {
    4: (("start", 64), ("size", 32), ("unused", 32)),
    3: (("start", 64), ("size", 32), ("unused", 32)),
    2: (("start", 32), ("size", 32)),
}


class Layout:
    """The records of one version in one byte order. ``listing_excess`` is what a directory's size counts too much."""

    def __init__(self, version: int, order: ByteOrder) -> None:
        self.version = version
        self.order: ByteOrder = order
        later = max(version, 2)
        self.header = Record(order, _LISTING_HEADER[later], (("count", 0), ("start", 0)))
        self.entry = Record(order, _LISTING_ENTRY[later], (("offset", 0), ("size", 0)))
        self.fragment = Record(order, _FRAGMENT[later], (("start", 0), ("size", 0)))
        self.listing_excess = 3 if version >= 3 else 0
        self.pointer = 8 if version >= 3 else 4  # bytes of an index entry that points to a metadata block
        self.block_word = 2 if version == 1 else 4  # bytes of one stored-size word in a file's block list
        self._kinds: dict[int, Unpack] = {}
        for type_, fields in _INODES[version].items():
            size = sum(width for _, width in fields) // 8
            for alias in _aliases(version, type_):
                kind = (alias - 1) % EXTENDED + 1
                self._kinds[alias] = Record(order, fields, (("kind", kind), *_INODE, ("length", size))).unpack
        self._ipc = Record(order, _IPC_1, _IPC_1_WANTED)
        self._big = order == "big"

    def inode(self, data: bytes | memoryview, at: int) -> Inode:
        """The inode at ``at``; raises FormatError for an unknown type, struct.error when ``data`` ends inside it."""
        try:
            first = data[at]
            if self.version == 4:
                type_ = data[at + 1] | first << 8 if self._big else first | data[at + 1] << 8
            else:
                type_ = first >> 4 if self._big else first & 15
        except IndexError:
            raise struct.error("inode cut short") from None
        if self.version == 1:
            return self._inode_1(data, at, type_)
        try:
            unpack = self._kinds[type_]
        except KeyError:
            raise FormatError(f"inode of unknown type {type_}") from None
        return Inode._make(unpack(data, at))

    def _inode_1(self, data: bytes | memoryview, at: int, type_: int) -> Inode:
        if type_ == 0:
            mode, uid, gid, kind, group = self._ipc.unpack(data, at)
            kind = SOCKET if kind == SOCKET else FIFO
            return Inode(kind, mode, group * 16 + uid, gid, 0, 0, 0, 0, 0, NO_FRAGMENT, 0, NO_ATTRIBUTES, self._ipc.size)
        group, kind = divmod(type_ - 1, _TYPES_1)
        found = Inode._make(self._kinds[kind + 1](data, at))
        return found._replace(uid=group * 16 + found.uid)


def _aliases(version: int, type_: int) -> tuple[int, ...]:
    """The types that share a record: both kinds of device, FIFO and socket, and in version 4 their extended forms."""
    both = (type_, type_ + 1) if type_ in (BLOCK_DEVICE, FIFO) else (type_,)
    alike = version == 4 and type_ in (SYMLINK, BLOCK_DEVICE, FIFO)
    return both + tuple(each + EXTENDED for each in both) if alike else both


@cache
def layout(version: int, order: ByteOrder) -> Layout:
    """The layout of version 1, 2, 3 or 4."""
    return Layout(version, order)
