"""7z archives: a signature header, pack streams, and at the end a database of folders and files that may be packed itself.

Layout (7-Zip source, DOC/7zFormat.txt), little-endian: ``37 7A BC AF 27 1C``, version, CRC32 of the next three fields: where the
header begins behind these 32 bytes, its size, its CRC32.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import crc32
from fwcheck.extraction.formats._sevenzip_coders import encrypted, unpacked, words
from fwcheck.extraction.formats._sevenzip_header import File, Folder, Streams, header
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

MAGIC = b"7z\xbc\xaf\x27\x1c"
_START = struct.Struct("<6sBBIQQI")
_HEADER_LIMIT = 64 << 20  # bytes of a header, packed or not
_UNIX, _DIRECTORY = 0x8000, 0x10
_TARGET_LIMIT = 4096
_TARGETS = 64 << 20  # unpacked bytes of a folder that is read for its symbolic links


class Solid(msgspec.Struct):
    """The content of one folder: unpacked when the first of its files is read, and kept for the others."""

    source: ByteSource
    folder: Folder
    offset: int
    packed: int
    limits: Limits
    content: ByteSource | None = None

    def read(self, at: int, size: int, crc: int | None) -> ByteSource:
        """A file of the folder; raises FormatError when it cannot be unpacked or its CRC32 is wrong."""
        if self.content is None:
            pieces = unpacked(self.folder, self.source.window(self.offset, self.packed))
            self.content = spool(bounded(pieces, self.packed, self.limits))
        found = self.content.window(at, size)
        if crc is not None and crc32(found, 0, size) != crc:
            raise FormatError("the CRC32 of the content is wrong")
        return found


class SevenZip(Format):
    """7z archives. A header that cannot be read leaves the archive as a whole, with the reason."""

    name = "7z"
    title = "7z archive"
    specification = "7-Zip source, DOC/7zFormat.txt"
    category = "archive"
    reads = "plain and packed headers; solid folders of Copy, LZMA, LZMA2, Deflate, BZip2, ZSTD, branch filters, Delta; CRC32"
    not_read = "PPMd, BCJ2, Deflate64, LZ4, ARM64 and RISC-V filters; AES is told as encrypted; volumes"
    signatures = (Signature(pattern=rb"7z\xbc\xaf\x27\x1c\x00.{5}", width=12),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        start = source.read(offset, _START.size)
        magic, major, minor, crc, at, size, header_crc = _START.unpack(start)
        if magic != MAGIC or major or zlib.crc32(start[12:]) != crc:
            raise FormatError("no 7z signature header")
        end = offset + _START.size + at + size
        if end > source.size or not size:
            raise Truncated(f"the header lies at 0x{offset + _START.size + at:x}, the image ends before" if size else "no header")
        container = Container(
            format=self.name, size=end - offset, detail={"version": f"{major}.{minor}", "integrity": "checksum"}, problems=[]
        )
        try:
            _fill(container, source, offset, (at, size, header_crc), limits)
        except QuotaExceeded:
            raise
        except FormatError as error:
            note(container.problems, f"the header cannot be read: {error}")
        container.detail.setdefault("integrity_detail", "CRC32 of the headers and of each file")
        return container


def _fill(container: Container, source: ByteSource, offset: int, place: tuple[int, int, int], limits: Limits) -> None:
    """Reads the header and what it lists; raises FormatError."""
    at, size, crc = place
    base = offset + _START.size
    raw = _checked(source.window(base + at, size), crc)
    for _ in range(4):  # a packed header may be packed again
        found = header(raw, limits.nodes)
        if isinstance(found, tuple):
            break
        if not found.folders:
            raise FormatError("a packed header without a folder")
        folder = found.folders[0]
        if encrypted(folder):
            container.detail["header"] = "encrypted"
            container.entries = [_secret(source, base, at, "packed streams, names among them")]
            return
        if folder.size > _HEADER_LIMIT:
            raise FormatError(f"a header of {folder.size} bytes")
        solid = Solid(source, folder, base + found.at, found.packed[0], limits)
        content = solid.read(0, folder.size, folder.crc)
        raw = content.read(0, content.size)
    else:
        raise FormatError("a header packed too often")
    streams, listed = found
    container.detail |= {"members": len(listed), "folders": len(streams.folders)}
    if streams.folders:
        container.detail["method"] = ", ".join(dict.fromkeys(words(each) for each in streams.folders[:100]))[:200]
    container.entries = _entries(source, base, streams, listed, limits, container.problems)


def _checked(source: ByteSource, crc: int) -> bytes:
    if source.size > _HEADER_LIMIT:
        raise FormatError(f"a header of {source.size} bytes")
    raw = source.read(0, source.size)
    if zlib.crc32(raw) != crc:
        raise FormatError("the CRC32 of the header is wrong")
    return raw


def _secret(source: ByteSource, offset: int, size: int, name: str) -> Entry:
    return Entry(
        path=name, kind=NodeKind.REGION, size=size, offset=offset, locality=offset, role="encrypted",
        detail={"encryption": "AES-256-CBC, 7z"}, open=partial(source.window, offset, size),
    )  # fmt: skip


def _entries(
    source: ByteSource, base: int, streams: Streams, listed: list[File], limits: Limits, problems: list[str]
) -> Iterator[Entry]:
    """Every file with its place in its folder; packed streams of encrypted folders are told on their own."""
    places: list[tuple[Solid, int, int, int | None]] = []
    at, index = base + streams.at, 0
    for number, (folder, parts) in enumerate(zip(streams.folders, streams.parts, strict=True)):
        packed = sum(streams.packed[index : index + len(folder.packed)])
        if at + packed > source.size:
            note(problems, "pack streams reach beyond the end")
            packed = max(0, source.size - at)
        solid = Solid(source, folder, min(at, source.size), packed, limits)
        if encrypted(folder):
            yield _secret(source, solid.offset, packed, f"packed stream {number}")
        begin = 0
        for size, crc in parts:
            places.append((solid, begin, size, crc))
            begin += size
        at, index = at + packed, index + len(folder.packed)
    following = iter(places)
    for one in listed:
        place = next(following, None) if one.stream else None
        if one.stream and place is None:
            note(problems, "more files than streams")
            return
        if not one.anti and (entry := _entry(one, place, problems)) is not None:
            yield entry


def _entry(one: File, place: tuple[Solid, int, int, int | None] | None, problems: list[str]) -> Entry | None:
    path, escapes = member_path(one.name)
    if path == "/":
        return None
    mode = one.attributes >> 16 if one.attributes & _UNIX else 0
    kind = NodeKind.DIRECTORY if one.directory or (one.attributes & _DIRECTORY and not one.stream) else NodeKind.FILE
    default = 0o755 if kind is NodeKind.DIRECTORY else 0o444 if one.attributes & 1 else 0o644
    entry = Entry(path=path, kind=kind, mode=mode & 0o7777 if mode else default, mtime=one.mtime)
    if escapes or one.name.startswith("/"):
        entry.detail = {"stored": one.name}
        note(problems, f"the name {one.name!r} leaves the archive: kept as {path}")
    if kind is NodeKind.DIRECTORY:
        return entry
    if place is None:
        entry.open = partial(Memory, b"")
        return entry
    solid, at, entry.size, crc = place
    entry.locality = solid.offset
    if encrypted(solid.folder):
        entry.detail = {**entry.detail, "encrypted": 1}
        return entry
    entry.open = partial(solid.read, at, entry.size, crc)
    if mode & 0o170000 == 0o120000 and entry.size <= _TARGET_LIMIT and solid.folder.size <= _TARGETS:
        try:
            entry.target = decoded(entry.open().read(0, entry.size))
            entry.kind, entry.open, entry.size = NodeKind.SYMLINK, None, 0
        except QuotaExceeded:
            raise
        except ExtractionError as error:
            note(problems, f"{path}: {error}")
    return entry


FORMATS = (SevenZip(),)
