"""YAFFS1 and YAFFS2: every page of the flash is an object header or a piece of a file, and the newest of each holds.

Layout of tags and geometries: see ``_yaffs_layout.py``. Object header, 512 bytes in the byte order of the machine:
    0 type, 4 parent, 10 name (256), 268 mode, 272 uid, 276 gid, 284 mtime, 292 size, 296 object a hard link means,
    300 target of a symbolic link (160), 460 device, 496 upper half of the size, 488 and 504 object that this one shadows
    (the former with tags in band), 492 and 508 whether it was written because the file shrank; attributes follow in the page.
Semantics: Aleph One, ``yaffs_yaffs2.c`` (scanning), "YAFFS2 Specification". There is no superblock: the file system is the run of
chunks whose tags make sense.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.formats._yaffs_layout import (
    BAD_BLOCK,
    CHECKPOINT,
    DIRECTORY,
    FILE,
    HARD_LINK,
    HEADER,
    LOWEST,
    SUMMARY,
    SYMLINK,
    Geometry,
    Tags,
    corrected,
    detect,
    is_header,
)
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

ROOT, LOST, UNLINKED, DELETED = 1, 2, 3, 4
FOREIGN = 256  # chunks in a row without sense that end the file system: some blocks may be bad
BLOCK = {1: 32, 2: 64}  # pages of an erase block, usually
LARGEST = 256  # pages of an erase block, at most
_ATTRIBUTES = 16
_AHEAD = 64  # chunks looked at in one view


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """The newest header of an object."""

    at: int
    type: int
    parent: int
    name: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    means: int
    target: bytes
    device: int


class Log:
    """The chunks around ``offset``, replayed from the oldest to the newest."""

    def __init__(self, source: ByteSource, offset: int, geometry: Geometry, limits: Limits) -> None:
        self.source = source
        self.geometry = geometry
        self.limits = limits
        self.problems: list[str] = []
        self.objects: dict[int, Object] = {}
        self.data: dict[int, dict[int, tuple[int, int]]] = {}  # object -> chunk -> place, bytes used
        self.skipped: Counter[str] = Counter()
        order = geometry.order
        self._fields = Struct(order + "II2x256s2xIII4xI4xIi160sI24x")
        self._tail = Struct(order + "IIIIII")  # from 488
        self._left = 16 * limits.nodes
        self._first: dict[tuple[int, int, int], int] = {}
        back, before = self._run(offset - geometry.stride, -geometry.stride)
        ahead, after = self._run(offset, geometry.stride)
        self.begin = before
        self.end = self._whole(after)
        chunks = back[::-1] + ahead
        if geometry.version == 2:
            chunks.sort(key=lambda one: one[1].sequence)
        for at, tags in chunks:
            self._replay(at, tags)

    def _run(self, at: int, step: int) -> tuple[list[tuple[int, Tags]], int]:
        """Chunks from ``at`` on in one direction, and the edge of the last one that makes sense."""
        stride, foreign, chunks = self.geometry.stride, 0, []
        edge = at if step > 0 else at + stride
        ahead = _AHEAD * stride
        view, base = memoryview(b""), -1
        while 0 <= at <= self.source.size - stride and foreign < FOREIGN:
            if base < 0 or not base <= at <= base + len(view) - stride:
                base = at if step > 0 else max(at % stride, at + stride - ahead)
                view = self.source.view(base, min(ahead, self.source.size - base))
            tags = self.geometry.read(view, at - base)
            if tags is not None:
                self._left -= 1
                if step > 0 and self._another(at, tags):
                    break
                if self._left < 0:
                    note(self.problems, "too many chunks: the rest was not read")
                    break
                chunks.append((at, tags))
                edge, foreign = (at + stride if step > 0 else at), 0
            elif not self.geometry.erased(view, at - base):
                foreign += 1
            at += step
        return chunks, edge

    def _another(self, at: int, tags: Tags) -> bool:
        """Whether another file system has begun: a block's sequence number is its own, and mkyaffs2image writes nothing twice."""
        if self.geometry.version == 1 or tags.sequence in (CHECKPOINT, BAD_BLOCK):
            return False
        if tags.sequence == LOWEST:
            return self._first.setdefault((tags.sequence, tags.object, tags.chunk), at) != at
        return at - self._first.setdefault((tags.sequence, 0, 0), at) >= LARGEST * self.geometry.stride

    def _whole(self, end: int) -> int:
        """The end of the last erase block, when the rest of it is erased."""
        size = self.geometry.stride * BLOCK[self.geometry.version]
        full = min(self.begin - (self.begin - end) // size * size, self.source.size)
        rest = self.source.view(end, max(full - end, 0))
        return full if full > end and rest == b"\xff" * len(rest) else end

    def _replay(self, at: int, tags: Tags) -> None:
        if tags.sequence in (CHECKPOINT, BAD_BLOCK) or tags.object in (0, SUMMARY):
            kind = {CHECKPOINT: "checkpoint", BAD_BLOCK: "bad block"}.get(
                tags.sequence, "deleted" if not tags.object else "summary"
            )
            self.skipped[kind] += 1
        elif tags.chunk:
            chunks = self.data.setdefault(tags.object, {})
            known = chunks.get(tags.chunk)
            # YAFFS1 writes the copy with the next serial number before it deletes the old one.
            if known is None or self.geometry.version == 2 or (self._serial(known[0]) + 1) & 3 == tags.sequence:
                chunks[tags.chunk] = (at, tags.used)
        else:
            self._header(at, tags)

    def _serial(self, at: int) -> int:
        tags = self.geometry.read(self.source.view(at, self.geometry.stride), 0)
        return tags.sequence if tags is not None else 0

    def _header(self, at: int, tags: Tags) -> None:
        raw = self.source.view(at, HEADER)
        if not is_header(raw, self.geometry.order):
            self.skipped["broken header"] += 1
            return
        kind, parent, name, mode, uid, gid, mtime, size, means, target, device = self._fields.unpack_from(raw)
        inband, _, upper, _, shadows, _ = self._tail.unpack_from(raw, 488)
        shadows = inband if self.geometry.inband else shadows
        if kind == FILE and upper not in (0, 0xFFFFFFFF):
            size |= upper << 32
        known = self.objects.get(tags.object)
        if self.geometry.version == 1 and known is not None and (self._serial(known.at) + 1) & 3 != tags.sequence:
            return
        self.objects[tags.object] = Object(
            at=at, type=kind, parent=parent, name=name.split(b"\0", 1)[0], mode=mode, uid=uid, gid=gid, mtime=mtime,
            size=size if kind == FILE else 0, means=means, target=target.split(b"\0", 1)[0], device=device,
        )  # fmt: skip
        if 0 < shadows <= 0x3FFFF and shadows != tags.object:
            self.objects.pop(shadows, None)
            self.data.pop(shadows, None)
        # What a header leaves out was cut off before it was written.
        end = 0 if parent in (UNLINKED, DELETED) else size
        if kind == FILE and (chunks := self.data.get(tags.object)):
            for number in [number for number in chunks if (number - 1) * self.geometry.page >= end]:
                del chunks[number]


class Tree:
    """What a mount would show of a log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._children: dict[int, list[int]] = {}
        for number, one in log.objects.items():
            self._children.setdefault(one.parent, []).append(number)
        self._links = Counter(one.means for one in log.objects.values() if one.type == HARD_LINK and one.parent > DELETED)
        self._links += Counter(one.means for one in log.objects.values() if one.type == HARD_LINK and one.parent in (ROOT, LOST))

    def walk(self) -> Iterator[Entry]:
        """Every live object, parents first."""
        problems, pending, seen = self._log.problems, [("", ROOT)], {ROOT, UNLINKED, DELETED}
        if self._children.get(LOST) and LOST not in self._log.objects:
            yield Entry(path="/lost+found", kind=NodeKind.DIRECTORY, mode=0o755)
            pending.insert(0, ("/lost+found", LOST))
            seen.add(LOST)
        while pending:
            path, parent = pending.pop()
            for number in sorted(self._children.get(parent, ()), key=lambda child: self._log.objects[child].name):
                one = self._log.objects[number]
                name = decoded(one.name)
                if number in seen or name in ("", ".", ".."):
                    if number != ROOT:
                        note(problems, f"{path or '/'}: an impossible name {name!r}, or a second one")
                    continue
                seen.add(number)
                entry = self._entry(f"{path}/{name}", number, one)
                if entry.kind is NodeKind.DIRECTORY and one.type == DIRECTORY:
                    pending.append((entry.path, number))
                yield entry
        lost = sum(one.parent not in seen for one in self._log.objects.values())
        if lost:
            note(problems, f"{lost} objects cannot be reached from the root")

    def _entry(self, path: str, number: int, one: Object) -> Entry:
        detail: dict[str, str | int] = {}
        if one.type == HARD_LINK:
            meant = self._log.objects.get(one.means)
            if meant is None or meant.type == HARD_LINK:
                note(self._log.problems, f"{path}: the object of a hard link is missing")
                return Entry(path=path, locality=one.at)
            number, one = one.means, meant
        if self._links[number]:
            detail = {"inode": number, "links": self._links[number] + (one.parent not in (UNLINKED, DELETED))}
        entry = Entry(
            path=path, mode=one.mode & 0o7777, uid=one.uid, gid=one.gid, mtime=one.mtime, locality=one.at,
            detail=detail | self._attributes(one),
        )  # fmt: skip
        if one.type == DIRECTORY:
            entry.kind = NodeKind.DIRECTORY
        elif one.type == SYMLINK:
            entry.kind, entry.target = NodeKind.SYMLINK, decoded(one.target)
        elif one.type == FILE:
            chunks = self._log.data.get(number, {})
            entry.size = max(one.size, max(((at - 1) * self._page + used for at, (_, used) in chunks.items()), default=0))
            entry.open = partial(self._content, chunks, entry.size)
        else:
            entry.kind = NodeKind.DEVICE
            minor = (one.device & 0xFF) | (one.device >> 12 & 0xFFF00)
            entry.device = device_name(one.mode, (one.device & 0xFFF00) >> 8, minor)
        return entry

    @property
    def _page(self) -> int:
        return self._log.geometry.page

    def _attributes(self, one: Object) -> dict[str, str | int]:
        """Extended attributes stand behind the header in its page: size, name, value."""
        if self._page < 2 * HEADER:
            return {}
        raw, at, out = self._log.source.read(one.at, self._page), HEADER, dict[str, str | int]()
        size_of = Struct(self._log.geometry.order + "I")
        while at + 6 <= len(raw) and len(out) < _ATTRIBUTES:
            (size,) = size_of.unpack_from(raw, at)
            end = raw.find(b"\0", at + 4, at + size) if 6 <= size <= len(raw) - at else -1
            name = raw[at + 4 : end] if end > 0 else b""
            if not name.isascii() or b"." not in name or not name.decode().isprintable():
                break
            key, value = attribute(name.decode(), raw[end + 1 : at + size])
            out[key] = value
            at += size
        return out

    def _content(self, chunks: dict[int, tuple[int, int]], size: int) -> ByteSource:
        """A file's chunks as they lie in the image, and holes where none was written."""
        if size - len(chunks) * self._page > self._log.limits.bytes_stream:
            raise QuotaExceeded(f"a sparse file of {size} bytes")
        return Joined(self._pieces(chunks, size))

    def _pieces(self, chunks: dict[int, tuple[int, int]], size: int) -> Iterator[ByteSource | int]:
        at = 0
        for number, (place, used) in sorted(chunks.items()):
            begin = (number - 1) * self._page
            if begin >= size:
                break
            if begin > at:
                yield begin - at
            length = min(used, self._page, size - begin)
            yield self._log.source.window(place, length)
            at = begin + length
        if at < size:
            yield size - at


class Yaffs(Format):
    """A YAFFS partition with its spare areas, as mkyaffs2image writes it or as it is dumped from NAND."""

    name = "yaffs"
    title = "YAFFS1 and YAFFS2"
    specification = "Aleph One, yaffs2: yaffs_guts.h, yaffs_packedtags1.h, yaffs_packedtags2.h"
    category = "file system"
    reads = (
        "both versions and byte orders; pages of 512 to 16384 bytes with spare areas of 16 to 1280, tags at any place in them,"
        " with or without error correction, or in band; hard and symbolic links, devices, attributes; deleted, shrunk and"
        " shadowed objects; checkpoints and summaries skipped"
    )
    not_read = "dumps without spare areas (unless tags are in band); bit errors are not corrected; UTF-16 names of Windows CE"
    priority = 40
    signatures = (
        Signature(pattern=rb"[\x01-\x05]\x00\x00\x00..[\x00-\x03]\x00\xFF\xFF[^\x00/\xFF]", width=11),
        Signature(pattern=rb"\x00\x00\x00[\x01-\x05]\x00[\x00-\x03]..\xFF\xFF[^\x00/\xFF]", width=11),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, HEADER)
        order = "<" if raw[1:4] == b"\0\0\0" and raw[:1] != b"\0" else ">"
        if not is_header(raw, order):
            raise FormatError("no YAFFS object header")
        geometry = detect(source, offset, order)
        if geometry is None:
            raise FormatError("no tags behind the object header, in any geometry")
        log = Log(source, offset, geometry, limits)
        tree = Tree(log)
        detail: dict[str, str | int] = {
            "version": geometry.version,
            "byte_order": "little" if order == "<" else "big",
            "page": geometry.page + 16 if geometry.inband else geometry.page,
            "spare": "tags in band" if geometry.inband else geometry.spare,
            "objects": len(log.objects),
            "data_chunks": sum(map(len, log.data.values())),
            "tags": _tags(source, offset, geometry),
        }
        if gone := sum(one.parent in (UNLINKED, DELETED) for one in log.objects.values()):
            detail["deleted_objects"] = gone
        if log.skipped:
            detail["skipped_chunks"] = ", ".join(f"{count} {kind}" for kind, count in sorted(log.skipped.items()))
        return Container(
            format=self.name, size=log.end - offset, before=offset - log.begin, entries=tree.walk(), detail=detail,
            problems=log.problems,
        )  # fmt: skip


def _tags(source: ByteSource, offset: int, geometry: Geometry) -> str:
    if geometry.version == 1:
        return "YAFFS1 layout, error correction right"
    place = f"offset {geometry.tags} of the spare area" if not geometry.inband else "in band"
    return f"{place}, error correction {'right' if corrected(source.view(offset, geometry.stride), geometry) else 'absent'}"


FORMATS = (Yaffs(),)
