"""gzip: members of deflated data, one behind the other (RFC 1952)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Broken, Inflate, Progress, feed, keep, part_name, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

# ID1 ID2 CM FLG MTIME XFL OS (RFC 1952, 2.3): deflate, reserved flags clear, the values of XFL and OS that exist
_HEADER = struct.Struct("<4sIBB")
_PATTERN = rb"\x1f\x8b\x08[\x00-\x1f][\x00-\xff]{4}[\x00\x02\x04][\x00-\x0d\xff]"
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16
_NAME_LIMIT = 1024
_SYSTEMS = {0: "FAT", 3: "Unix", 7: "Macintosh", 10: "TOPS-20", 11: "NTFS", 13: "RISC OS", 255: "unknown"}


class Gzip(Format):
    """gzip stream of one or more members; bytes behind the last one are not claimed."""

    name = "gzip"
    title = "gzip stream"
    specification = "RFC 1952"
    category = "stream"
    reads = "all header fields, several members, header CRC16, CRC32 and length of every member; a broken stream up to its break"
    not_read = "other methods than deflate; what the extra field holds; members behind padding"
    signatures = (Signature(pattern=_PATTERN, width=10),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        length, name, mtime, detail = _header(source, offset)
        if source.size - offset - length < 2:
            raise FormatError("gzip header without data")
        progress = Progress(at=offset)
        content = keep(_members(source, progress), progress, offset, limits)
        detail |= {"members": progress.units, "integrity": "checksum", "integrity_detail": "CRC32 of the unpacked content"}
        return stream_container(self.name, offset, progress, content, detail, part_name(name), mtime)


def _header(source: ByteSource, offset: int) -> tuple[int, str, int, dict[str, str | int]]:
    """Length, stored name, modification time and fields of a member header; raises FormatError."""
    magic, mtime, extra, system = _HEADER.unpack(source.view(offset, 10))
    flags = magic[3]
    if magic[:3] != b"\x1f\x8b\x08" or flags & 0xE0 or extra not in {0, 2, 4} or (system > 13 and system != 255):
        raise FormatError("not a gzip member header")
    at = offset + 10
    if flags & _FEXTRA:
        at += 2 + int.from_bytes(source.view(at, 2), "little")
    name = comment = ""
    if flags & _FNAME:
        name, at = _text(source, at)
    if flags & _FCOMMENT:
        comment, at = _text(source, at)
    if flags & _FHCRC:
        if int.from_bytes(source.view(at, 2), "little") != zlib.crc32(source.view(offset, at - offset)) & 0xFFFF:
            raise FormatError("wrong CRC16 of a gzip header")
        at += 2
    detail: dict[str, str | int] = {"name": name, "mtime": mtime, "system": _SYSTEMS.get(system, str(system)), "comment": comment}
    return at - offset, name, mtime, {key: value for key, value in detail.items() if value != ""}


def _text(source: ByteSource, at: int) -> tuple[str, int]:
    """A zero-terminated Latin-1 string and the offset behind it."""
    raw = source.peek(at, _NAME_LIMIT)
    end = raw.find(0)
    if end < 0:
        raise FormatError("unterminated string in a gzip header")
    return raw[:end].decode("latin-1"), at + end + 1


def _members(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    while True:
        start = progress.at
        try:
            length = _header(source, start)[0]
        except FormatError:
            return
        progress.at = start + length
        crc = size = 0
        try:
            for piece in feed(Inflate(), source, progress, (zlib.error,)):
                crc, size = zlib.crc32(piece, crc), size + len(piece)
                yield piece
        except Broken:
            if progress.units and not size:
                progress.at = start  # three bytes behind the last member that only look like one more
                return
            raise
        trailer = source.peek(progress.at, 8)
        if len(trailer) < 8:
            progress.at = source.size
            raise Broken("the CRC32 and the length are cut off")
        progress.at += 8
        progress.units += 1
        if trailer != struct.pack("<II", crc, size & 0xFFFFFFFF):
            if progress.units == 1 and size < 64:
                # Chance: a few random bytes are a whole deflate stream often enough.
                raise FormatError("wrong CRC32 behind a few bytes")
            progress.problems.append(f"wrong CRC32 or length in the gzip member at 0x{start:x}")


FORMATS = (Gzip(),)
