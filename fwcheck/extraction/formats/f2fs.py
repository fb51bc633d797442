"""F2FS: checkpoint, node table, files and directories.

Layout (little-endian) of the superblock, at 1,024: magic, version 4, log of block size 16, checksum offset 32, blocks 36,
checkpoint 76, node table 84, root 96, UUID 108, label 124 (UTF-16), features 2,180. Directories hold blocks of 214 slots:
bitmap (27 bytes), entries of 11 bytes (hash, inode, length of the name, type) from 30 on, names of 8 bytes a slot behind
them; small ones stand in the inode in the same form. Source: Linux kernel, ``include/linux/f2fs_fs.h``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import error as struct_error
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Signature
from fwcheck.extraction.formats._f2fs_nodes import (
    ADDRESSES,
    BODY,
    ENCRYPTED,
    INLINE_DENTRY,
    MAGIC,
    UMOUNT,
    Inode,
    Volume,
    crc,
)
from fwcheck.extraction.formats._identified import Facts, Identified, described, words
from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

SUPERBLOCK = 1024
LENGTH = 3072
BLOCK = 4096
SLOTS = 214
SHOWN = 16  # attributes of one inode
XATTR_MAGIC = 0xF2F52011

_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}
_PREFIXES = {1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security."}


class Tree:
    """Files and directories of a file system that begins at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int, size: int, raw: bytes, limits: Limits) -> None:
        self.offset = offset
        self.problems: list[str] = []
        self.volume = Volume(source.window(offset, size), raw, limits)
        self._blocks = size // BLOCK + 1
        if not self.volume.flags & UMOUNT:
            note(self.problems, "not unmounted cleanly: what was synchronised behind the checkpoint is left out")
        root = self.volume.inode(self.volume.root)
        if root.mode & 0o170000 != 0o040000:
            raise FormatError("the root inode is no directory")

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first."""
        pending, seen = [("", self.volume.root)], {self.volume.root}
        while pending:
            path, number = pending.pop()
            try:
                for stored, child in self._names(self.volume.inode(number)):
                    entry = self._entry(path, stored, child)
                    if entry is None:
                        continue
                    if entry.kind is NodeKind.DIRECTORY:
                        if child in seen:
                            note(self.problems, f"{entry.path}: a second name of a directory")
                            continue
                        seen.add(child)
                        pending.append((entry.path, child))
                    yield entry
            except (FormatError, QuotaExceeded) as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _names(self, directory: Inode) -> Iterator[tuple[bytes, int]]:
        if directory.inline & INLINE_DENTRY:
            at, room = self.volume.inlined(directory)
            slots = room * 8 // (19 * 8 + 1)
            yield from _entries(directory.raw[at : at + room], slots, room - 19 * slots)
        else:
            self._blocks -= -(-directory.size // BLOCK)
            if self._blocks < 0:
                raise FormatError("directories share their blocks")
            for address in self.volume.addresses(directory):
                if 0 < address < 0xFFFFFFFE:
                    yield from _entries(self.volume.block(address), SLOTS, BLOCK - 19 * SLOTS)

    def _entry(self, path: str, stored: bytes, number: int) -> Entry | None:
        name = decoded(stored)
        if name in (".", ".."):
            return None
        if not name or "/" in name or "\0" in name:
            name = f"encrypted-{stored.hex()[:48]}-{number}" if stored else ""
            note(self.problems, f"{path or '/'}: an impossible name, told as {name!r}")
            if not name:
                return None
        try:
            return self._member(f"{path}/{name}", self.volume.inode(number))
        except FormatError as error:
            note(self.problems, f"{path}/{name}: {error}")
            return None

    def _member(self, path: str, inode: Inode) -> Entry:
        kind = _KINDS.get(inode.mode & 0o170000, NodeKind.DEVICE)
        entry = Entry(
            path=path, kind=kind, mode=inode.mode & 0o7777, uid=inode.uid, gid=inode.gid, mtime=inode.mtime,
            locality=self.offset + inode.at, detail=_attributes(inode),
        )  # fmt: skip
        hidden = bool(inode.advise & ENCRYPTED)
        if hidden:
            entry.detail["encryption"] = "fscrypt"
        if kind is NodeKind.SYMLINK and not hidden:
            try:
                entry.target = decoded(self.volume.content(inode).peek(0, 4096)).rstrip("\0")
            except ExtractionError as error:
                note(self.problems, f"{path}: {error}")
        elif kind is NodeKind.DEVICE:
            old, new = unpack_from("<II", inode.raw, BODY + 4 * inode.start)
            major, minor = old >> 8 & 0xFF, old & 0xFF
            if not old:
                major, minor = (new & 0xFFF00) >> 8, (new & 0xFF) | (new >> 12 & 0xFFF00)
            entry.device = device_name(inode.mode, major, minor)
        elif kind is NodeKind.FILE:
            entry.size, entry.open = inode.size, partial(self._content, inode.number)
            entry.role = "encrypted" if hidden else "file"
            if inode.links > 1:
                entry.detail.update(inode=inode.number, links=inode.links)
        return entry

    def _content(self, number: int) -> ByteSource:
        """Read again when it is wanted: an inode is a whole block, of which a listing would keep all."""
        return self.volume.content(self.volume.inode(number))


def _entries(block: bytes, slots: int, begin: int) -> Iterator[tuple[bytes, int]]:
    """Names and inodes of a block of directory slots, whose entries begin at ``begin``."""
    names = begin + 11 * slots
    slot = 0
    while slot < slots:
        if not block[slot >> 3] >> (slot & 7) & 1:
            slot += 1
            continue
        number, length = unpack_from("<IH", block, begin + 11 * slot + 4)
        name = block[names + 8 * slot : names + 8 * slot + length]
        if number and length and len(name) == length:
            yield name, number
        slot += max(1, -(-length // 8))


def _attributes(inode: Inode) -> dict[str, str | int]:
    """The attributes that stand in the inode itself."""
    raw = inode.raw[BODY + 4 * (ADDRESSES - inode.reserved) : BODY + 4 * ADDRESSES]
    out: dict[str, str | int] = {}
    if len(raw) < 28 or unpack_from("<I", raw)[0] != XATTR_MAGIC:
        return out
    at = 24
    while at + 4 <= len(raw) and raw[at : at + 4] != b"\0\0\0\0" and len(out) < SHOWN:
        index, length, size = unpack_from("<BBH", raw, at)
        if index in _PREFIXES:
            name = f"{_PREFIXES[index]}{decoded(raw[at + 4 : at + 4 + length])}"
            out.update([attribute(name, raw[at + 4 + length : at + 4 + length + size])])
        at += 4 + length + size + 3 & ~3
    return out


class F2fs(Identified):
    """The flash-friendly file system of Android data partitions and of OpenWrt overlays on eMMC."""

    name = "f2fs"
    title = "F2FS"
    specification = "Linux kernel, include/linux/f2fs_fs.h"
    category = "file system"
    reads = (
        "newest valid checkpoint, node table with its journal, inline and indirect files, all forms of directories, devices, "
        "attributes in the inode, fscrypt files as encrypted; checksums of superblock and checkpoint"
    )
    not_read = "packed files, what was synchronised behind the checkpoint, attributes in blocks of their own, further devices"
    signatures = (Signature(pattern=rb"\x10\x20\xF5\xF2\x01\x00..[\x09-\x0C]\x00\x00\x00", width=12, offset=SUPERBLOCK),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset + SUPERBLOCK, LENGTH)
        magic, major, minor, log_sector, _, log_block, log_segment = unpack_from("<IHHIIII", raw)
        checksum_at, blocks = unpack_from("<IQ", raw, 32)
        sane = 9 <= log_sector <= 12 and 12 <= log_block <= 16 and log_segment == 9
        if magic != MAGIC or not sane or len(raw) < LENGTH:
            raise FormatError("no F2FS superblock")
        checksum = ""
        if 0 < checksum_at <= LENGTH - 4:
            checksum = f"CRC32 {'right' if crc(raw[:checksum_at]) == unpack_from('<I', raw, checksum_at)[0] else 'wrong'}"
        return Facts(
            size=blocks << log_block, checksum=checksum,
            detail=described(version=f"{major}.{minor}", block_size=1 << log_block, uuid=raw[108:124].hex(),
                             volume=words(raw[124:1148], "utf-16-le")),
        )  # fmt: skip

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        found = super().open(source, offset, limits)
        try:
            if found.detail["block_size"] != BLOCK:
                raise FormatError("blocks of another size than 4 KiB")  # noqa: TRY301  # told like any other reason
            tree = Tree(source, offset, found.size, source.read(offset + SUPERBLOCK, LENGTH), limits)
        except (FormatError, QuotaExceeded, struct_error) as error:
            note(found.problems, f"its nodes cannot be read: {error}")
            return found
        tree.problems[:0] = [problem for problem in found.problems if not problem.endswith("are not read")]
        return msgspec.structs.replace(found, entries=tree.walk(), problems=tree.problems)


FORMATS = (F2fs(),)
