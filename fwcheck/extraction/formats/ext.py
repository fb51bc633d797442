"""ext2, ext3 and ext4: superblock, block maps, extent trees, inline data, linear directories.

Layout from the Linux kernel documentation, ``filesystems/ext4``, and ``fs/ext4/ext4.h``. All fields are little-endian.
The checksum of the superblock is verified, those of other metadata are not; the journal is not replayed, which is said when it
would be needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import Struct, unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._ext_attributes import SYSTEM, Attribute, encryption, of_block, of_inode, shown
from fwcheck.extraction.formats._ext_super import (
    COMPAT_SPARSE_SUPER2,
    INCOMPAT_JOURNAL_DEVICE,
    INCOMPAT_KNOWN,
    INCOMPAT_META_BG,
    INCOMPAT_RECOVER,
    RO_SHARED_BLOCKS,
    RO_SPARSE_SUPER,
    SUPERBLOCK,
    checksum,
    superblock,
)
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

ROOT = 2  # inode number

FLAG_ENCRYPTED = 0x800
FLAG_EXTENTS = 0x80000
FLAG_VERITY = 0x100000
FLAG_INLINE = 0x10000000

EXTENT_MAGIC = 0xF30A
EXTENT_DEPTH = 5
EXTENT_WRITTEN = 0x8000  # a greater length is that of an extent allocated but never written
ENCRYPTED_NAME = 48  # characters of an encrypted name that are shown
ATTRIBUTE_BLOCKS = 64  # kept: many inodes share one

# i_mode, i_uid, i_size_lo, i_mtime, i_dtime, i_gid, i_links_count, i_blocks_lo, i_flags
_INODE = Struct("<HHI8xIIHHII")

Run = tuple[int, int, int]  # first logical block, first physical block, blocks


class Inode(msgspec.Struct, kw_only=True):
    """One inode, and where it stands in the source."""

    number: int
    at: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int
    flags: int
    blocks: int  # in units of 512 bytes
    acl: int  # block of extended attributes
    block: bytes  # i_block, 60 bytes
    body: bytes  # what follows the first 128 bytes

    @property
    def kind(self) -> NodeKind:
        return {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}.get(
            self.mode & 0o170000, NodeKind.DEVICE
        )

    @property
    def device(self) -> str | None:
        """The device number: the old encoding in the first block pointer, or the new one in the second."""
        old, new = unpack_from("<2I", self.block)
        if old:
            return device_name(self.mode, old >> 8 & 0xFF, old & 0xFF)
        return device_name(self.mode, (new & 0xFFF00) >> 8, (new & 0xFF) | (new >> 12 & 0xFFF00))


class FileSystem:
    """A validated file system at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        raw = source.peek(offset + SUPERBLOCK, SUPERBLOCK)
        self.super = superblock(raw)
        self.checksum = checksum(raw, self.super)
        self.limits = limits
        self.problems: list[str] = []
        claimed = self.super.blocks_count * self.super.block_size
        self.size = min(claimed, source.size - offset)
        self.source = source.window(offset, self.size)
        self.offset = offset
        self._tables: dict[int, int] = {}
        self._directory_blocks = 0
        self._index_blocks = 0
        self._attribute_blocks: dict[int, list[Attribute]] = {}
        if self.checksum is False:
            note(self.problems, "the checksum of the superblock is wrong")
        if self.size < claimed:
            note(self.problems, f"the file system claims {claimed} bytes, {self.size} are there")
        if self.super.incompat & INCOMPAT_RECOVER:
            note(self.problems, "the journal holds changes that were not replayed: files may differ from what a mount would show")
        if unknown := self.super.incompat & ~INCOMPAT_KNOWN:
            note(self.problems, f"incompatible features 0x{unknown:x} are not understood")

    def inode(self, number: int) -> Inode:
        """Reads an inode; raises FormatError when the number, or its place, lies outside the file system."""
        if not 1 <= number <= self.super.inodes_count:
            raise FormatError(f"inode {number} of {self.super.inodes_count}")
        group, index = divmod(number - 1, self.super.inodes_per_group)
        at = self._inode_table(group) * self.super.block_size + index * self.super.inode_size
        raw = self.source.read(at, self.super.inode_size)
        mode, uid, size, mtime, _, gid, links, blocks, flags = _INODE.unpack_from(raw)
        acl, size_high, blocks_high, acl_high, uid_high, gid_high = unpack_from("<II4x4H", raw, 104)
        if mtime & 1 << 31:
            mtime -= 1 << 32
        if len(raw) >= 160 and unpack_from("<H", raw, 128)[0] >= 12:
            mtime += (unpack_from("<I", raw, 136)[0] & 3) << 32
        if mode & 0o170000 in (0o100000, 0o040000):
            size |= size_high << 32
        return Inode(
            number=number, at=at, mode=mode, uid=uid | uid_high << 16, gid=gid | gid_high << 16, size=size, mtime=mtime,
            links=links, flags=flags, blocks=blocks | blocks_high << 32, acl=acl | acl_high << 32,
            block=raw[40:100], body=raw[128:],
        )  # fmt: skip

    def _inode_table(self, group: int) -> int:
        if group not in self._tables:
            at = self._descriptor(group)
            table: int = unpack_from("<I", self.source.read(at + 8, 4))[0]
            if self.super.desc_size >= 64:
                table |= unpack_from("<I", self.source.read(at + 40, 4))[0] << 32
            self._tables[group] = table
        return self._tables[group]

    def _descriptor(self, group: int) -> int:
        """The offset of a group descriptor: one table behind the superblock, or one block in each meta group."""
        per_block = self.super.block_size // self.super.desc_size
        block, index = divmod(group, per_block)
        at = SUPERBLOCK // self.super.block_size + 1 + block  # bigalloc begins at block 0 even with blocks of 1 KiB
        if self.super.incompat & INCOMPAT_META_BG and block >= self.super.first_meta_bg:
            first = block * per_block
            at = self.super.first_data_block + first * self.super.blocks_per_group + self._has_superblock(first)
            if first == 0 and self.super.block_size == 1024 and self.super.first_data_block == 0:
                at += 1
        return at * self.super.block_size + index * self.super.desc_size

    def _has_superblock(self, group: int) -> bool:
        if group == 0:
            return True
        if self.super.compat & COMPAT_SPARSE_SUPER2:
            return group in self.super.backup_bgs
        if group == 1 or not self.super.ro_compat & RO_SPARSE_SUPER:
            return True
        return any(group == base**power for base in (3, 5, 7) for power in range(1, 21))

    def content(self, inode: Inode) -> ByteSource:
        """The bytes of a file, directory or long symbolic link: windows of the image and holes, nothing copied."""
        if inode.flags & FLAG_INLINE:
            return self._inline(inode)
        size, block_size = inode.size, self.super.block_size
        pieces: list[ByteSource | int] = []
        at = 0
        for logical, physical, count in self.runs(inode):
            begin, end = logical * block_size, min((logical + count) * block_size, size)
            if begin >= size:
                break
            pieces += [begin - at, self.source.window(physical * block_size, end - begin)]
            at = end
        holes = size - sum(piece.size for piece in pieces if isinstance(piece, ByteSource))
        if holes > self.limits.bytes_stream:
            raise QuotaExceeded(f"a sparse file of {size} bytes, {holes} of them holes")
        return Joined([*pieces, size - at])

    def runs(self, inode: Inode) -> Iterator[Run]:
        """The mapped blocks in logical order, neighbours merged; holes and unwritten extents are left out."""
        extents = self._extents(inode.block, EXTENT_DEPTH + 1, set()) if inode.flags & FLAG_EXTENTS else self._block_map(inode)
        shared = bool(self.super.ro_compat & RO_SHARED_BLOCKS)
        allowed = self.limits.bytes_stream // self.super.block_size if shared else self.super.blocks_count
        held: Run | None = None
        for logical, physical, count in extents:
            allowed -= count
            if allowed < 0:
                raise FormatError(f"inode {inode.number} maps more blocks than there are")
            if held is not None and logical < held[0] + held[2]:
                raise FormatError(f"the extents of inode {inode.number} are not in order")
            if held is not None and (logical, physical) == (held[0] + held[2], held[1] + held[2]):
                held = (held[0], held[1], held[2] + count)
                continue
            if held is not None:
                yield held
            held = (logical, physical, count)
        if held is not None:
            yield held

    def _extents(self, node: bytes, depth: int, seen: set[int]) -> Iterator[Run]:
        """The leaves below an extent tree node; ``depth`` is that of the parent and has to fall."""
        magic, entries, _, level = unpack_from("<4H", node)
        if magic != EXTENT_MAGIC or level >= depth or 12 + entries * 12 > len(node):
            raise FormatError("a broken extent tree")
        for at in range(12, 12 + entries * 12, 12):
            if level:
                low, high = unpack_from("<4xIH", node, at)
                yield from self._extents(self._index(low | high << 32, seen), level, seen)
                continue
            logical, length, high, low = unpack_from("<IHHI", node, at)
            if 0 < length <= EXTENT_WRITTEN:
                yield logical, low | high << 32, length

    def _block_map(self, inode: Inode) -> Iterator[Run]:
        """The twelve direct, the indirect, double and triple indirect blocks."""
        pointers, wanted = unpack_from("<15I", inode.block), -(-inode.size // self.super.block_size)
        for logical, block in enumerate(pointers[: min(12, wanted)]):
            if block:
                yield logical, block, 1
        fan, logical = self.super.block_size // 4, 12
        seen: set[int] = set()
        for level, block in enumerate(pointers[12:], 1):
            if block and logical < wanted:
                yield from self._indirect(block, level, logical, wanted, seen)
            logical += fan**level

    def _indirect(self, block: int, level: int, logical: int, wanted: int, seen: set[int]) -> Iterator[Run]:
        span = (self.super.block_size // 4) ** (level - 1)
        for pointer in unpack_from(f"<{self.super.block_size // 4}I", self._index(block, seen)):
            if logical >= wanted:
                return
            if pointer and level == 1:
                yield logical, pointer, 1
            elif pointer:
                yield from self._indirect(pointer, level - 1, logical, wanted, seen)
            logical += span

    def _index(self, number: int, seen: set[int]) -> bytes:
        """A block of pointers; none may serve one file twice, or a small image could ask for endless work."""
        if number in seen:
            raise FormatError(f"block {number} of pointers is used twice")
        seen.add(number)
        self._index_blocks += 1
        return self._block(number)

    def _block(self, number: int) -> bytes:
        return self.source.read(number * self.super.block_size, self.super.block_size)

    def _inline(self, inode: Inode) -> ByteSource:
        """Up to 60 bytes in the block pointers, the rest in the attribute ``system.data`` behind the inode."""
        first = self.source.window(inode.at + 40, min(inode.size, 60))
        if inode.size <= 60:
            return first
        for one in of_inode(inode.body):
            if (one.index, one.name) == (SYSTEM, b"data"):
                if len(one.value) < inode.size - 60:
                    raise FormatError("inline data is shorter than the file")
                return Joined([first, self.source.window(inode.at + 128 + one.at, inode.size - 60)])
        raise FormatError("inline data without its attribute")

    def attributes(self, inode: Inode) -> list[Attribute]:
        """The extended attributes of an inode; those of a block that cannot be read are left out."""
        every = list(of_inode(inode.body))
        if inode.acl:
            if inode.acl not in self._attribute_blocks:
                if len(self._attribute_blocks) >= ATTRIBUTE_BLOCKS:
                    self._attribute_blocks.clear()
                size = self.super.block_size
                self._attribute_blocks[inode.acl] = list(of_block(self.source.peek(inode.acl * size, size)))
            every += self._attribute_blocks[inode.acl]
        return every

    def target(self, inode: Inode) -> str:
        """Where a symbolic link points: in the inode when it has no blocks of its own."""
        attributes = self.super.block_size // 512 if inode.acl else 0
        fast = not inode.flags & (FLAG_INLINE | FLAG_EXTENTS) and inode.size < 60 and inode.blocks <= attributes
        if fast:
            return decoded(inode.block[: inode.size])
        if inode.size > max(self.super.block_size, 4096):
            raise FormatError(f"a symbolic link of {inode.size} bytes")
        return decoded(self.content(inode).view(0, inode.size))

    def names(self, inode: Inode) -> Iterator[tuple[str, int]]:
        """The live names of a directory and their inodes, without ``.`` and ``..``.

        Index blocks of a hashed directory look like empty entries to a linear reader, as they are meant to.
        """
        if inode.flags & FLAG_INLINE:
            data = self._inline(inode)
            yield from self._entries(data.read(4, max(0, min(inode.size, 60) - 4)))
            if inode.size > 60:
                yield from self._entries(data.read(60, inode.size - 60))
            return
        before = self._index_blocks
        runs = list(self.runs(inode))
        self._directory_blocks += self._index_blocks - before + sum(count for _, _, count in runs)
        if self._directory_blocks > self.super.blocks_count:
            raise FormatError("directories share their blocks")
        for _, physical, count in runs:
            for number in range(physical, physical + count):
                yield from self._entries(self._block(number))

    def _entries(self, data: bytes) -> Iterator[tuple[str, int]]:
        at = 0
        while at + 8 <= len(data):
            number, length, name_length = unpack_from("<IHB", data, at)
            if length in (0, 0xFFFF) and self.super.block_size == 65536:
                length = 65536 - at
            if length < 8 or at + length > len(data) or (number and name_length + 8 > length):
                raise FormatError("a broken directory block")
            name = data[at + 8 : at + 8 + name_length]
            if number and name not in (b"", b".", b".."):
                yield decoded(name), number
            at += length

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first. A directory reached twice, a broken inode or name is a problem, not the end."""
        pending, seen = [("", ROOT)], {ROOT}
        while pending:
            path, number = pending.pop()
            try:
                directory = self.inode(number)
                for stored, child in self.names(directory):
                    name = stored
                    if directory.flags & FLAG_ENCRYPTED:
                        name = f"encrypted-{stored.encode('utf-8', 'surrogateescape').hex()[:ENCRYPTED_NAME]}-{child}"
                    if "/" in name or "\0" in name:
                        note(self.problems, f"{path or '/'}: a name with a separator in it: {name!r}")
                        continue
                    entry = self._member(f"{path}/{name}", child)
                    if entry is None or (entry.kind is NodeKind.DIRECTORY and child in seen):
                        if entry is not None:
                            note(self.problems, f"{entry.path}: a second name of a directory")
                        continue
                    if entry.kind is NodeKind.DIRECTORY:
                        seen.add(child)
                        pending.append((entry.path, child))
                    yield entry
            except FormatError as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _member(self, path: str, number: int) -> Entry | None:
        try:
            inode = self._live(number)
            kind, hidden = inode.kind, bool(inode.flags & FLAG_ENCRYPTED)
            entry = Entry(
                path=path, kind=kind, mode=inode.mode & 0o7777, uid=inode.uid, gid=inode.gid, mtime=inode.mtime,
                target=self.target(inode) if kind is NodeKind.SYMLINK and not hidden else None,
                device=inode.device if kind is NodeKind.DEVICE else None,
                detail={"inode": number, "links": inode.links} if kind is NodeKind.FILE and inode.links > 1 else {},
            )  # fmt: skip
        except FormatError as error:
            note(self.problems, f"{path}: {error}")
            return None
        every = self.attributes(inode)
        if every or inode.flags & FLAG_VERITY:
            entry.detail = {**entry.detail, **shown(every), **({"fs-verity": 1} if inode.flags & FLAG_VERITY else {})}
        if kind is NodeKind.FILE:
            entry.size = inode.size
            entry.open = partial(self.content, inode)
            self._place(entry, inode)
        if hidden:
            entry.detail = {**entry.detail, "encryption": encryption(every)}
            if kind is NodeKind.FILE:
                entry.role = "encrypted"
            elif kind is NodeKind.DIRECTORY:
                note(self.problems, f"{path}: names and contents are encrypted")
        return entry

    def _live(self, number: int) -> Inode:
        inode = self.inode(number)
        if not inode.links or not inode.mode & 0o170000:
            raise FormatError(f"inode {number} is free")
        return inode

    def _place(self, entry: Entry, inode: Inode) -> None:
        """Sets where the content begins, as far as the inode itself tells."""
        entry.locality = self.offset + inode.at
        if inode.flags & FLAG_INLINE:
            entry.offset = self.offset + inode.at + 40 if inode.size <= 60 else None
            return
        if inode.flags & FLAG_EXTENTS:
            _, entries, _, level = unpack_from("<4H", inode.block)
            if level or not entries:
                return
            logical, length, high, low = unpack_from("<IHHI", inode.block, 12)
            at = self.offset + (low | high << 32) * self.super.block_size
            whole = logical == 0 and length <= EXTENT_WRITTEN and length * self.super.block_size >= inode.size
        else:
            pointers = unpack_from("<12I", inode.block)
            wanted = -(-inode.size // self.super.block_size)
            at = self.offset + pointers[0] * self.super.block_size
            whole = (
                0 < wanted <= 12 and pointers[0] != 0 and list(pointers[:wanted]) == [*range(pointers[0], pointers[0] + wanted)]
            )
        entry.locality = at
        entry.offset = at if whole and inode.size and at + inode.size <= self.offset + self.size else None


class Ext(Format):
    """The ext2, ext3 and ext4 file systems."""

    name = "ext"
    title = "ext2, ext3, ext4"
    specification = "Linux kernel documentation, filesystems/ext4; fs/ext4/ext4.h"
    category = "file system"
    reads = (
        "block maps and extent trees, inline data, holes, hashed directories, 64bit, meta_bg, bigalloc, sparse_super2, "
        "device nodes, attributes (capabilities and labels in words), fscrypt files as encrypted; checksum of the superblock"
    )
    not_read = "the journal, deleted files, checksums of other metadata, attributes in inodes of their own, e2compr compression"
    # s_magic, s_state, s_errors, s_minor_rev_level, s_lastcheck, s_checkinterval, s_creator_os, s_rev_level
    signatures = (
        Signature(
            pattern=rb"\x53\xEF[\x00-\x07]\x00[\x00-\x03]\x00.{10}[\x00-\x04]\x00\x00\x00[\x00\x01]\x00\x00\x00",
            width=24,
            offset=SUPERBLOCK + 56,
        ),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset, limits)
        layout = system.super
        detail: dict[str, str | int] = {"block_size": layout.block_size, "uuid": layout.uuid}
        if layout.volume:
            detail["volume"] = layout.volume
        detail["integrity"] = "none" if system.checksum is None else "checksum"
        if system.checksum is not None:
            detail["integrity_detail"] = f"CRC32C of the superblock {'right' if system.checksum else 'wrong'}; metadata alone"
        if layout.incompat & INCOMPAT_JOURNAL_DEVICE:
            return Container(
                format="ext-journal", size=system.size, detail=detail, problems=["an external journal: its blocks are not read"]
            )
        try:
            root = system.inode(ROOT)
        except FormatError as error:
            note(system.problems, f"the root directory cannot be read: {error}")
            return Container(format=layout.version, size=system.size, detail=detail, problems=system.problems)
        if root.kind is not NodeKind.DIRECTORY:
            raise FormatError("the root inode is no directory")
        return Container(format=layout.version, size=system.size, entries=system.walk(), detail=detail, problems=system.problems)


FORMATS = (Ext(),)
