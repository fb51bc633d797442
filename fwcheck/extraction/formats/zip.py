"""ZIP archives, jar and apk among them: read from the central directory, or from local headers when it is gone.

Layout: PKWARE APPNOTE 6.3.10; section numbers below are those of that document.
"""

from __future__ import annotations

import calendar
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from struct import Struct, unpack_from
from weakref import WeakKeyDictionary

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._apk_signature import Layout, apk_signatures
from fwcheck.extraction.formats._jar_signature import jar_signatures
from fwcheck.extraction.formats._listed import refused
from fwcheck.extraction.formats._zip_methods import DEFLATE, NAMES, STORED, inflated_length, unpacked
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind, SignedBlock

LOCAL, CENTRAL, END, END64, LOCATOR64, DESCRIPTOR = (
    b"PK" + two for two in (b"\3\4", b"\1\2", b"\5\6", b"\6\6", b"\6\7", b"\7\10")
)
ENCRYPTED, STREAMED, STRONG = 0x1, 0x8, 0x40  # general purpose flags
AES = 99
UNIX = 3
TARGET_LIMIT = 4096
OVERLAP = 2  # times the source that all members together may take
INDEX_LIMIT = 100_000
SCAN_CHUNK = 8 << 20

# 4.3.7: version, flags, method, time, date, CRC, packed, unpacked, name length, extra length
_LOCAL = Struct("<4sHHHHHIIIHH")
# 4.3.12: version made by, host, version needed, flags, method, time, date, CRC, packed, unpacked, name, extra and comment
# lengths, disk, internal and external attributes, offset of the local header
_CENTRAL = Struct("<4sBBHHHHHIIIHHHHHII")
# 4.3.16: disks (2), entries on this disk, entries, size and offset of the directory, comment length
_END = Struct("<4sHHHHIIH")


class Member(msgspec.Struct, kw_only=True):
    """One member; ``at`` is the offset of its local header in the source."""

    name: str
    flags: int
    method: int
    packed: int
    size: int
    crc: int
    mtime: int
    at: int
    mode: int = 0  # st_mode, when the archive comes from a POSIX system
    directory: bool = False
    uid: int = 0
    gid: int = 0
    aes: int = 0  # bits of the key, for AES as WinZip stores it

    @property
    def encryption(self) -> str:
        """The scheme of an encrypted member; empty for one in clear."""
        if not self.flags & ENCRYPTED and self.method != AES:
            return ""
        if self.method == AES:
            return f"AES-{self.aes or 256}-CTR, WinZip AE"
        return "PKWARE strong encryption" if self.flags & STRONG else "ZipCrypto, PKWARE"


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """A central directory that is consistent with the end record behind it."""

    at: int
    size: int
    base: int  # what stored offsets count from
    first: int  # local header of the first entry
    end: int


def directory(source: ByteSource, at: int) -> Directory:
    """The central directory whose end record is at ``at``; raises FormatError."""
    raw = source.read(at, _END.size)
    magic, _, _, _, entries, size, offset, comment = _END.unpack(raw)
    if magic != END:
        raise FormatError("no ZIP end record")
    start = at - size
    if entries == 0xFFFF or 0xFFFFFFFF in (size, offset):
        record = at - 76
        if source.peek(at - 20, 4) == LOCATOR64 and source.peek(record, 4) == END64:
            size, offset = unpack_from("<QQ", source.read(record + 40, 16))
            start = record - size
    if size < _CENTRAL.size or start < 0 or source.peek(start, 4) != CENTRAL:
        raise FormatError("no ZIP directory before the end record")
    head = _CENTRAL.unpack(source.read(start, _CENTRAL.size))
    first = head[-1]
    if first == 0xFFFFFFFF:
        extra = source.peek(start + _CENTRAL.size + head[11], head[12])
        first = _wide(extra, head[10], head[9], first)[2]
    base = start - offset
    return Directory(at=start, size=size, base=base, first=base + first, end=min(at + _END.size + comment, source.size))


