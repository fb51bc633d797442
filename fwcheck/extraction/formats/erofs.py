"""EROFS, the read-only file system of Android 10 and later and of many Linux images.

Layouts and sources: :mod:`_erofs_layout`, :mod:`_erofs_map`, :mod:`_erofs_codecs` and :mod:`_erofs_attributes`, all after
``fs/erofs`` of Linux. A directory is a row of blocks; each begins with entries of 12 bytes, sorted by name (inode, 8; offset of
the name in the block, 2; type, 1), and the first name's offset tells how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import unpack_from
from uuid import UUID

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._erofs_attributes import attributes
from fwcheck.extraction.formats._erofs_content import Contents
from fwcheck.extraction.formats._erofs_layout import (
    ALGORITHMS,
    CHUNKS,
    COMPAT_CHECKSUM,
    COMPRESSION_CONFIG,
    INLINE,
    SUPERBLOCK,
    UNDERSTOOD,
    Inode,
    checksum_right,
    devices,
    inode,
    superblock,
)
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_LINK_LIMIT = 4096
_ENTRY = 12


class FileSystem:
    """A validated file system at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.head = superblock(source, offset)
        self.problems: list[str] = []
        self.offset = offset
        claimed = self.head.blocks << self.head.block_bits
        self.size = min(claimed, source.size - offset) if claimed else source.size - offset
        if claimed > self.size:
            note(self.problems, f"the file system claims {claimed} bytes, {self.size} are there")
        self.source = source.window(offset, self.size)
        self.contents = Contents(self.source, self.head, limits)
        self.sound = self._sound(claimed > self.size)
        if unknown := self.head.incompat & ~UNDERSTOOD:
            note(self.problems, f"incompatible features 0x{unknown:x} are not understood")
        self._directory_bytes = 0

    def _sound(self, cut: bool) -> str:
        if not self.head.compat & COMPAT_CHECKSUM:
            return "no checksum"
        right = checksum_right(self.source, 0, self.head)
        if not right and (cut or self.size < self.head.block):
            return "CRC32C of the superblock cannot be checked"
        if not right:
            note(self.problems, f"wrong CRC32C of the superblock: 0x{self.head.checksum:08x} is stored")
        return f"CRC32C of the superblock {'right' if right else 'wrong'}"

    def root(self) -> Inode:
        """The root directory; raises FormatError."""
        root = inode(self.source, self.head, self.head.root)
        if root.kind is not NodeKind.DIRECTORY:
            raise FormatError("the root inode is no directory")
        return root

    def walk(self, root: Inode) -> Iterator[Entry]:
        """Every member, parents first. A directory reached twice, a broken inode or name is a problem, not the end."""
        pending, seen = [("", root)], {root.number}
        while pending:
            path, directory = pending.pop()
            try:
                for name, number in self._names(directory):
                    if not name or "/" in name or "\0" in name:
                        note(self.problems, f"{path or '/'}: a name with a separator in it: {name!r}")
                        continue
                    member = self._member(f"{path}/{name}", number)
                    if member is None:
                        continue
                    entry, child = member
                    if child.kind is NodeKind.DIRECTORY:
                        if number in seen:
                            note(self.problems, f"{entry.path}: a second name of a directory")
                            continue
                        seen.add(number)
                        pending.append((entry.path, child))
                    yield entry
            except (FormatError, QuotaExceeded) as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _names(self, directory: Inode) -> Iterator[tuple[str, int]]:
        self._directory_bytes += directory.size
        if self._directory_bytes > self.source.size * 2:
            raise FormatError("directories share their blocks")
        data = self.contents.content(directory)
        for at in range(0, data.size, 1 << self.head.directory_bits):
            yield from _block(data.read(at, min(1 << self.head.directory_bits, data.size - at)))

    def _member(self, path: str, number: int) -> tuple[Entry, Inode] | None:
        try:
            one = inode(self.source, self.head, number)
            kind = one.kind
            entry = Entry(
                path=path, kind=kind, mode=one.mode & 0o7777, uid=one.uid, gid=one.gid, mtime=one.mtime,
                target=self._target(one) if kind is NodeKind.SYMLINK else None,
                device=_device(one) if kind is NodeKind.DEVICE else None,
                locality=self.offset + one.at,
            )  # fmt: skip
        except (FormatError, QuotaExceeded) as error:
            note(self.problems, f"{path}: {error}")
            return None
        if kind is NodeKind.FILE and one.links > 1:
            entry.detail = {"inode": number, "links": one.links}
        try:
            entry.detail = {**entry.detail, **attributes(self.source, self.head, one)}
        except FormatError as error:
            note(self.problems, f"{path}: {error}")
        if kind is NodeKind.FILE:
            entry.size = one.size
            entry.open = partial(self.contents.content, one)
            self._place(entry, one)
        return entry, one

    def _place(self, entry: Entry, one: Inode) -> None:
        """Sets where the content begins, as far as the inode itself tells."""
        if one.packed or one.layout == CHUNKS or not one.size:
            return
        if one.layout == INLINE and one.size < self.head.block:
            at = one.behind
        elif one.first >= 0:
            at = one.first << self.head.block_bits
        else:
            return
        entry.locality = self.offset + at
        whole = one.layout != INLINE or one.size < self.head.block or one.size % self.head.block == 0
        if whole and at + one.size <= self.size:
            entry.offset = self.offset + at

    def _target(self, one: Inode) -> str:
        if one.size > _LINK_LIMIT:
            raise FormatError(f"a symbolic link of {one.size} bytes")
        return decoded(self.contents.content(one).view(0, one.size))


