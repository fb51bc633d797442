"""littlefs, versions 1 and 2 (on disk 1.x, 2.0 and 2.1).

Layout of version 2: metadata pairs, two blocks each of which is a log of commits: revision (little-endian), then tags
(big-endian, each XORed with the one before; valid bit, type 11 bits, id 10, length 10) with their data, ended by a CRC tag. Pair
(0, 1) begins with the superblock entry: ``littlefs``, version, block size, block count, limits. Small files stand in the log;
others are skip lists: block n of a file begins with ctz(n) + 1 pointers to earlier ones (none for n = 0). Version 1 has one
commit per block, with entries of type, lengths, pointers, name. Source: littlefs SPEC.md and DESIGN.md (on-disk 2.1 and 1.2).
Modification times are the attribute ``t`` of the ports of ESP-IDF and Arduino.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._littlefs_blocks import (
    CTZ_STRUCT,
    DELETE,
    DIR_STRUCT,
    DIRECTORY,
    INLINE_STRUCT,
    REGULAR,
    SUPERBLOCK,
    Block,
    Member,
    Pair,
    read_v1,
    read_v2,
)
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

MAGIC = b"littlefs"
NULL = 0xFFFFFFFF
ROOT: Pair = (0, 1)
BLOCK_LIMIT = 1 << 20
SHOWN = 32  # bytes of an attribute
TIME = 0x74


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The superblock entry."""

    version: int
    block_size: int
    block_count: int
    root: Pair


def layout(source: ByteSource, offset: int) -> Layout:
    """The superblock entry of the block at ``offset``, its checksum not looked at; raises FormatError."""
    raw = source.peek(offset, 64)
    if raw[8:16] == MAGIC and len(raw) >= 44:
        version, size, count = unpack_from("<3I", raw, 20)
        root: Pair = ROOT
    elif raw[40:48] == MAGIC:
        *pair, size, count, version = unpack_from("<5I", raw, 20)
        root = (pair[0], pair[1])
    else:
        raise FormatError("no littlefs superblock")
    if version >> 16 not in (1, 2) or not 104 <= size <= BLOCK_LIMIT or count < 2:
        raise FormatError("impossible values in a littlefs superblock")
    return Layout(version=version, block_size=size, block_count=count, root=root)


