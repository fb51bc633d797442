"""cramfs in both byte orders.

Layout: Linux kernel, ``include/uapi/linux/cramfs_fs.h``; block pointers as ``fs/cramfs/README`` describes them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

HEADER = 76
BLOCK = 4096
SHIFT = 512  # a boot sector may stand before the superblock
VERSION_2 = 0x1  # the checksum is there
EXTENDED_POINTERS = 0x800
SUPPORTED = 0xFFF
UNCOMPRESSED, DIRECT = 1 << 31, 1 << 30  # flags of a block pointer

_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}


class Inode(msgspec.Struct, frozen=True, kw_only=True):
    """One inode of twelve bytes; ``size`` is the device number of a device node."""

    mode: int
    uid: int
    size: int
    gid: int
    name: int  # bytes of the name behind the inode
    offset: int


class FileSystem:
    """A validated file system whose offsets count from ``base``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        raw = source.read(offset, HEADER)
        self.order = {b"\x45\x3d\xcd\x28": "<", b"\x28\xcd\x3d\x45": ">"}.get(raw[:4], "")
        if not self.order or raw[16:32] != b"Compressed ROMFS":
            raise FormatError("no cramfs superblock")
        self._words = Struct(self.order + "III")
        _, size, self.flags = self._words.unpack_from(raw)
        self.crc = int(self._words.unpack_from(raw, 32)[0])
        self.files = int(self._words.unpack_from(raw, 36)[2])
        self.name = decoded(raw[48:64].split(b"\0")[0])
        self.root = self._inode(raw[64:76])
        shift = SHIFT if self.root.offset == SHIFT + HEADER and offset >= SHIFT else 0
        if self.flags & ~SUPPORTED or self.root.mode & 0o170000 != 0o040000 or size < HEADER + shift:
            raise FormatError("the fields of the cramfs superblock contradict each other")
        self.problems: list[str] = []
        self.checked = "without a checksum"
        self.limits = limits
        self.base = offset - shift
        self.size = min(size - shift, source.size - offset)
        if size - shift > self.size:
            note(self.problems, f"the file system claims {size} bytes, {self.size + shift} are there")
        self.source = source.window(self.base, self.size + shift)
        if self.flags & VERSION_2 and size - shift == self.size:
            self._verify(shift)

    def _verify(self, shift: int) -> None:
        found = zlib.crc32(self.source.read(shift, 32) + bytes(4))
        for chunk in self.source.window(shift + 36, self.source.size - shift - 36).chunks():
            found = zlib.crc32(chunk, found)
        self.checked = f"CRC32 {'right' if found == self.crc else 'wrong'}"
        if found != self.crc:
            note(self.problems, f"the checksum is 0x{found:08x}, the superblock says 0x{self.crc:08x}")

    def _inode(self, raw: bytes) -> Inode:
        first, second, third = self._words.unpack(raw)
        if self.order == "<":
            mode, uid, size, gid = first & 0xFFFF, first >> 16, second & 0xFFFFFF, second >> 24
            name, offset = third & 0x3F, third >> 6
        else:
            mode, uid, size, gid = first >> 16, first & 0xFFFF, second >> 8, second & 0xFF
            name, offset = third >> 26, third & 0x3FFFFFF
        return Inode(mode=mode, uid=uid, size=size, gid=gid, name=name * 4, offset=offset * 4)

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first; a directory reached twice or broken is a problem, not the end."""
        pending, seen = [("", self.root)], set[int]()
        while pending:
            path, directory = pending.pop()
            if directory.size and directory.offset in seen:
                note(self.problems, f"{path or '/'}: shares its entries with another directory")
                continue
            seen.add(directory.offset)
            try:
                for name, inode in self._names(directory):
                    if name in ("", ".", "..") or "/" in name:
                        note(self.problems, f"{path or '/'}: an impossible name {name!r}")
                        continue
                    entry = self._entry(f"{path}/{name}", inode)
                    if entry.kind is NodeKind.DIRECTORY:
                        pending.append((entry.path, inode))
                    yield entry
            except FormatError as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _names(self, directory: Inode) -> Iterator[tuple[str, Inode]]:
        data = self.source.read(directory.offset, directory.size)
        at = 0
        while at + 12 <= len(data):
            inode = self._inode(data[at : at + 12])
            yield decoded(data[at + 12 : at + 12 + inode.name].rstrip(b"\0")), inode
            at += 12 + inode.name

    def _entry(self, path: str, inode: Inode) -> Entry:
        kind = _KINDS.get(inode.mode & 0o170000, NodeKind.DEVICE)
        entry = Entry(path=path, kind=kind, mode=inode.mode & 0o7777, uid=inode.uid, gid=inode.gid)
        if kind is NodeKind.DEVICE:
            entry.device = device_name(inode.mode, inode.size >> 8 & 0xFF, inode.size & 0xFF)
        elif kind is NodeKind.SYMLINK:
            try:
                entry.target = decoded(b"".join(self._blocks(inode)))
            except FormatError as error:
                note(self.problems, f"{path}: {error}")
        elif kind is NodeKind.FILE:
            entry.size, entry.locality = inode.size, self.base + inode.offset
            entry.open = partial(self._content, inode)
        return entry

    def _content(self, inode: Inode) -> ByteSource:
        return spool(bounded(self._blocks(inode), self.source.size, self.limits))

    def _blocks(self, inode: Inode) -> Iterator[bytes]:
        """The content, block by block. A pointer says where its block ends; with extensions it may say where it begins."""
        count = -(-inode.size // BLOCK)
        pointers = Struct(f"{self.order}{count}I").unpack(self.source.read(inode.offset, 4 * count))
        at = inode.offset + 4 * count
        for index, pointer in enumerate(pointers):
            size = min(BLOCK, inode.size - index * BLOCK)
            flags = pointer & (UNCOMPRESSED | DIRECT) if self.flags & EXTENDED_POINTERS else 0
            if flags & DIRECT:
                at, end = self._direct((pointer & ~(UNCOMPRESSED | DIRECT)) << 2, size, bool(flags & UNCOMPRESSED))
            else:
                end = pointer & ~flags
            yield self._block(at, end, size, bool(flags & UNCOMPRESSED))
            at = end

    def _direct(self, at: int, size: int, plain: bool) -> tuple[int, int]:
        if plain:
            return at, at + size
        length = int.from_bytes(self.source.read(at, 2), "little" if self.order == "<" else "big")
        return at + 2, at + 2 + length

    def _block(self, at: int, end: int, size: int, plain: bool) -> bytes:
        if at == end:
            return bytes(size)
        if not 0 < end - at <= 2 * BLOCK:
            raise FormatError("a cramfs block of impossible length")
        packed = self.source.read(at, end - at)
        if plain:
            out = packed[:size]
        else:
            try:
                out = zlib.decompressobj().decompress(packed, size)
            except zlib.error as error:
                raise FormatError(f"broken cramfs block at 0x{at:x}: {error}") from None
        if len(out) != size:
            raise FormatError(f"a cramfs block of {size} bytes unpacks to {len(out)}")
        return out


class Cramfs(Format):
    """The compressed ROM file system."""

    name = "cramfs"
    title = "cramfs (both byte orders)"
    specification = "Linux kernel, include/uapi/linux/cramfs_fs.h"
    category = "file system"
    reads = (
        "both byte orders; holes, extended block pointers (direct and uncompressed), a boot sector in front, devices and links; "
        "CRC32 of the whole file system"
    )
    not_read = "members of a damaged block; the format stores no times and no more than eight bits of a group"
    signatures = (
        Signature(pattern=rb"\x45\x3D\xCD\x28.{12}Compressed ROMFS", width=32),
        Signature(pattern=rb"\x28\xCD\x3D\x45.{12}Compressed ROMFS", width=32),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset, limits)
        detail: dict[str, str | int] = {"byte_order": "little" if system.order == "<" else "big", "files": system.files}
        if system.name:
            detail["volume"] = system.name
        detail["integrity"] = "checksum" if system.flags & VERSION_2 else "none"
        detail["integrity_detail"] = system.checked if system.checked.startswith("CRC") else "no checksum that can be checked"
        return Container(format=self.name, size=system.size, entries=system.walk(), detail=detail, problems=system.problems)


FORMATS = (Cramfs(),)
