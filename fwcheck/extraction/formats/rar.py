r"""RAR archives of version 4 and 5: every block is walked, so that the extent is exact; stored members are read.

Layout: RARLAB, "RAR 5.0 archive format" (see ``_rar5``), and technote.txt of RAR 4: the marker ``Rar!\x1a\x07\x00``, then blocks
of CRC (16 bits of the CRC32 of the rest of the header), type, flags, header size and, with flag 0x8000, size of the data behind.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _rar5 as rar5
from fwcheck.extraction.formats._listed import dos_time, named, refused, stored
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_MARK4, _MARK5 = b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"
_MAIN, _FILE, _END = 0x73, 0x74, 0x7B
_BLOCK = struct.Struct("<HBHH")
_FILE_FIELDS = struct.Struct("<IIBIIBBHI")
_LONG, _BEFORE, _BEHIND, _SECRET, _LARGE = 0x8000, 0x01, 0x02, 0x04, 0x100
_STORED, _UNIX = 0x30, 3
_SYMLINK = 0o120000
_SCHEMES = {4: "AES-128-CBC, RAR 3", 5: "AES-256-CBC, RAR 5"}


class Walk(msgspec.Struct, kw_only=True):
    """What walking the blocks of an archive gave."""

    end: int
    entries: list[Entry] = []
    problems: list[str] = []
    flags: int = 0
    secret: bool = False


class Rar(Format):
    """RAR archives; volumes of a set are read one by one."""

    name = "rar"
    title = "RAR archive (4, 5)"
    specification = "RARLAB, RAR 5.0 archive format; technote.txt of RAR 4"
    category = "archive"
    reads = "all headers with their CRC; stored members with their CRC32; symbolic links of version 5"
    not_read = (
        "packed members are listed; encrypted ones are told; names in the Unicode form of RAR 4; members over several volumes"
    )
    signatures = (Signature(pattern=rb"Rar!\x1a\x07(?:\x00.|\x01\x00)", width=8),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, 8) == _MARK5:
            version, walk = 5, _five(source, offset + 8, limits)
        elif source.peek(offset, 7) == _MARK4:
            version, walk = 4, _four(source, offset + 7, limits)
        else:
            raise FormatError("no RAR marker")
        detail: dict[str, str | int] = {"version": version, "members": len(walk.entries), "integrity": "checksum"}
        detail["integrity_detail"] = "CRC32 of headers and of each file"
        if walk.secret:
            detail["headers"] = "encrypted"
        return Container(format=self.name, size=walk.end - offset, entries=walk.entries, detail=detail, problems=walk.problems)


def _hidden(source: ByteSource, at: int, version: int) -> Entry:
    """Encrypted headers hide where the archive ends: it is taken to reach to the end of the source."""
    entry = part(source, "encrypted blocks", at, source.size - at, {"encryption": _SCHEMES[version]})
    entry.role = "encrypted"
    return entry


def _four(source: ByteSource, at: int, limits: Limits) -> Walk:
    walk = Walk(end=at)
    begin = at
    while at < source.size and len(walk.entries) <= limits.nodes:
        try:
            crc, kind, flags, size = _BLOCK.unpack(source.read(at, _BLOCK.size))
            raw = source.read(at, size)
            if size < _BLOCK.size or zlib.crc32(raw[2:]) & 0xFFFF != crc:
                raise FormatError(f"the CRC of the RAR header at 0x{at:x} is wrong")  # noqa: TRY301  # the one place that stops
            data = at + size
            length = int.from_bytes(raw[7:11], "little") if flags & _LONG and len(raw) >= 11 else 0
            if kind == _FILE:
                length = _file(source, raw, flags, data, walk)
        except FormatError as error:
            if at == begin:
                raise
            note(walk.problems, f"the archive breaks off: {error}")
            break
        if at == begin and kind != _MAIN:
            raise FormatError("a RAR archive without a main header")
        walk.flags |= flags if kind == _MAIN else 0
        if kind == _MAIN and flags & 0x80:
            walk.secret, walk.end = True, source.size
            walk.entries.append(_hidden(source, data, 4))
            return walk
        if data + length > source.size:
            note(walk.problems, "the last block reaches beyond the end")
        at = walk.end = min(data + length, source.size)
        if kind == _END:
            break
    return walk


def _file(source: ByteSource, raw: bytes, flags: int, data: int, walk: Walk) -> int:
    """The member that a file header describes; gives the length of its data."""
    if len(raw) < 7 + _FILE_FIELDS.size:
        raise FormatError("a RAR file header that ends too early")
    packed, size, system, crc, time, _, method, length, attributes = _FILE_FIELDS.unpack_from(raw, 7)
    at = 7 + _FILE_FIELDS.size
    if flags & _LARGE and len(raw) >= at + 8:
        high = struct.unpack_from("<II", raw, at)
        packed, size, at = packed | high[0] << 32, size | high[1] << 32, at + 8
    name = decoded(raw[at : at + length].split(b"\0", 1)[0])
    mode = attributes if system == _UNIX else 0o755 if flags & 0xE0 == 0xE0 else 0o644
    kind = NodeKind.DIRECTORY if flags & 0xE0 == 0xE0 else NodeKind.FILE
    entry = named(name, walk.problems, kind=kind, mode=mode & 0o7777, mtime=dos_time(time), size=size, locality=data)
    if entry is not None:
        plain = method == _STORED and packed == size
        _content(source, entry, (data, packed, crc if plain else None), 4 if flags & _SECRET else 0, plain, flags)
        walk.entries.append(entry)
    return int(packed)


def _content(source: ByteSource, entry: Entry, place: tuple[int, int, int | None], scheme: int, plain: bool, split: int) -> None:
    """How the content of a member is got at: encrypted, split, stored or packed."""
    at, packed, crc = place
    packed = min(packed, max(0, source.size - at))
    if entry.kind is not NodeKind.FILE:
        return
    if scheme:
        entry.role, entry.detail = "encrypted", {**entry.detail, "encryption": _SCHEMES[scheme]}
        entry.offset, entry.open = at, stored(source, min(at, source.size), packed)
    elif split & (_BEFORE | _BEHIND):
        entry.open = refused("continued from or in another volume")
    elif plain:
        entry.offset, entry.open = at, stored(source, at, entry.size, crc)
    else:
        entry.open = refused("RAR compression cannot be unpacked")


def _five(source: ByteSource, at: int, limits: Limits) -> Walk:
    walk = Walk(end=at)
    begin = at
    while at < source.size and len(walk.entries) <= limits.nodes:
        try:
            one = rar5.block(source, at)
            if one.type == rar5.FILE:
                _member(source, one, walk)
        except FormatError as error:
            if at == begin:
                raise
            note(walk.problems, f"the archive breaks off: {error}")
            break
        if one.type == rar5.ENCRYPTION:
            walk.secret, walk.end = True, source.size
            walk.entries.append(_hidden(source, one.end, 5))
            return walk
        if one.end > source.size:
            note(walk.problems, "the last block reaches beyond the end")
        at = walk.end = min(one.end, source.size)
        if one.type == rar5.END:
            break
    return walk


def _member(source: ByteSource, one: rar5.Block, walk: Walk) -> None:
    found = rar5.file(one)
    kind = NodeKind.DIRECTORY if found.directory else NodeKind.SYMLINK if found.link == "symbolic" else NodeKind.FILE
    entry = named(
        found.name, walk.problems, kind=kind, mode=found.mode & 0o7777, mtime=found.mtime, size=found.size, locality=one.data
    )
    if entry is None:
        return
    if kind is NodeKind.SYMLINK:
        entry.target = found.target
    elif found.link:
        entry.detail = {**entry.detail, "link": found.target, "link_type": found.link}
    split = (one.flags >> 3 & 1) | (one.flags >> 4 & 1) << 1
    plain = found.method == 0 and one.size == found.size
    _content(source, entry, (one.data, one.size, found.crc if plain else None), 5 if found.encrypted else 0, plain, split)
    walk.entries.append(entry)


FORMATS = (Rar(),)