class FileSystem:
    """A validated file system whose block 0 lies at ``offset``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.layout = one = layout(source, offset)
        self.problems: list[str] = []
        self.limits = limits
        self.offset = offset
        claimed = one.block_size * one.block_count
        if not self._first(source, offset):
            self.offset = offset - one.block_size
        self.size = min(claimed, source.size - self.offset)
        self.source = source.window(self.offset, self.size)
        if self.size < claimed:
            note(self.problems, f"the file system claims {claimed} bytes, {self.size} are there")
        self._free = one.block_count  # blocks no file has claimed yet: they are never shared
        self._gone: tuple[Pair, int] | None = None
        self.pairs = self.torn = 0
        root = self._pair(ROOT)
        if not root.members or root.members[0].type != SUPERBLOCK:
            raise FormatError("no littlefs superblock in the newest state of the first pair")

    def _first(self, source: ByteSource, offset: int) -> bool:
        """Whether the block at ``offset`` is the first of its pair; when only one is left, the room for the rest decides."""
        one = self.layout
        back = offset - one.block_size
        if back < 0 or source.peek(offset + one.block_size, 64).find(MAGIC) in (8, 40):
            return True
        return offset + one.block_size * one.block_count <= source.size

    def _block(self, number: int) -> Block | None:
        size = self.layout.block_size
        if number >= self.layout.block_count or (number + 1) * size > self.size:
            return None
        raw = self.source.read(number * size, size)
        return read_v2(raw) if self.layout.version >> 16 == 2 else read_v1(raw)

    def _pair(self, pair: Pair) -> Block:
        """The newer of the valid blocks of a pair; a member's place is made absolute. Raises FormatError without one."""
        found = [(number, block) for number in pair if (block := self._block(number)) is not None]
        if not found:
            raise FormatError(f"no valid block in the pair {pair[0]}, {pair[1]}")
        number, block = found[0]
        if len(found) == 2 and (found[1][1].revision - block.revision & 0xFFFFFFFF) < 1 << 31:
            number, block = found[1]
        for member in block.members:
            member.at += number * self.layout.block_size
        self.pairs += 1
        if self.pairs > 4 * self.layout.block_count:
            raise FormatError("directories share their blocks")
        self.torn += block.torn
        return block

    def _moving(self) -> tuple[Pair, int] | None:
        """The file that an interrupted move left behind, from the states of all pairs along the thread."""
        state = bytearray(12)
        pair: Pair | None = ROOT
        seen = set[Pair]()
        while pair is not None and NULL not in pair and pair not in seen and len(seen) < self.limits.nodes:
            seen.add(pair)
            try:
                block = self._pair(pair)
            except FormatError as error:
                note(self.problems, f"the thread through all directories breaks: {error}")
                break
            state = bytearray(a ^ b for a, b in zip(state, block.state.ljust(12, b"\0"), strict=False))
            pair = block.tail
        tag, *place = unpack_from("<3I", state)
        if tag >> 20 & 0x7FF != DELETE:
            return None
        note(self.problems, "a file was being moved when power failed: its old place is left out")
        return (place[0], place[1]), tag >> 10 & 0x3FF

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first; a pair that serves two directories is told and not read again."""
        self._gone = self._moving() if self.layout.version >> 16 == 2 else None
        pending: list[tuple[str, Pair]] = [("", self.layout.root)]
        seen: set[Pair] = set()
        while pending:
            path, pair = pending.pop()
            try:
                for member in self._members(path, pair, seen):
                    entry = self._member(path, member)
                    if entry is None:
                        continue
                    if entry.kind is NodeKind.DIRECTORY:
                        pending.append((entry.path, unpack_from("<2I", member.data)))
                    yield entry
            except FormatError as error:
                note(self.problems, f"{path or '/'}: {error}")
        if self.torn:
            note(self.problems, "a commit with a wrong checksum was left out, as a mount would")

    def _members(self, path: str, pair: Pair, seen: set[Pair]) -> Iterator[Member]:
        while NULL not in pair:
            key = (min(pair), max(pair))
            if key in seen:
                note(self.problems, f"{path or '/'}: shares a metadata pair with another directory, or with itself")
                return
            seen.add(key)
            block = self._pair(pair)
            for number, member in enumerate(block.members):
                if self._gone is None or (*sorted(self._gone[0]), self._gone[1]) != (*key, number):
                    yield member
            if not block.hard or block.tail is None:
                return
            pair = block.tail

    def _member(self, path: str, member: Member) -> Entry | None:
        if member.type == SUPERBLOCK or not (member.type or member.name):
            return None
        name = decoded(member.name)
        directory = member.type == DIRECTORY
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            note(self.problems, f"{path or '/'}: an impossible name {name!r}")
            return None
        if member.type not in (REGULAR, DIRECTORY) or (directory and (member.struct != DIR_STRUCT or len(member.data) < 8)):
            note(self.problems, f"{path}/{name}: an unknown type 0x{member.type:02x} with structure 0x{member.struct:03x}")
            return None
        entry = Entry(path=f"{path}/{name}", mode=0o755 if directory else 0o644, locality=self.offset + member.at)
        for key, value in member.attributes.items():
            entry.detail = {**entry.detail, f"attribute 0x{key:02x}": value[:SHOWN].hex()}
        when = member.attributes.get(TIME, b"")
        if len(when) in (4, 8):
            entry.mtime = int.from_bytes(when, "little") & 0xFFFFFFFFFF
        if directory:
            entry.kind = NodeKind.DIRECTORY
        elif member.struct == INLINE_STRUCT:
            entry.size = len(member.data)
            entry.offset = self.offset + member.at if member.data else None
            entry.open = partial(self.source.window, member.at, entry.size)
        elif member.struct == CTZ_STRUCT and len(member.data) >= 8:
            self._list(entry, *unpack_from("<2I", member.data))
        else:
            note(self.problems, f"{entry.path}: an unknown structure 0x{member.struct:03x}")
        return entry

    def _list(self, entry: Entry, head: int, size: int) -> None:
        """A file in a skip list."""
        entry.size = size
        if not size:
            entry.open = partial(Joined, [])
            return
        blocks = self._blocks(size)
        self._free -= blocks
        if self._free < 0:
            note(self.problems, f"{entry.path}: the files claim more blocks than there are")
            return
        entry.locality = self.offset + head * self.layout.block_size
        if blocks == 1 and head * self.layout.block_size + size <= self.size:
            entry.offset = entry.locality
        entry.open = partial(self._content, head, size, blocks)

    def _blocks(self, size: int) -> int:
        """How many blocks a file takes with the pointers it needs."""
        count, room = 0, 0
        while room < size:
            room += self.layout.block_size - _pointers(count) * 4
            count += 1
            if count > self._free:
                return self._free + 1
        return count

    def _content(self, head: int, size: int, blocks: int) -> ByteSource:
        """Follows the nearest pointers from the last block to the first."""
        block_size = self.layout.block_size
        room = [block_size - _pointers(index) * 4 for index in range(blocks)]
        room[-1] = size - sum(room[:-1])
        pieces: list[ByteSource | int] = []
        for index in range(blocks - 1, -1, -1):
            if head >= self.layout.block_count:
                raise FormatError(f"block {head} of {self.layout.block_count} in the list of a file")
            at = head * block_size
            pieces.append(self.source.window(at + _pointers(index) * 4, room[index]))
            if index:
                head = unpack_from("<I", self.source.read(at, 4))[0]
        return Joined(reversed(pieces))


def _pointers(index: int) -> int:
    """How many pointers the block of this number in a file begins with: trailing zero bits and one."""
    return (index & -index).bit_length()


class Littlefs(Format):
    """The file system of microcontrollers whose power may fail."""

    name = "littlefs"
    title = "littlefs"
    specification = "littlefs SPEC.md, on-disk versions 2.1, 2.0 and 1.x"
    category = "flash"
    reads = (
        "versions 2.0, 2.1 and 1.x: commits with their CRC32, both blocks of each pair, skip lists, inline files, attributes, "
        "split directories, interrupted moves; superblock in either block"
    )
    not_read = "deleted files in older commits; forward checksums, which only a writer needs"
    signatures = (
        Signature(pattern=rb"\xF0\x0F\xFF\xF7littlefs", width=12, offset=4),
        Signature(pattern=rb"\x2E\x14\x00\x08.{16}..\x01\x00littlefs", width=32, offset=16),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset, limits)
        one = system.layout
        detail: dict[str, str | int] = {
            "version": f"{one.version >> 16}.{one.version & 0xFFFF}", "block_size": one.block_size, "blocks": one.block_count,
            "integrity": "checksum", "integrity_detail": "CRC32 of each metadata commit right; file contents have none",
        }  # fmt: skip
        return Container(
            format=self.name, size=system.size - (offset - system.offset), before=offset - system.offset, entries=system.walk(),
            detail=detail, problems=system.problems,
        )  # fmt: skip


FORMATS = (Littlefs(),)
