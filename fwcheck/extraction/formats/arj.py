"""ARJ archives: a main header, a header before each member, an empty header at the end.

Layout (ARJ technote.txt), little-endian: ``60 EA``, size of the basic header, basic header, its CRC32, extended headers (size,
data, CRC32) up to one of size 0. Basic header: size of its fixed part, versions, host, flags (1: garbled), method, type (2: main,
3: directory), time, packed and unpacked size, CRC32, and behind the fixed part name and comment, each ended by a zero.
"""

from __future__ import annotations

import struct
import zlib
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _lzh
from fwcheck.extraction.formats._listed import dos_time, named, refused, stored
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_MAGIC = b"\x60\xea"
_FIXED = struct.Struct("<BBBBBBBxIIIIHHH")
_LIMIT = 2600  # bytes of a basic header
_EXTENDED = 64
_LZH = frozenset({1, 2, 3})
_MAIN, _DIRECTORY = 2, 3
_GARBLED, _VOLUME, _CONTINUED = 0x01, 0x04, 0x08
_HOSTS = {0: "MS-DOS", 1: "PRIMOS", 2: "Unix", 3: "Amiga", 4: "MacOS", 5: "OS/2", 8: "NeXT", 9: "VAX", 10: "Win95", 11: "Win32"}
_UNIX = frozenset({2, 8})


class Header(msgspec.Struct, kw_only=True):
    """One header; ``end`` is where its data begin."""

    host: int
    flags: int
    method: int
    type: int
    time: int
    packed: int
    size: int
    crc: int
    mode: int
    name: str
    comment: str
    end: int


class Arj(Format):
    """ARJ archives; volumes of a set are read one by one."""

    name = "arj"
    title = "ARJ archive"
    specification = "ARJ technote.txt"
    category = "archive"
    reads = "all headers with their CRC32; members stored or packed by methods 1 to 3, with their CRC32"
    not_read = "method 4 and members above 16 MiB are listed, garbled ones told as encrypted; members over several volumes"
    signatures = (Signature(pattern=rb"\x60\xea.[\x00-\x0a][\x1e-\x40].{2}[\x00-\x0b].{2}\x02", width=11),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        main = _header(source, offset)
        if main is None or main.type != _MAIN:
            raise FormatError("no ARJ main header")
        problems: list[str] = []
        entries: list[Entry] = []
        end = _walk(source, main.end, limits, entries, problems)
        detail: dict[str, str | int] = {"name": main.name, "host": _HOSTS.get(main.host, str(main.host)), "members": len(entries)}
        detail |= {"integrity": "checksum", "integrity_detail": "CRC32 of headers and of each file"}
        if main.comment:
            detail["comment"] = main.comment[:200]
        return Container(format=self.name, size=end - offset, entries=entries, detail=detail, problems=problems)


def _header(source: ByteSource, at: int) -> Header | None:
    """The header at ``at``; None for the empty one at the end. Raises FormatError."""
    magic, length = struct.unpack("<2sH", source.read(at, 4))
    if magic != _MAGIC or length > _LIMIT:
        raise FormatError(f"no ARJ header at 0x{at:x}")
    if not length:
        return None
    raw = source.read(at + 4, length)
    if length < _FIXED.size or zlib.crc32(raw) != int.from_bytes(source.read(at + 4 + length, 4), "little"):
        raise FormatError(f"the CRC32 of the ARJ header at 0x{at:x} is wrong")
    fixed, _, _, host, flags, method, kind, time, packed, size, crc, _, mode, _ = _FIXED.unpack_from(raw)
    texts = [*raw[fixed:].split(b"\0"), b"", b""]
    end = at + 4 + length + 4
    for _ in range(_EXTENDED):
        more = int.from_bytes(source.read(end, 2), "little")
        end += 2
        if not more:
            break
        end += more + 4
    name, comment = (_shown(decoded(text)) for text in texts[:2])
    return Header(
        host=host, flags=flags, method=method, type=kind, time=time, packed=packed, size=size, crc=crc, mode=mode, name=name,
        comment=comment, end=end,
    )  # fmt: skip


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() or "\udc80" <= char <= "\udcff" else "?" for char in text)


def _walk(source: ByteSource, at: int, limits: Limits, entries: list[Entry], problems: list[str]) -> int:
    """All members; the offset behind the archive."""
    while len(entries) <= limits.nodes:
        try:
            one = _header(source, at)
        except FormatError as error:
            note(problems, f"the archive has no end mark: {error}")
            return min(at, source.size)
        if one is None:
            return at + 4
        entry = _entry(source, one, limits, problems)
        if entry is not None:
            entries.append(entry)
        at = one.end + one.packed
        if at > source.size:
            note(problems, "the last member reaches beyond the end")
            return source.size
    note(problems, "too many members: the listing was cut short")
    return at


def _entry(source: ByteSource, one: Header, limits: Limits, problems: list[str]) -> Entry | None:
    if one.type > _DIRECTORY:  # volume labels and chapters
        return None
    kind = NodeKind.DIRECTORY if one.type == _DIRECTORY else NodeKind.FILE
    mode = one.mode & 0o7777 if one.host in _UNIX and one.mode else 0o755 if kind is NodeKind.DIRECTORY else 0o644
    entry = named(
        one.name, problems, kind=kind, mode=mode, mtime=dos_time(one.time), size=one.size, locality=one.end,
        detail={"method": "stored" if not one.method else f"method {one.method}"},
    )  # fmt: skip
    if entry is None or kind is not NodeKind.FILE:
        return entry
    packed = min(one.packed, max(0, source.size - one.end))
    if one.flags & _GARBLED:
        entry.role, entry.detail = "encrypted", {**entry.detail, "encryption": "ARJ garble"}
        entry.offset, entry.open = one.end, stored(source, min(one.end, source.size), packed)
    elif one.flags & (_VOLUME | _CONTINUED):
        entry.open = refused("continued from or in another volume")
    elif one.method == 0 and one.packed == one.size:
        entry.offset, entry.open = one.end, stored(source, one.end, one.size, one.crc)
    elif one.method in _LZH and one.size <= _lzh.LIMIT and one.packed == packed:
        entry.open = partial(_unpacked, source, one, limits)
    else:
        entry.open = refused(f"ARJ method {one.method} cannot be unpacked")
    return entry


def _unpacked(source: ByteSource, one: Header, limits: Limits) -> ByteSource:
    pieces = _lzh.unpacked(source.read(one.end, one.packed), one.size, b"arj")
    content = spool(bounded(pieces, one.packed, limits))
    return stored(content, 0, one.size, one.crc)()


FORMATS = (Arj(),)
