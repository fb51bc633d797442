"""LHA archives (lzh): a header before each member, in one of four levels; a zero byte ends the archive.

Layout (LHa for UNIX, header.doc), little-endian. All levels: method ``-lh5-`` at offset 2, packed size at 7, size at 11, time at
15, level at 20. Levels 0 and 1 have the header's size and the sum of its bytes in front, the name at 21 and the CRC-16 behind it;
level 1 counts its extended headers into the packed size. Level 2 has the size of the whole header in front, CRC-16 at 21 and
extended headers from 24; level 3 has four-byte sizes, that of the header at 24. Extended headers: size, type, data.
"""

from __future__ import annotations

import struct
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _lzh
from fwcheck.extraction.formats._crc16 import crc16, verified
from fwcheck.extraction.formats._listed import dos_time, named, refused
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_BASE = struct.Struct("<2s5sIIIBB")
_STORED = frozenset({b"-lh0-", b"-lz4-", b"-pm0-"})
_DIRECTORY = b"-lhd-"
_HEADER_LIMIT = 64 << 10
_COMMON, _NAME, _PATH, _MODE, _OWNER, _TIME = 0x00, 0x01, 0x02, 0x50, 0x51, 0x54


class Member(msgspec.Struct, kw_only=True):
    """One header, and where its content lies."""

    method: bytes
    packed: int
    size: int
    mtime: int
    level: int
    crc: int
    data: int
    name: bytes = b""
    path: bytes = b""
    mode: int = 0
    uid: int = 0
    gid: int = 0


