"""ISO 9660 with Joliet, Rock Ridge, zisofs and El Torito.

Layout: volume descriptors of 2,048 bytes from block 16 on (type, ``CD001``, version; 0 boot record, 1 primary, 2 supplementary,
255 the last), each with the volume size (80), block size (128) and the record of its root directory (156). Directory records:
length, first block (2), size (10), time (18), flags (25: 2 directory, 128 goes on in the next record), name (33), system use
area. Numbers are stored in both byte orders; the little-endian one is read. Source: ECMA-119 (ISO 9660); Joliet (1995).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._iso9660_boot import boot_images
from fwcheck.extraction.formats._iso9660_rock_ridge import Attributes, attributes, link, long_time, short_time, skip_of, unpacked
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

SECTOR = 2048
FIRST = 16  # number of the first descriptor
DESCRIPTORS = 64
BOOT, PRIMARY, SUPPLEMENTARY, LAST = 0, 1, 2, 255
JOLIET = (b"%/@", b"%/C", b"%/E")
HIDDEN, DIRECTORY, ASSOCIATED, GOES_ON = 1, 2, 4, 0x80

_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}


class Record(msgspec.Struct, kw_only=True):
    """One directory record; ``extents``: first block and size of each piece."""

    name: bytes
    flags: int
    extents: list[tuple[int, int]]
    mtime: int
    interleaved: bool
    area: bytes  # system use

    @property
    def size(self) -> int:
        return sum(size for _, size in self.extents)


def record(raw: bytes) -> Record:
    """A directory record; raises FormatError."""
    length = raw[32] if len(raw) > 33 else 0
    if not length or 33 + length > len(raw):
        raise FormatError("a broken directory record")
    block, size = unpack_from("<I4xI", raw, 2)
    return Record(
        name=raw[33 : 33 + length], flags=raw[25], extents=[(block + raw[1], size)], mtime=short_time(raw[18:25]),
        interleaved=bool(raw[26] or raw[27]), area=raw[33 + length + (length + 1) % 2 :],
    )  # fmt: skip


class Tree(msgspec.Struct, kw_only=True):
    """One of the directory trees of a volume."""

    kind: str  # ``primary``, ``joliet`` or ``rock ridge``
    root: Record
    skip: int = 0


class Volume:
    """A validated volume at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.limits = limits
        self.offset = offset
        self.problems: list[str] = []
        self.detail: dict[str, str | int] = {}
        self.catalogue: int | None = None
        descriptors = list(_descriptors(source, offset))
        primary = next((raw for raw in descriptors if raw[0] == PRIMARY), None)
        if primary is None:
            raise FormatError("no primary volume descriptor")
        self.block = unpack_from("<H", primary, 128)[0]
        blocks = unpack_from("<I", primary, 80)[0]
        if self.block not in (512, 1024, 2048) or blocks * self.block < (FIRST + 1) * SECTOR:
            raise FormatError("impossible sizes in an ISO 9660 descriptor")
        claimed = blocks * self.block
        self.size = min(claimed, source.size - offset)
        if self.size < claimed:
            note(self.problems, f"the volume claims {claimed} bytes, {self.size} are there")
        self.source = source.window(offset, self.size)
        self._outer = source
        self._budget = self.size  # bytes of directories: none is read twice
        self._seen: set[int] = set()
        self._sizes: dict[int, int] = {}
        self.trees = self._trees(descriptors)
        self._describe(primary)
        self.end = max((each.locality + each.size for each in self._boot_images({}, [])), default=0)

    def _trees(self, descriptors: list[bytes]) -> list[Tree]:
        """The trees, the one with the fullest names first."""
        trees: list[Tree] = []
        for raw in descriptors:
            if raw[0] == BOOT and raw[7:30] == b"EL TORITO SPECIFICATION":
                self.catalogue = unpack_from("<I", raw, 71)[0]
            elif raw[0] == PRIMARY and not any(tree.kind != "joliet" for tree in trees):
                root = record(raw[156:190])
                skip = self._skip(root)
                trees.append(Tree(kind="primary" if skip is None else "rock ridge", root=root, skip=skip or 0))
            elif raw[0] == SUPPLEMENTARY and raw[88:91] in JOLIET:
                trees.append(Tree(kind="joliet", root=record(raw[156:190])))
        return sorted(trees, key=lambda tree: ("rock ridge", "joliet", "primary").index(tree.kind))

    def _skip(self, root: Record) -> int | None:
        raw = self.source.peek(root.extents[0][0] * self.block, 256)
        try:
            return skip_of(record(raw[: raw[0]]).area) if raw else None
        except FormatError:
            return None

    def _describe(self, primary: bytes) -> None:
        for key, begin, end in (("volume", 40, 72), ("publisher", 318, 446), ("preparer", 446, 574), ("application", 574, 702)):
            text = "".join(char if char.isprintable() else " " for char in primary[begin:end].decode("latin-1")).strip()
            if text:
                self.detail[key] = text
        created = long_time(primary[813:830])
        if created:
            self.detail["created"] = created
        self.detail["trees"] = ", ".join(tree.kind for tree in self.trees)
        self.detail["block_size"] = self.block
        self.detail["integrity"] = "none"

    def walk(self) -> Iterator[Entry]:
        """The members of the best tree, what only another tree names, and the boot images."""
        known: set[tuple[int, int]] = set()
        for number, tree in enumerate(self.trees):
            self._seen.clear()
            self._budget = self.size
            for entry, one in self._walk(tree):
                place = (one.extents[0][0], one.size)
                if not number:
                    known.add(place)
                    yield entry
                elif entry.kind is NodeKind.FILE and one.size and place not in known:
                    entry.detail = {**entry.detail, "tree": f"{tree.kind} alone"}
                    yield entry
        yield from self._boot_images(self._sizes, self.problems)

    def _boot_images(self, sizes: dict[int, int], problems: list[str]) -> Iterator[Entry]:
        if self.catalogue is not None:
            yield from boot_images(self._outer, self.offset, self.offset + self.size, self.catalogue, sizes, problems)

    def _walk(self, tree: Tree) -> Iterator[tuple[Entry, Record]]:
        pending: list[tuple[str, int, int]] = [("", *tree.root.extents[0])]
        while pending:
            path, block, size = pending.pop()
            if block in self._seen:
                note(self.problems, f"{path or '/'}: shares its entries with another directory")
                continue
            self._seen.add(block)
            try:
                for one in self._records(path, block, size):
                    extra = (
                        attributes(one.area[tree.skip :], self.source, self.block) if tree.kind == "rock ridge" else Attributes()
                    )
                    entry = None if extra.moved else self._member(path, one, extra, tree)
                    if entry is None:
                        continue
                    if entry.kind is NodeKind.DIRECTORY:
                        pending.append((entry.path, *self._place(one, extra)))
                    yield entry, one
            except FormatError as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _place(self, one: Record, extra: Attributes) -> tuple[int, int]:
        """First block and size of a directory; one that was moved up says its size itself."""
        if extra.child is None:
            return one.extents[0]
        raw = self.source.peek(extra.child * self.block, 34)
        return extra.child, unpack_from("<I", raw, 10)[0] if len(raw) == 34 else 0

    def _records(self, path: str, block: int, size: int) -> Iterator[Record]:
        """The records of a directory without those for itself and its parent; pieces of one file joined."""
        self._budget -= size
        if self._budget < 0:
            raise FormatError("directories overlap")
        data = self.source.read(block * self.block, size)
        at, held = 0, None
        while at < len(data):
            length = data[at]
            if not length:  # records do not cross a sector
                at = (at // SECTOR + 1) * SECTOR
                continue
            one = record(data[at : at + length])
            at += length
            if one.name in (b"\0", b"\1"):
                continue
            if held is not None and held.name == one.name:
                held.extents += one.extents
                one, held = msgspec.structs.replace(held, flags=one.flags), None
            if one.flags & GOES_ON:
                held = one
                continue
            yield one
        if held is not None:
            note(self.problems, f"{path}/{decoded(held.name)}: its last piece is missing")
            yield held

    def _name(self, one: Record, extra: Attributes, tree: Tree) -> str:
        if extra.name:
            return decoded(extra.name)
        text = one.name.decode("utf-16-be", "replace") if tree.kind == "joliet" else decoded(one.name)
        stem, mark, version = text.rpartition(";")
        text = stem if mark and version.isdigit() else text
        return text.removesuffix(".") if tree.kind != "joliet" and len(text) > 1 else text

    def _member(self, path: str, one: Record, extra: Attributes, tree: Tree) -> Entry | None:
        name = self._name(one, extra, tree)
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            note(self.problems, f"{path or '/'}: an impossible name {name!r}")
            return None
        directory = bool(one.flags & DIRECTORY) or extra.child is not None
        entry = Entry(path=f"{path}/{name}", mtime=one.mtime if extra.mtime is None else extra.mtime)
        entry.mode = extra.mode & 0o7777 if extra.posix else 0o555 if directory else 0o444
        entry.uid, entry.gid = extra.uid, extra.gid
        if one.flags & HIDDEN:
            entry.detail = {"attributes": "hidden"}
        if extra.posix and not directory:
            entry.kind = _KINDS.get(extra.mode & 0o170000, NodeKind.DEVICE)
        if directory:
            entry.kind = NodeKind.DIRECTORY
        elif entry.kind is NodeKind.SYMLINK:
            entry.target = link(extra.target)
        elif entry.kind is NodeKind.DEVICE:
            entry.device = device_name(extra.mode, *(extra.device or (0, 0)))
        else:
            entry.kind = NodeKind.FILE
            if extra.links > 1:
                entry.detail = {**entry.detail, "links": extra.links}
            self._content(entry, one, extra)
        return entry

    def _content(self, entry: Entry, one: Record, extra: Attributes) -> None:
        entry.size = one.size
        entry.locality = self.offset + one.extents[0][0] * self.block
        self._sizes.setdefault(one.extents[0][0], one.size)
        if one.interleaved:
            note(self.problems, f"{entry.path}: interleaved with another file, which is not read")
            return
        if entry.size > self.size:
            note(self.problems, f"{entry.path}: claims {entry.size} bytes, more than the volume has")
            return
        if extra.unpacked is not None:
            entry.detail = {**entry.detail, "packed": "zisofs", "packed_size": one.size}
            entry.size = extra.unpacked
            entry.open = partial(self._unpacked, one.extents, extra.unpacked)
            return
        entry.open = partial(self._pieces, one.extents)
        whole = all(two == begin + -(-size // self.block) and size % self.block == 0 for (begin, size), (two, _) in zip(
            one.extents, one.extents[1:], strict=False))  # fmt: skip
        if one.size and whole and entry.locality + one.size <= self.offset + self.size:
            entry.offset = entry.locality
            entry.open = partial(self.source.window, one.extents[0][0] * self.block, one.size)

    def _pieces(self, extents: list[tuple[int, int]]) -> ByteSource:
        return Joined([self.source.window(block * self.block, size) for block, size in extents if size])

    def _unpacked(self, extents: list[tuple[int, int]], size: int) -> ByteSource:
        return unpacked(self._pieces(extents), size, self.limits)


def _descriptors(source: ByteSource, offset: int) -> Iterator[bytes]:
    for number in range(FIRST, FIRST + DESCRIPTORS):
        raw = source.peek(offset + number * SECTOR, SECTOR)
        if len(raw) < SECTOR or raw[1:6] != b"CD001":
            if number == FIRST:
                raise FormatError("no ISO 9660 descriptor")
            if len(raw) < SECTOR:
                raise Truncated("an ISO 9660 volume whose descriptors are cut off")
            return
        if raw[0] == LAST:
            return
        yield raw


class Iso9660(Format):
    """The file system of optical discs, and of the images that update and rescue media come as."""

    name = "iso9660"
    title = "ISO 9660 (CD-ROM image)"
    specification = "ECMA-119; Joliet; IEEE P1281 and P1282 (Rock Ridge); El Torito 1.0"
    category = "file system"
    reads = (
        "primary, Joliet and Rock Ridge trees (names, owners, modes, links, devices, times, moved directories), what only a "
        "second tree names, files of several extents, zisofs, El Torito boot images as parts, appended ones too; "
        "hybrid discs with MBR or GPT"
    )
    not_read = "interleaved files, extended attribute records, sparse files (SF), zisofs 2, raw 2,352-byte sectors"
    signatures = (Signature(pattern=rb"\x01CD001\x01\x00", width=8, offset=FIRST * SECTOR),)
    priority = 35  # before the partition tables of hybrid discs, which describe the same bytes

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        volume = Volume(source, offset, limits)
        return Container(
            format=self.name,
            size=max(volume.size, volume.end - offset),
            entries=volume.walk(),
            detail=volume.detail,
            problems=volume.problems,
        )


FORMATS = (Iso9660(),)
