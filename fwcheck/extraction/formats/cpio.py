"""cpio archives: new ASCII without and with checksum, portable ASCII, and old binary in both byte orders.

Layout: Linux kernel, ``Documentation/driver-api/early-userspace/buffer-format.rst`` (070701, 070702), and the headers that
``cpio(5)`` gives for 070707 and the old binary format.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

TRAILER = "TRAILER!!!"
NAME_LIMIT = 4096
PADDING_LIMIT = 4096  # zeros between archives laid one behind the other

_NEW = re.compile(rb"07070[12][0-9A-Fa-f]{104}")
_PORTABLE = re.compile(rb"070707[0-7]{70}")
# magic, dev, ino, mode, uid, gid, nlink, rdev, mtime (high, low), namesize, filesize (high, low)
_OLD = {b"\xc7\x71": Struct("<13H"), b"\x71\xc7": Struct(">13H")}
_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}
_TYPES = frozenset({*_KINDS, 0o020000, 0o060000, 0o010000, 0o140000, 0o110000})  # 0110000: network special


class Member(msgspec.Struct, kw_only=True):
    """One header, and where its content lies in the source."""

    variant: str
    name: str
    mode: int
    uid: int
    gid: int
    mtime: int
    links: int
    identity: tuple[int, int, int]  # device and inode: the same for all names of one file
    rdev: tuple[int, int]
    checksum: int
    data: int
    size: int
    next: int


def member(source: ByteSource, at: int) -> Member:
    """The header at ``at``, in whichever variant; raises FormatError."""
    raw = source.peek(at, 110)
    if _NEW.fullmatch(raw):
        return _new(source, at, raw)
    if _PORTABLE.match(raw):
        return _portable(source, at, raw)
    if raw[:2] in _OLD and len(raw) >= 26:
        return _old(source, at, raw)
    raise FormatError(f"no cpio header at 0x{at:x}")


def _new(source: ByteSource, at: int, raw: bytes) -> Member:
    inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, length, check = (
        int(raw[begin : begin + 8], 16) for begin in range(6, 110, 8)
    )
    data = -(-(110 + length) // 4) * 4 + at
    return Member(
        variant="crc" if raw[5:6] == b"2" else "newc", name=_name(source, at + 110, length), mode=mode, uid=uid, gid=gid,
        mtime=mtime, links=links, identity=(major, minor, inode), rdev=(rmajor, rminor), checksum=check,
        data=data, size=size, next=data + -(-size // 4) * 4,
    )  # fmt: skip


def _portable(source: ByteSource, at: int, raw: bytes) -> Member:
    widths, fields, begin = (6, 6, 6, 6, 6, 6, 6, 11, 6, 11), [], 6
    for width in widths:
        fields.append(int(raw[begin : begin + width], 8))
        begin += width
    device, inode, mode, uid, gid, links, rdev, mtime, length, size = fields
    data = at + 76 + length
    return Member(
        variant="odc", name=_name(source, at + 76, length), mode=mode, uid=uid, gid=gid, mtime=mtime, links=links,
        identity=(device, 0, inode), rdev=(rdev >> 8, rdev & 0xFF), checksum=0, data=data, size=size, next=data + size,
    )  # fmt: skip


def _old(source: ByteSource, at: int, raw: bytes) -> Member:
    _, device, inode, mode, uid, gid, links, rdev, high, low, length, size_high, size_low = _OLD[raw[:2]].unpack_from(raw)
    data, size = at + 26 + length + (length & 1), size_high << 16 | size_low
    return Member(
        variant="binary", name=_name(source, at + 26, length), mode=mode, uid=uid, gid=gid, mtime=high << 16 | low,
        links=links, identity=(device, 0, inode), rdev=(rdev >> 8, rdev & 0xFF), checksum=0, data=data, size=size,
        next=data + size + (size & 1),
    )  # fmt: skip


def _name(source: ByteSource, at: int, length: int) -> str:
    raw = source.peek(at, length) if 0 < length <= NAME_LIMIT else b""
    if len(raw) < max(length, 1) or raw[-1] or raw[0] == 0:
        raise FormatError("a cpio name that is empty, too long or has no end")
    return decoded(raw.split(b"\0", 1)[0])


def checksum(source: ByteSource) -> int:
    """The sum of all bytes modulo 2**32, as 070702 stores it.

    Adler-32's low half is one plus the sum modulo 65,521, which 256 bytes cannot reach: a native sum of bytes.
    """
    total, adler = 0, zlib.adler32
    for chunk in source.chunks():
        pieces = range(0, len(chunk), 256)
        total += sum(adler(chunk[at : at + 256]) & 0xFFFF for at in pieces) - len(pieces)
    return total & 0xFFFFFFFF


class Archive:
    """The members from ``offset`` to the trailer; archives that follow after padding belong to it, as the kernel reads them."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.source = source
        self.problems: list[str] = []
        self.segments: list[list[Member]] = []
        at = end = offset
        while (found := self._segment(at, limits.nodes)) is not None:
            self.segments.append(found[0])
            end = found[1]
            following = self._next(end) if found[2] else None
            if following is None:
                break
            at = following
        self.size = min(end, source.size) - offset

    def _segment(self, at: int, limit: int) -> tuple[list[Member], int, bool] | None:
        """Members, end, and whether the trailer was met; None when no archive begins here."""
        members: list[Member] = []
        limit -= sum(map(len, self.segments))
        begin = at
        while True:
            try:
                one = member(self.source, at)
                if one.mode & 0o170000 not in _TYPES and one.name != TRAILER:
                    raise FormatError(f"file type 0{one.mode:o}")  # noqa: TRY301  # the one place that stops a segment
            except FormatError as error:
                if at == begin:
                    if self.segments:
                        return None
                    raise
                note(self.problems, f"the archive has no trailer: {error}")
                return members, at, False
            if one.name == TRAILER and not one.size:
                return members, one.next, True
            members.append(one)
            if one.next > self.source.size:
                note(self.problems, f"{one.name} claims {one.size} bytes, the image ends before")
                return members, self.source.size, False
            if len(members) > limit:
                note(self.problems, "too many members: the listing was cut short")
                return members, one.next, False
            at = one.next

    def _next(self, end: int) -> int | None:
        """Where another archive begins behind a trailer and zeros."""
        behind = self.source.peek(end, PADDING_LIMIT + 6)
        zeros = len(behind) - len(behind.lstrip(b"\0"))
        magic = behind[zeros : zeros + 6]
        return end + zeros if magic in (b"070701", b"070702", b"070707") and (end + zeros) % 4 == end % 4 else None

    def entries(self) -> Iterator[Entry]:
        """Every member under its normalised path, in order; checksums of 070702 are verified on the way."""
        paths: Counter[str] = Counter()
        for segment in self.segments:
            contents = self._contents(segment)
            for one in segment:
                entry = self._entry(one, contents)
                if entry is not None:
                    paths[entry.path] += entry.kind is not NodeKind.DIRECTORY
                    yield entry
        for path, count in paths.items():
            if count > 1:
                note(self.problems, f"{path} occurs {count} times: the last one is what unpacking leaves")

    def _contents(self, segment: list[Member]) -> dict[tuple[int, int, int], Member]:
        """Which member holds the content of a file with several names: in newc the last one does, the others are empty."""
        return {
            one.identity: one
            for one in segment
            if one.links > 1 and one.size and one.variant in ("newc", "crc") and one.mode & 0o170000 == 0o100000
        }

    def _entry(self, one: Member, contents: dict[tuple[int, int, int], Member]) -> Entry | None:
        path, escapes = member_path(one.name)
        if path == "/":
            return None
        kind = _KINDS.get(one.mode & 0o170000, NodeKind.DEVICE)
        entry = Entry(
            path=path, kind=kind, mode=one.mode & 0o7777, uid=one.uid, gid=one.gid, mtime=one.mtime,
            device=device_name(one.mode, *one.rdev) if kind is NodeKind.DEVICE else None,
        )  # fmt: skip
        if escapes:
            entry.detail = {"stored": one.name}
            note(self.problems, f"the name {one.name!r} leaves the archive: kept as {path}")
        if kind is NodeKind.SYMLINK:
            entry.target = decoded(self.source.peek(one.data, min(one.size, NAME_LIMIT))).rstrip("\0")
        elif kind is NodeKind.FILE:
            holder = contents.get(one.identity, one) if one.links > 1 and not one.size else one
            if holder is not one:
                entry.detail = {**entry.detail, "link": member_path(holder.name)[0]}
            entry.size, entry.offset, entry.locality = holder.size, holder.data, holder.data
            entry.open = partial(self.source.window, holder.data, holder.size)
            if one.variant == "crc" and one.size and one.data + one.size <= self.source.size:
                self._verify(one, path)
        return entry

    def _verify(self, one: Member, path: str) -> None:
        if (found := checksum(self.source.window(one.data, one.size))) != one.checksum:
            note(self.problems, f"{path}: the checksum is 0x{found:x}, the header says 0x{one.checksum:x}")