def _wide(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """4.5.3: values of 64 bits for those that the header leaves at their maximum."""
    values = [size, packed, offset]
    field = dict(_extra(extra)).get(1, b"")
    at = 0
    for index, value in enumerate(values):
        if value == 0xFFFFFFFF and at + 8 <= len(field):
            values[index] = unpack_from("<Q", field, at)[0]
            at += 8
    return values[0], values[1], values[2]


def _extra(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(raw):
        kind, length = unpack_from("<HH", raw, at)
        yield kind, raw[at + 4 : at + 4 + length]
        at += 4 + length


_index: WeakKeyDictionary[ByteSource, dict[int, int]] = WeakKeyDictionary()


def find(source: ByteSource, offset: int) -> Directory | None:
    """The directory of the archive that begins at ``offset``: the end of the source first, then one search of all of it."""
    tail = source.peek(max(0, source.size - 65557), 65557)
    at = tail.rfind(END)
    if at >= 0 and (found := _directory_for(source, source.size - len(tail) + at, offset)) is not None:
        return found
    if source not in _index:
        _index[source] = _ends(source)
    end = _index[source].get(offset)
    return _directory_for(source, end, offset) if end is not None else None


def _directory_for(source: ByteSource, end: int, offset: int) -> Directory | None:
    try:
        found = directory(source, end)
    except FormatError:
        return None
    return found if offset in (found.first, found.base) else None


def _ends(source: ByteSource) -> dict[int, int]:
    """Where archives begin, with the place of their end record, for a whole source: searched once for all headers."""
    found: dict[int, int] = {}
    base, tail = 0, b""
    pattern = re.compile(re.escape(END))
    for chunk in source.chunks(SCAN_CHUNK):
        hits = [base - len(tail) + hit.start() for hit in pattern.finditer(tail + bytes(chunk[:3]))]
        hits += [base + hit.start() for hit in pattern.finditer(chunk)]
        for at in hits:
            try:
                one = directory(source, at)
            except FormatError:
                continue
            found.setdefault(one.first, at)
            found.setdefault(one.base, at)
        if len(found) > INDEX_LIMIT:
            break
        base, tail = base + len(chunk), bytes(chunk[-3:])
    return found


def members(source: ByteSource, listing: Directory, limit: int, problems: list[str]) -> list[Member]:
    """The entries of a central directory, as far as they make sense."""
    raw = source.view(listing.at, listing.size)
    found: list[Member] = []
    at = 0
    while at + _CENTRAL.size <= len(raw) and len(found) < limit:
        fields = _CENTRAL.unpack_from(raw, at)
        magic, _, host, _, flags, method, time, date, crc, packed, size, names, extras, comments, _, _, attributes, local = fields
        if magic != CENTRAL:
            note(problems, f"the central directory breaks off after {len(found)} members")
            return found
        name_at = at + _CENTRAL.size
        extra = bytes(raw[name_at + names : name_at + names + extras])
        size, packed, local = _wide(extra, size, packed, local)
        name = decoded(raw[name_at : name_at + names])
        one = Member(
            name=name, flags=flags, method=method, packed=packed, size=size, crc=crc, at=listing.base + local,
            mtime=_dos_time(date, time), mode=attributes >> 16 if host == UNIX else 0, directory=bool(attributes & 0x10),
        )  # fmt: skip
        if host == 0 and "\\" in name:
            one.name = name.replace("\\", "/")
        _unix_extra(one, extra)
        found.append(one)
        at = name_at + names + extras + comments
    if at < len(raw) and len(found) >= limit:
        note(problems, "too many members: the listing was cut short")
    return found


def _dos_time(date: int, time: int) -> int:
    """Local time without a zone, taken as UTC; 0 for no date."""
    month, day = date >> 5 & 15, date & 31
    if not month or not day:
        return 0
    return calendar.timegm((1980 + (date >> 9), min(month, 12), day, time >> 11, time >> 5 & 63, (time & 31) * 2))


def _unix_extra(one: Member, extra: bytes) -> None:
    """Info-ZIP's extended time stamp (0x5455) and owner (0x7875), WinZip's AES (0x9901) with the method inside it."""
    for kind, field in _extra(extra):
        if kind == 0x5455 and len(field) >= 5 and field[0] & 1:
            one.mtime = unpack_from("<i", field, 1)[0]
        elif kind == 0x9901 and len(field) >= 7 and one.method == AES:
            one.aes = {1: 128, 2: 192, 3: 256}.get(field[4], 256)
        elif kind == 0x7875 and len(field) >= 3:
            width = field[1]
            one.uid = int.from_bytes(field[2 : 2 + min(width, 4)], "little")
            one.gid = (
                int.from_bytes(field[3 + width : 3 + width + min(field[2 + width], 4)], "little") if len(field) > 2 + width else 0
            )


def local(source: ByteSource, at: int) -> tuple[Member, int]:
    """A local header and where the data begin; raises FormatError."""
    raw = source.peek(at, _LOCAL.size)
    if len(raw) < _LOCAL.size or raw[:4] != LOCAL:
        raise FormatError(f"no ZIP local header at 0x{at:x}")
    _, version, flags, method, time, date, crc, packed, size, names, extras = _LOCAL.unpack(raw)
    name = source.peek(at + _LOCAL.size, names)
    if version & 0xFF > 100 or method not in NAMES or not name or len(name) < names or min(name) < 32:
        raise FormatError(f"no ZIP local header at 0x{at:x}")
    extra = source.peek(at + _LOCAL.size + names, extras)
    size, packed, _ = _wide(extra, size, packed, 0)
    one = Member(
        name=decoded(name), flags=flags, method=method, packed=packed, size=size, crc=crc, mtime=_dos_time(date, time), at=at
    )
    _unix_extra(one, extra)
    return one, at + _LOCAL.size + names + extras


def walk_locals(source: ByteSource, offset: int, limits: Limits, problems: list[str]) -> tuple[list[Member], int]:
    """Members and end of an archive without a usable directory; raises FormatError when not even the first member holds."""
    found: list[Member] = []
    at = offset
    while len(found) < limits.nodes and source.peek(at, 4) == LOCAL:
        try:
            one, data = local(source, at)
            end = _local_end(source, one, data, limits)
        except FormatError as error:
            if not found:
                raise
            note(problems, f"the archive breaks off: {error}")
            return found, at
        if end > source.size:
            if not found and offset and one.method != DEFLATE:
                raise FormatError("a ZIP member that does not fit, and no directory")
            note(problems, f"{one.name} claims {one.packed} bytes, the image ends before")
            return [*found, one], source.size
        found.append(one)
        at = end
    while source.peek(at, 4) == CENTRAL:
        fields = _CENTRAL.unpack(source.peek(at, _CENTRAL.size).ljust(_CENTRAL.size, b"\0"))
        at = min(at + _CENTRAL.size + fields[11] + fields[12] + fields[13], source.size)
    if source.peek(at, 4) == END:
        at = min(at + _END.size, source.size)
    note(problems, "the archive has no usable central directory: local headers were read")
    return found, at


def _local_end(source: ByteSource, one: Member, data: int, limits: Limits) -> int:
    if not one.flags & STREAMED or one.packed:
        if one.method == DEFLATE and one.packed and data + one.packed > source.size:
            inflated = unpacked(DEFLATE, source.window(data, min(source.size - data, 1 << 16)), one.size)
            next(inflated, b"")
        return data + one.packed
    if one.method != DEFLATE or one.flags & ENCRYPTED:
        raise FormatError(f"{one.name}: its length stands behind it")
    one.packed, one.size = inflated_length(source, data, limits.bytes_stream)
    end = data + one.packed
    marker = source.peek(end, 24)
    skip = 4 if marker[:4] == DESCRIPTOR else 0
    one.crc = int.from_bytes(marker[skip : skip + 4], "little")
    # 4.3.9.2: two sizes of four bytes each, or of eight in ZIP64.
    wide = marker[skip + 8 : skip + 12] == b"\0\0\0\0" and one.size != 0
    return min(end + skip + (20 if wide else 12), source.size)


def content(source: ByteSource, one: Member, limits: Limits) -> ByteSource:
    """A member's content: a window when stored. Raises FormatError for encrypted, broken or dishonest members."""
    raw = source.peek(one.at, _LOCAL.size)
    if len(raw) < _LOCAL.size or raw[:4] != LOCAL:
        raise FormatError("no ZIP local header where the directory says")
    if one.encryption:
        raise FormatError("encrypted")
    data = one.at + _LOCAL.size + sum(unpack_from("<HH", raw, 26))
    if one.method == STORED:
        if one.packed != one.size:
            raise FormatError(f"stored {one.size} bytes as {one.packed}")
        return source.window(data, one.size)
    packed = source.window(data, one.packed)
    return spool(_verified(bounded(unpacked(one.method, packed, one.size), one.packed, limits), one))


def _verified(stream: Iterator[bytes], one: Member) -> Iterator[bytes]:
    size = crc = 0
    for piece in stream:
        size += len(piece)
        if size > one.size:
            raise FormatError(f"unpacks to more than the {one.size} bytes it declares")
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != one.size:
        raise FormatError(f"unpacks to {size} bytes and declares {one.size}")
    if crc != one.crc:
        raise FormatError(f"the CRC is 0x{crc:08x}, the directory says 0x{one.crc:08x}")


def entries(source: ByteSource, found: list[Member], limits: Limits, problems: list[str]) -> Iterator[Entry]:
    """Every member as an entry; what does not fit together is said in ``problems``."""
    paths: Counter[str] = Counter()
    packed = 0
    for one in found:
        path, escapes = member_path(one.name)
        if path == "/":
            continue
        entry = _entry(source, one, path, limits, problems)
        packed += one.packed
        if packed > OVERLAP * source.size and entry.open is not None:
            entry.open = refused("it shares its bytes with other members")
        if escapes or one.name.startswith("/"):
            entry.detail = {**entry.detail, "stored": one.name}
            note(problems, f"the name {one.name!r} leaves the archive: kept as {path}")
        paths[path] += entry.kind is not NodeKind.DIRECTORY
        yield entry
    for path, count in paths.items():
        if count > 1:
            note(problems, f"{path} occurs {count} times: programs differ in which one they take")
    spans = sorted((one.at, one.at + _LOCAL.size + len(one.name) + one.packed) for one in found if one.packed)
    if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
        note(problems, "members overlap each other, as in an archive made to exhaust its reader")


def _entry(source: ByteSource, one: Member, path: str, limits: Limits, problems: list[str]) -> Entry:
    kind, default = NodeKind.FILE, 0o644
    if one.name.endswith("/") or one.directory or one.mode & 0o170000 == 0o040000:
        kind, default = NodeKind.DIRECTORY, 0o755
    elif one.mode & 0o170000 == 0o120000:
        kind, default = NodeKind.SYMLINK, 0o777
    entry = Entry(
        path=path, kind=kind, mode=one.mode & 0o7777 if one.mode else default, uid=one.uid, gid=one.gid, mtime=one.mtime,
        locality=one.at,
    )  # fmt: skip
    try:
        header, data = local(source, one.at)
        if header.name != one.name and header.name.replace("\\", "/") != one.name:
            note(problems, f"{path}: the local header calls it {header.name!r}")
    except FormatError as error:
        note(problems, f"{path}: {error}")
        data = 0
    if kind is NodeKind.SYMLINK:
        try:
            if one.size > TARGET_LIMIT:
                raise FormatError(f"a symbolic link of {one.size} bytes")
            entry.target = decoded(content(source, one, limits).view(0, one.size))
        except ExtractionError as error:
            note(problems, f"{path}: {error}")
    elif kind is NodeKind.FILE:
        entry.size = one.size
        entry.offset = data if data and one.method == STORED and one.size and not one.encryption else None
        entry.detail = {"method": NAMES.get(one.method, str(one.method))}
        entry.open = partial(content, source, one, limits)
        if one.encryption and data:
            entry.role, entry.detail = "encrypted", {**entry.detail, "encrypted": 1, "encryption": one.encryption}
            entry.offset, entry.open = data, partial(source.window, data, one.packed)
    return entry


class Zip(Format):
    """ZIP archives, from the first local header to the end of the archive comment."""

    name = "zip"
    title = "ZIP (jar, apk)"
    specification = "PKWARE APPNOTE 6.3.10"
    category = "archive"
    reads = (
        "stored, deflate, bzip2, lzma, xz and zstd members with CRC32; ZIP64, data descriptors, archives without a directory; "
        "signatures of JAR archives and Android packages (v1, v2, v3, v3.1)"
    )
    not_read = "encrypted members (ZipCrypto, AES) are told; shrink, reduce, implode, deflate64, PPMd; archives split over files"
    signatures = (Signature(pattern=rb"PK\x03\x04.[\x00-\x03].{2}[\x00-\x63]\x00", width=10),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        problems: list[str] = []
        local(source, offset)
        listing = find(source, offset)
        if listing is not None:
            found, end = members(source, listing, limits.nodes, problems), listing.end
            if any(one.at < offset for one in found):
                note(problems, "members lie before the beginning of the archive")
        else:
            found, end = walk_locals(source, offset, limits, problems)
        detail: dict[str, str | int] = {"members": len(found)}
        signed: tuple[SignedBlock, ...] = ()
        if listing is not None:
            signed = apk_signatures(source, Layout(offset, listing.at, listing.at + listing.size, listing.end))
        if any(one.name.startswith("META-INF/") and one.name.endswith((".RSA", ".EC")) for one in found):
            signed = (*signed, *jar_signatures(entries(source, found, limits, [])))
        if signed:
            detail["signature"] = ", ".join(dict.fromkeys(each.scheme for each in signed))
        if encrypted := sum(bool(one.encryption) for one in found):
            detail["encrypted"] = encrypted
        return Container(
            format=self.name, size=end - offset, detail=detail, problems=problems,
            entries=entries(source, found, limits, problems), signatures=signed,
        )  # fmt: skip


FORMATS = (Zip(),)
