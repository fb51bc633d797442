"""Walks the directories of a SquashFS image: every directory once, every entry checked, damage recorded and stepped over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._squashfs_attributes import NONE, Attributes
from fwcheck.extraction.formats._squashfs_blocks import Blocks
from fwcheck.extraction.formats._squashfs_content import content
from fwcheck.extraction.formats._squashfs_layout import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    METADATA_SIZE,
    NO_FRAGMENT,
    SYMLINK,
    Inode,
)
from fwcheck.extraction.limits import Limits
from fwcheck.model import NodeKind

PROBLEMS = 100  # listed one by one; the rest is counted
TEXT_LIMIT = 128 << 20  # bytes of listings, paths and link targets: overlapping directories must not multiply them
PATH_LIMIT = 4096  # Linux' PATH_MAX, for paths and link targets
NAME_LIMIT = 256
_LARGEST_INODE = 56
_RUN = 256  # entries that follow one listing header, at most

Place = tuple[int, int]  # metadata block, offset in it


class Listing:
    """The entries of one image. ``problems`` grows while they are walked."""

    def __init__(self, blocks: Blocks, limits: Limits, problems: list[str]) -> None:
        self._blocks = blocks
        self._layout = blocks.layout
        self._head = blocks.head
        self._limits = limits
        self.problems = problems
        self._suppressed = 0
        self._users: list[int] = []
        self._groups: list[int] = []
        self._strays = 0
        self._met = 1
        self._text = TEXT_LIMIT
        self._fragment_starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._attributes = Attributes(blocks)

    def root(self) -> Inode:
        """The root directory's inode; raises FormatError when there is no such directory."""
        at, offset = self._root_place()
        inode = self._inode(self._inode_block(at), offset)
        if inode.kind != DIRECTORY:
            raise FormatError("squashfs root inode is no directory")
        return inode

    def root_is_sound(self) -> bool:
        """Whether the root directory reads as such. Raises FormatError when a block of it does not unpack."""
        for at, run in self._runs(self.root()):
            if at >= self._head.directories_start:
                return False
            return not any(_unfit(name) or offset >= METADATA_SIZE for offset, name in run)
        return True

    def probes(self) -> list[int]:
        """Metadata blocks on which the compression can be judged."""
        return [self._root_place()[0], self._head.directories_start]

    def entries(self) -> Iterator[Entry]:
        """All members, each directory before what is in it.

        Raises QuotaExceeded when there are more than the limits allow, FormatError when the root cannot be read.
        """
        try:
            self._users, self._groups = self._blocks.identities()
        except FormatError as error:
            self._problem(f"owners are not known: {error}")
        place = self._root_place()
        root = self.root()
        seen = {place}
        listings: set[Place] = set()
        entry = self._entry("/", root, place)
        if root.xattr != NONE:
            self._describe(entry, root)
        yield entry
        stack = [("/", root)]
        while stack:
            path, directory = stack.pop()
            prefix = path if path == "/" else path + "/"
            if len(prefix) > PATH_LIMIT - NAME_LIMIT:
                self._problem(f"{path[:64]}...: nested too deeply")
                continue
            if self._size(directory):
                where = (directory.start, directory.offset)
                if where in listings:
                    self._problem(f"{path}: shares its listing with another directory")
                    continue
                listings.add(where)
            below: list[tuple[str, Inode]] = []
            for name, inode, at in self._members(path, directory):
                inner = prefix + name
                if inode.kind == DIRECTORY:
                    if at in seen:
                        self._problem(f"{inner}: a directory that was met before (loop)")
                        continue
                    seen.add(at)
                    below.append((inner, inode))
                try:
                    entry = self._entry(inner, inode, at)
                    if inode.xattr != NONE:
                        self._describe(entry, inode)
                except FormatError as error:
                    self._problem(f"{inner}: {error}")
                    continue
                yield entry
            stack += reversed(below)
        self._blocks.fragment_ends = self._ends
        if self._suppressed:
            self.problems.append(f"and {self._suppressed} problems more")

    def _members(self, path: str, directory: Inode) -> Iterator[tuple[str, Inode, Place]]:
        names: set[bytes] = set()
        try:
            for at, run in self._runs(directory):
                self._spend(len(path) * len(run))
                self._met += len(run)
                if self._met > self._limits.nodes:
                    raise QuotaExceeded(f"squashfs with more than {self._limits.nodes} entries")
                try:
                    block = self._inode_block(at)
                except FormatError as error:
                    self._problem(f"{path}: {len(run)} entries from {run[0][1][:64]!r} on: {error}")
                    continue
                for offset, name in run:
                    if _unfit(name):
                        self._problem(f"{path}: entry with the impossible name {name[:64]!r}")
                        continue
                    if name in names:
                        self._problem(f"{path}: second entry named {name[:64]!r}")
                        continue
                    names.add(name)
                    try:
                        inode = self._inode(block, offset)
                    except FormatError as error:
                        self._problem(f"{path}: entry {name[:64]!r}: {error}")
                        continue
                    yield name.decode("utf-8", "surrogateescape"), inode, (at, offset)
        except FormatError as error:
            self._problem(f"{path}: directory cut short: {error}")

    def _size(self, directory: Inode) -> int:
        return max(directory.size - self._layout.listing_excess, 0)

    def _runs(self, directory: Inode) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
        """The entries of a directory in runs: a metadata block, and for each entry its inode's offset in it and its name.

        Raises FormatError.
        """
        size = self._size(directory)
        if not size:
            return
        self._spend(size)
        data = self._blocks.span(self._head.directories_start + directory.start, directory.offset, size)
        header, entry = self._layout.header, self._layout.entry
        unpack, width = entry.unpack, entry.size
        at = 0
        try:
            while at < size:
                count, start = header.unpack(data, at)
                at += header.size
                if count >= _RUN:
                    raise FormatError(f"listing with a run of {count + 1} entries")
                run: list[tuple[int, bytes]] = []
                for _ in range(count + 1):
                    offset, length = unpack(data, at)
                    at += width
                    run.append((offset, data[at : at + length + 1]))
                    at += length + 1
                if at > size:
                    raise FormatError("listing ends inside a name")
                yield self._head.inodes_start + start, run
        except struct.error:
            raise FormatError("listing ends inside an entry") from None

    def _root_place(self) -> Place:
        return self._head.inodes_start + (self._head.root >> 16), self._head.root & 0xFFFF

    def _inode_block(self, at: int) -> tuple[bytes, int]:
        if at >= self._head.directories_start:
            raise FormatError("inode outside the inode table")
        return self._blocks.metadata(at)

    def _inode(self, block: tuple[bytes, int], offset: int) -> Inode:
        data, following = block
        try:
            if offset + _LARGEST_INODE > len(data) and following < self._head.directories_start:
                data, offset = data[offset:] + self._blocks.metadata(following)[0][:_LARGEST_INODE], 0
            return self._layout.inode(data, offset)
        except struct.error:
            raise FormatError("inode cut short") from None

    def _entry(self, path: str, inode: Inode, place: Place) -> Entry:
        kind = inode.kind
        users, groups = self._users, self._groups
        uid = users[inode.uid] if inode.uid < len(users) else self._unowned(path)
        gid = groups[inode.gid] if inode.gid < len(groups) else uid if self._head.version < 4 else 0
        mtime = inode.mtime or (self._head.created if self._head.version < 3 else 0)
        mode = inode.mode & 0o7777
        if kind == FILE:
            return Entry(
                path=path, size=inode.size, mode=mode, uid=uid, gid=gid, mtime=mtime, locality=self._locality(inode),
                open=partial(content, self._blocks, inode, *place, self._limits),
            )  # fmt: skip
        if kind == DIRECTORY:
            return Entry(path=path, kind=NodeKind.DIRECTORY, mode=mode, uid=uid, gid=gid, mtime=mtime)
        if kind == SYMLINK:
            if inode.size > PATH_LIMIT:
                raise FormatError(f"link target of {inode.size} bytes")
            self._spend(inode.size)
            target = self._blocks.span(place[0], place[1] + inode.length, inode.size).decode("utf-8", "surrogateescape")
            return Entry(path=path, kind=NodeKind.SYMLINK, mode=mode, uid=uid, gid=gid, mtime=mtime, target=target)
        return Entry(path=path, kind=NodeKind.DEVICE, mode=mode, uid=uid, gid=gid, mtime=mtime, device=_device(inode))

    def _describe(self, entry: Entry, inode: Inode) -> None:
        """Adds extended attributes; those that cannot be read are a problem of their own."""
        try:
            rows = self._attributes.of(inode.xattr)
        except FormatError as error:
            self._problem(f"{entry.path}: {error}")
            return
        self._spend(sum(len(str(value)) for value in rows.values()))
        entry.detail = rows

    def _locality(self, inode: Inode) -> int:
        """Where the packed bytes of a file begin; a fragment's place for a file without blocks of its own."""
        fragment = inode.fragment
        if fragment == NO_FRAGMENT or fragment >= self._head.fragments:
            return inode.start
        step = self._head.block_size
        end = inode.offset + inode.size % step
        if end <= step and end > self._ends.get(fragment, 0):
            self._ends[fragment] = end
        if inode.size >= step:
            return inode.start
        start = self._fragment_starts.get(fragment)
        if start is None:
            try:
                start, _ = self._blocks.fragment_entry(fragment)
            except FormatError:
                start = 0
            self._fragment_starts[fragment] = start
        return start

    def _unowned(self, path: str) -> int:
        if self._users and not self._strays:
            self._problem(f"{path}: owner is outside the table of users")
        self._strays += 1
        return 0

    def _spend(self, text: int) -> None:
        self._text -= text
        if self._text < 0:
            raise QuotaExceeded(f"squashfs listing of more than {TEXT_LIMIT} bytes")

    def _problem(self, text: str) -> None:
        if len(self.problems) < PROBLEMS:
            self.problems.append(text)
        else:
            self._suppressed += 1


def _unfit(name: bytes) -> bool:
    return not 0 < len(name) <= NAME_LIMIT or b"/" in name or b"\0" in name or name in {b".", b".."}


def _device(inode: Inode) -> str:
    """``c 5:1``, ``b 31:0``, ``fifo`` or ``socket``; device numbers in Linux' new encoding, of which the old one is a part."""
    if inode.kind in {BLOCK_DEVICE, CHARACTER_DEVICE}:
        major, minor = inode.rdev >> 8 & 0xFFF, inode.rdev & 0xFF | inode.rdev >> 12 & 0xFFF00
        return f"{'b' if inode.kind == BLOCK_DEVICE else 'c'} {major}:{minor}"
    return "fifo" if inode.kind == FIFO else "socket"