class Cpio(Format):
    """cpio archives. The old binary variants have a magic of two bytes: they count at the beginning of a source only."""

    name = "cpio"
    title = "cpio (newc, crc, odc, old binary)"
    specification = "Linux kernel, driver-api/early-userspace/buffer-format.rst; cpio(5)"
    category = "archive"
    reads = (
        "newc, crc (checksums recomputed), odc, old binary in both byte orders; hard links; archives laid one behind the other"
    )
    not_read = "HP-UX device numbers; archives over several volumes"
    signatures = (
        Signature(pattern=rb"07070[12][0-9A-Fa-f]{8}", width=14),
        Signature(pattern=rb"070707[0-7]{12}", width=18),
        Signature(pattern=rb"\xC7\x71", width=2, anywhere=False),
        Signature(pattern=rb"\x71\xC7", width=2, anywhere=False),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        archive = Archive(source, offset, limits)
        members = sum(map(len, archive.segments))
        if not members:
            raise FormatError("an empty cpio archive")
        first = archive.segments[0][0] if archive.segments[0] else archive.segments[-1][0]
        if first.variant == "binary" and archive.problems and members < 3:
            raise FormatError("no cpio member where two bytes of magic announce one")
        detail: dict[str, str | int] = {"variant": first.variant, "members": members}
        return Container(format=self.name, size=archive.size, entries=archive.entries(), detail=detail, problems=archive.problems)


FORMATS = (Cpio(),)