def _block(raw: bytes) -> Iterator[tuple[str, int]]:
    """The names of one directory block and their inodes, without ``.`` and ``..``."""
    first = unpack_from("<H", raw, 8)[0] if len(raw) >= _ENTRY else 0
    if first < _ENTRY or first % _ENTRY or first > len(raw):
        raise FormatError("a broken directory block")
    entries = [unpack_from("<QH", raw, at) for at in range(0, first, _ENTRY)]
    ends = [begin for _, begin in entries[1:]] + [len(raw)]
    for (number, begin), end in zip(entries, ends, strict=True):
        if not first <= begin <= end <= len(raw):
            raise FormatError("a broken directory block")
        name = raw[begin:end].rstrip(b"\0")
        if name not in (b".", b".."):
            yield decoded(name), number


def _device(one: Inode) -> str:
    """The device; raises FormatError for a mode that is none of the seven kinds."""
    name = device_name(one.mode, one.value >> 8 & 0xFFF, (one.value & 0xFF) | (one.value >> 12 & 0xFFF00))
    if name is None:
        raise FormatError(f"inode {one.number} has the unknown mode 0o{one.mode:o}")
    return name


def _detail(system: FileSystem) -> dict[str, str | int]:
    head = system.head
    detail: dict[str, str | int] = {"block_size": head.block, "inodes": head.inodes, "created": head.built}
    detail["uuid"] = str(UUID(bytes=head.uuid))
    if volume := decoded(head.volume.split(b"\0")[0]):
        detail["volume"] = volume
    if head.incompat & COMPRESSION_CONFIG:
        detail["algorithms"] = ", ".join(name for bit, name in enumerate(ALGORITHMS) if head.algorithms >> bit & 1)
    if head.devices:
        detail["devices"] = head.devices
    detail["integrity"] = "checksum" if head.compat & COMPAT_CHECKSUM else "none"
    detail["integrity_detail"] = system.sound
    return detail


def _tags(system: FileSystem) -> str:
    every = devices(system.source, system.head)
    return ", ".join(f"{each.blocks} blocks{f' ({each.tag.hex()})' if each.tag else ''}" for each in every[:16])


class Erofs(Format):
    """The enhanced read-only file system."""

    name = "erofs"
    title = "EROFS"
    specification = "fs/erofs/erofs_fs.h of Linux"
    category = "file system"
    reads = (
        "compact and extended inodes, 48-bit addresses, plain, inline and chunk layouts, full and compact (2 and 4 byte) cluster"
        " indexes, records of extents, large packed clusters, inlined tails, fragments, deduplicated extents, interlaced stored"
        " clusters; LZ4 with padding in front or behind, MicroLZMA, DEFLATE, Zstandard; capabilities and SELinux contexts;"
        " the CRC32C of the superblock is recomputed"
    )
    not_read = "inodes in the metabox; bytes on further devices (told); attributes with long prefixes"
    # s_magic, s_checksum, feature_compat, blkszbits
    signatures = (Signature(pattern=rb"\xe2\xe1\xf5\xe0.{4}.\x00\x00\x00[\x09-\x10]", width=13, offset=SUPERBLOCK),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset, limits)
        detail = _detail(system)
        entries: Iterator[Entry] = iter(())
        if system.head.devices:
            try:
                detail["device_blocks"] = _tags(system)
            except FormatError as error:
                note(system.problems, f"the table of devices: {error}")
        try:
            entries = system.walk(system.root())
        except FormatError as error:
            if system.sound.endswith("wrong"):
                raise
            note(system.problems, f"the root directory cannot be read: {error}")
        return Container(format=self.name, size=system.size, entries=entries, detail=detail, problems=system.problems)


FORMATS = (Erofs(),)
