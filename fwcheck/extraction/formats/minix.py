"""The MINIX file system, versions 1, 2 and 3, in both byte orders.

Layout: superblock at 1,024 (versions 1 and 2: inodes 0, zones 2, blocks of the inode map 4 and of the zone map 6, first data zone
8, log of zone size 10, largest file 12, magic 16, zones 20; version 3: inodes 0, maps 6 and 8, first zone 10, log 12, largest
file 16, zones 20, magic 24, block size 28), both maps, inodes of 32 or 64 bytes, zones. The last two or three zone numbers of an
inode are indirect. Directory entries: inode (16 bits; 32 in version 3) and a name of 14, 30 or 60 bytes.
Source: Linux kernel, ``include/uapi/linux/minix_fs.h`` and ``fs/minix``; MINIX 3, ``servers/mfs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import Struct, calcsize, unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

SUPERBLOCK = 1024
ROOT = 1
DIRECT = 7
MAGICS = {0x137F: (1, 14), 0x138F: (1, 30), 0x2468: (2, 14), 0x2478: (2, 30)}
MAGIC_3 = 0x4D5A
# mode, uid, size, time, gid, links, zones; mode, links, uid, gid, size, access, modification, change, zones
_INODES = {1: "HHIIBB9H", 2: "HHHHIIII10I", 3: "HHHHIIII10I"}
_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}

# The largest file that mkfs writes into the superblock is the same in all volumes of a version.
_MAPS = rb"[\x01-\x40]\x00[\x01-\x40]\x00..\x00\x00"
_MAPS_BIG = rb"\x00[\x01-\x40]\x00[\x01-\x40]..\x00\x00"


class Super(msgspec.Struct, frozen=True, kw_only=True):
    """The superblock; ``inodes_at`` and ``block`` in bytes."""

    order: str
    version: int
    name: int  # bytes of a name
    block: int
    inodes: int
    zones: int
    inodes_at: int


def superblock(raw: bytes) -> Super:
    """Reads the 32 bytes of a superblock; raises FormatError."""
    if len(raw) < 32:
        raise FormatError("no MINIX superblock")
    for order in "<>":
        inodes, zones, imap, zmap, _, log, _, magic, _, wide = unpack_from(f"{order}6HIHHI", raw)
        if magic in MAGICS:
            version, name = MAGICS[magic]
            zones, block = wide if version == 2 else zones, 1024
        elif unpack_from(f"{order}H", raw, 24)[0] == MAGIC_3:
            inodes, imap, zmap, _, log, _, zones, _, _, block = unpack_from(f"{order}IxxHHHHxxIIHHH", raw)
            version, name = 3, 60
        else:
            continue
        room = calcsize("<" + _INODES[version])
        at = (2 + imap + zmap) * block
        if log or block not in (1024, 2048, 4096, 8192, 16384) or not inodes or not imap or not zmap:
            raise FormatError("impossible values in a MINIX superblock")
        if imap * block * 8 <= inodes or at + inodes * room > zones * block or zmap * block * 8 + at // block < zones - inodes:
            raise FormatError("the regions of a MINIX file system overlap")
        return Super(order=order, version=version, name=name, block=block, inodes=inodes, zones=zones, inodes_at=at)
    raise FormatError("no MINIX superblock")


class Inode(msgspec.Struct, kw_only=True):
    """One inode."""

    mode: int
    links: int
    uid: int
    gid: int
    size: int
    mtime: int
    zones: tuple[int, ...]

    @property
    def kind(self) -> NodeKind:
        return _KINDS.get(self.mode & 0o170000, NodeKind.DEVICE)


class FileSystem:
    """A validated file system at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.super = superblock(source.peek(offset + SUPERBLOCK, 32))
        self.limits = limits
        self.offset = offset
        self.problems: list[str] = []
        claimed = self.super.zones * self.super.block
        self.size = min(claimed, source.size - offset)
        self.source = source.window(offset, self.size)
        self._inode = Struct(self.super.order + _INODES[self.super.version])
        self._budget = 2 * self.super.zones  # blocks of directories and of pointers
        if self.size < self.super.inodes_at + self._inode.size:
            raise Truncated(f"a MINIX file system of {claimed} bytes, {self.size} are there")
        if self.size < claimed:
            note(self.problems, f"the file system claims {claimed} bytes, {self.size} are there")
        if self.inode(ROOT).kind is not NodeKind.DIRECTORY:
            raise FormatError("the root inode is no directory")

    def inode(self, number: int) -> Inode:
        """Reads an inode; raises FormatError for a number or a place outside."""
        if not 1 <= number <= self.super.inodes:
            raise FormatError(f"inode {number} of {self.super.inodes}")
        raw = self.source.read(self.super.inodes_at + (number - 1) * self._inode.size, self._inode.size)
        if self.super.version == 1:
            mode, uid, size, mtime, gid, links, *zones = self._inode.unpack(raw)
        else:
            mode, links, uid, gid, size, _, mtime, _, *zones = self._inode.unpack(raw)
        return Inode(mode=mode, links=links, uid=uid, gid=gid, size=size, mtime=mtime, zones=tuple(zones))

    def _blocks(self, inode: Inode, wanted: int) -> Iterator[tuple[int, int]]:
        """Logical and physical number of each mapped block among the first ``wanted``."""
        yield from ((at, zone) for at, zone in enumerate(inode.zones[: min(DIRECT, wanted)]) if zone)
        fan = self.super.block // (2 if self.super.version == 1 else 4)
        logical = DIRECT
        seen: set[int] = set()
        for level, zone in enumerate(inode.zones[DIRECT:], 1):
            if zone and logical < wanted:
                yield from self._indirect(zone, level, logical, wanted, fan, seen)
            logical += fan**level

    def _indirect(self, zone: int, level: int, logical: int, wanted: int, fan: int, seen: set[int]) -> Iterator[tuple[int, int]]:
        if zone in seen:
            raise FormatError(f"block {zone} of pointers is used twice")
        seen.add(zone)
        kind = "H" if self.super.version == 1 else "I"
        span = fan ** (level - 1)
        for pointer in unpack_from(f"{self.super.order}{fan}{kind}", self.source.read(zone * self.super.block, self.super.block)):
            if logical >= wanted:
                return
            if pointer and level == 1:
                yield logical, pointer
            elif pointer:
                yield from self._indirect(pointer, level - 1, logical, wanted, fan, seen)
            logical += span

    def content(self, inode: Inode) -> ByteSource:
        """The bytes of a file or directory: windows of the image and holes."""
        size, block = inode.size, self.super.block
        if size > self.super.zones * block + self.limits.bytes_stream:
            raise QuotaExceeded(f"a sparse file of {size} bytes")
        pieces: list[ByteSource | int] = []
        at = begin = length = 0  # end of what is in pieces; the run that is being gathered

        def flush() -> None:
            nonlocal at
            if length:
                pieces.append(self.source.window(begin * block, min(length * block, size - at)))
                at += min(length * block, size - at)

        for logical, physical in self._blocks(inode, -(-size // block)):
            if length and physical == begin + length and at + length * block == logical * block:
                length += 1
                continue
            flush()
            pieces.append(logical * block - at)
            at, begin, length = logical * block, physical, 1
        flush()
        return Joined([*pieces, size - at])

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first."""
        pending, seen = [("", ROOT)], {ROOT}
        while pending:
            path, number = pending.pop()
            try:
                for name, child in self._names(self.inode(number)):
                    if "/" in name:
                        note(self.problems, f"{path or '/'}: an impossible name {name!r}")
                        continue
                    entry = self._member(f"{path}/{name}", child)
                    if entry is not None and entry.kind is NodeKind.DIRECTORY:
                        if child in seen:
                            note(self.problems, f"{entry.path}: a second name of a directory")
                            continue
                        seen.add(child)
                        pending.append((entry.path, child))
                    if entry is not None:
                        yield entry
            except (FormatError, QuotaExceeded) as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _names(self, directory: Inode) -> Iterator[tuple[str, int]]:
        self._budget -= -(-directory.size // self.super.block)
        if self._budget < 0:
            raise FormatError("directories share their blocks")
        width = 4 if self.super.version == 3 else 2
        entry = Struct(f"{self.super.order}{'I' if width == 4 else 'H'}{self.super.name}s")
        content = self.content(directory)
        for chunk in content.chunks(entry.size << 10):
            for number, name in entry.iter_unpack(bytes(chunk[: len(chunk) // entry.size * entry.size])):
                name = name.split(b"\0")[0]  # noqa: PLW2901  # up to its end
                if number and name not in (b"", b".", b".."):
                    yield decoded(name), number

    def _member(self, path: str, number: int) -> Entry | None:
        try:
            inode = self._live(number)
            entry = Entry(path=path, kind=inode.kind, mode=inode.mode & 0o7777, uid=inode.uid, gid=inode.gid, mtime=inode.mtime)
            if inode.kind is NodeKind.SYMLINK:
                entry.target = self._target(inode)
        except FormatError as error:
            note(self.problems, f"{path}: {error}")
            return None
        if inode.kind is NodeKind.DEVICE:
            entry.device = device_name(inode.mode, inode.zones[0] >> 8 & 0xFF, inode.zones[0] & 0xFF)
        elif inode.kind is NodeKind.FILE:
            entry.size, entry.open = inode.size, partial(self.content, inode)
            entry.detail = {"inode": number, "links": inode.links} if inode.links > 1 else {}
            self._place(entry, inode)
        return entry

    def _live(self, number: int) -> Inode:
        inode = self.inode(number)
        if not inode.mode & 0o170000:
            raise FormatError(f"inode {number} is free")
        return inode

    def _target(self, inode: Inode) -> str:
        if inode.size > self.super.block:
            raise FormatError(f"a symbolic link of {inode.size} bytes")
        return decoded(self.content(inode).view(0, inode.size))

    def _place(self, entry: Entry, inode: Inode) -> None:
        """Where the content begins, as far as the inode itself tells."""
        wanted, first = -(-inode.size // self.super.block), inode.zones[0]
        entry.locality = self.offset + first * self.super.block
        whole = 0 < wanted <= DIRECT and first and inode.zones[:wanted] == tuple(range(first, first + wanted))
        entry.offset = entry.locality if whole and entry.locality + inode.size <= self.offset + self.size else None


class Minix(Format):
    """The file system of MINIX, and of small Linux RAM disks."""

    name = "minix"
    title = "MINIX file system 1, 2, 3"
    specification = "Linux kernel, include/uapi/linux/minix_fs.h; fs/minix"
    category = "file system"
    reads = "versions 1 to 3, both byte orders; names of 14, 30 and 60 bytes; indirect blocks, holes, links, devices, hard links"
    not_read = "volumes whose zones are several blocks; allocation maps"
    signatures = (
        Signature(pattern=_MAPS + rb"\x00\x1C\x08\x10[\x7F\x8F]\x13[\x00-\x03]\x00", width=16, offset=SUPERBLOCK + 4),
        Signature(pattern=_MAPS_BIG + rb"\x10\x08\x1C\x00\x13[\x7F\x8F]\x00[\x00-\x03]", width=16, offset=SUPERBLOCK + 4),
        Signature(pattern=_MAPS + rb"\xFF\xFF\xFF\x7F[\x68\x78]\x24[\x00-\x03]\x00", width=16, offset=SUPERBLOCK + 4),
        Signature(pattern=_MAPS_BIG + rb"\x7F\xFF\xFF\xFF\x24[\x68\x78]\x00[\x00-\x03]", width=16, offset=SUPERBLOCK + 4),
        Signature(
            pattern=rb"\x00\x00..\xFF\xFF\xFF\x7F.{4}\x5A\x4D..\x00[\x04\x08\x10\x20\x40]", width=18, offset=SUPERBLOCK + 12
        ),
        Signature(
            pattern=rb"\x00\x00..\x7F\xFF\xFF\xFF.{4}\x4D\x5A..[\x04\x08\x10\x20\x40]\x00", width=18, offset=SUPERBLOCK + 12
        ),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset, limits)
        one = system.super
        detail: dict[str, str | int] = {
            "version": one.version, "byte_order": "little" if one.order == "<" else "big", "block_size": one.block,
            "name_length": one.name, "integrity": "none",
        }  # fmt: skip
        return Container(format=self.name, size=system.size, entries=system.walk(), detail=detail, problems=system.problems)


FORMATS = (Minix(),)