class Lha(Format):
    """LHA archives."""

    name = "lha"
    title = "LHA archive (lzh, levels 0 to 3)"
    specification = "LHa for UNIX, header.doc"
    category = "archive"
    reads = "headers of all levels with their sums, names, modes, owners and times; stored, lh4 to lh7 members with CRC-16"
    not_read = "members of older methods (lh1 to lh3, lzs, lz5, pm1, pm2), or above 16 MiB; CRC-16 above 1 MiB"
    signatures = (Signature(pattern=rb"-(?:l[hz][0-9ds]|pm[0-2])-.{8}.{4}.[\x00-\x03]", width=19, offset=2),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        problems: list[str] = []
        found, end = _walk(source, offset, limits.nodes, problems)
        methods = ", ".join(dict.fromkeys(one.method.decode("latin-1") for one in found))
        entries = [entry for one in found if (entry := _entry(source, one, limits, problems)) is not None]
        return Container(
            format=self.name, size=end - offset, entries=entries, problems=problems,
            detail={"members": len(found), "level": found[0].level, "method": methods[:200]},
        )  # fmt: skip


def _walk(source: ByteSource, offset: int, limit: int, problems: list[str]) -> tuple[list[Member], int]:
    found: list[Member] = []
    at = offset
    while len(found) <= limit:
        try:
            one = _member(source, at)
        except FormatError as error:
            if not found:
                raise
            if source.peek(at, 1) == b"\0":
                return found, at + 1
            note(problems, f"the archive has no end mark: {error}")
            return found, at
        found.append(one)
        at = one.data + one.packed
        if at > source.size:
            note(problems, "the last member reaches beyond the end")
            return found, source.size
    note(problems, "too many members: the listing was cut short")
    return found, at


def _member(source: ByteSource, at: int) -> Member:
    """The header at ``at``; raises FormatError."""
    head = source.read(at, _BASE.size)
    front, method, packed, size, time, _, level = _BASE.unpack(head)
    if method[:1] != b"-" or method[4:] != b"-" or level > 3:
        raise FormatError(f"no LHA header at 0x{at:x}")
    one = Member(method=method, packed=packed, size=size, mtime=time, level=level, crc=0, data=0)
    if level < 2:
        one.mtime = dos_time(time)
        _old(source, at, front, one)
    else:
        _new(source, at, front, one)
    if method in _STORED and one.packed != one.size:
        raise FormatError("a stored LHA member of two sizes")
    return one


def _old(source: ByteSource, at: int, front: bytes, one: Member) -> None:
    """Levels 0 and 1."""
    raw = source.read(at, front[0] + 2)
    if sum(raw[2:]) & 0xFF != front[1] or len(raw) < 24 or len(raw) < 24 + raw[21]:
        raise FormatError(f"the sum of the LHA header at 0x{at:x} is wrong")
    behind = 22 + raw[21]
    one.name = raw[22:behind]
    one.crc = int.from_bytes(raw[behind : behind + 2], "little")
    one.data = at + len(raw)
    if one.level == 0:
        if len(raw) >= behind + 15 and raw[behind + 2 : behind + 3] == b"U":
            _, _, one.mtime, one.mode, one.uid, one.gid = struct.unpack_from("<BBIHHH", raw, behind + 2)
        return
    first = int.from_bytes(raw[-2:], "little")
    length = _extended(source, at + len(raw), first, 2, one)
    if length > one.packed:
        raise FormatError("an LHA member with more extended headers than bytes")
    one.data, one.packed = one.data + length, one.packed - length


def _new(source: ByteSource, at: int, front: bytes, one: Member) -> None:
    """Levels 2 and 3."""
    raw = source.read(at + 21, 11 if one.level == 3 else 5)
    one.crc = int.from_bytes(raw[:2], "little")
    if one.level == 2:
        length, begin, width = int.from_bytes(front, "little"), 26, 2
        first = int.from_bytes(raw[3:5], "little")
    else:
        length, begin, width = int.from_bytes(raw[3:7], "little"), 32, 4
        first = int.from_bytes(raw[7:11], "little")
        if front != b"\4\0":
            raise FormatError("an LHA header of level 3 with another word size")
    if not begin <= length <= _HEADER_LIMIT:
        raise FormatError("an LHA header of an odd size")
    source.check(at, length)
    if begin + _extended(source, at + begin, first, width, one) > length:
        raise FormatError("LHA extended headers that do not fit")
    one.data = at + length
    _verify(source, at, length, begin, first, width)


def _extended(source: ByteSource, at: int, size: int, width: int, one: Member) -> int:
    """Reads the chain of extended headers whose first has ``size`` bytes; gives the length of all."""
    begin = at
    while size:
        if size < width + 1 or at - begin + size > _HEADER_LIMIT:
            raise FormatError("an LHA extended header of an odd size")
        raw = source.read(at, size)
        kind, data = raw[0], raw[1 : size - width]
        if kind == _NAME:
            one.name = data
        elif kind == _PATH:
            one.path = data
        elif kind == _MODE and len(data) >= 2:
            one.mode = int.from_bytes(data[:2], "little")
        elif kind == _OWNER and len(data) >= 4:
            one.gid, one.uid = struct.unpack_from("<HH", data)
        elif kind == _TIME and len(data) >= 4:
            one.mtime = int.from_bytes(data[:4], "little")
        at += size
        size = int.from_bytes(raw[-width:], "little")
    return at - begin


def _verify(source: ByteSource, at: int, length: int, begin: int, first: int, width: int) -> None:
    """The CRC-16 of the whole header stands in the common extended header, which is the first where there is one."""
    if first < width + 3 or source.peek(at + begin, 1) != bytes([_COMMON]):
        return
    raw = bytearray(source.read(at, length))
    stored = int.from_bytes(raw[begin + 1 : begin + 3], "little")
    raw[begin + 1 : begin + 3] = b"\0\0"
    if crc16(bytes(raw)) != stored:
        raise FormatError(f"the CRC-16 of the LHA header at 0x{at:x} is wrong")


def _entry(source: ByteSource, one: Member, limits: Limits, problems: list[str]) -> Entry | None:
    stored = decoded(one.path.replace(b"\xff", b"/"))
    name = f"{stored.rstrip('/')}/{decoded(one.name)}" if stored else decoded(one.name)
    target = None
    if one.mode & 0o170000 == 0o120000 and "|" in name:
        name, _, target = name.partition("|")
    directory = one.method == _DIRECTORY and target is None
    entry = named(
        name, problems, kind=NodeKind.DIRECTORY if directory else NodeKind.SYMLINK if target is not None else NodeKind.FILE,
        mode=one.mode & 0o7777 if one.mode else 0o755 if directory else 0o644, uid=one.uid, gid=one.gid, mtime=one.mtime,
        size=one.size, locality=one.data, target=target,
    )  # fmt: skip
    if entry is None or entry.kind is not NodeKind.FILE:
        return entry
    entry.detail = {**entry.detail, "method": one.method.decode("latin-1")}
    if one.method in _STORED:
        entry.offset, entry.open = one.data, partial(verified, source, one.data, one.size, one.crc)
    elif one.method in _lzh.WINDOWS and one.size <= _lzh.LIMIT:
        entry.open = partial(_unpacked, source, one, limits)
    else:
        entry.open = refused(f"{one.method.decode('latin-1')} cannot be unpacked")
    return entry


def _unpacked(source: ByteSource, one: Member, limits: Limits) -> ByteSource:
    """A packed content; raises FormatError when it does not fit its CRC, as far as that is computed."""
    pieces = _lzh.unpacked(source.read(one.data, one.packed), one.size, one.method)
    return verified(spool(bounded(pieces, one.packed, limits)), 0, one.size, one.crc)


FORMATS = (Lha(),)
