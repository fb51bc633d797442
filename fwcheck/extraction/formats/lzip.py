"""lzip: members of one LZMA1 stream each (The lzip file format, lzip manual 1.24; RFC draft diaz-lzip).

Member: ``LZIP``, version 1, a byte with the dictionary size (bits 0-4 the power of two, bits 5-7 sixteenths of it that
are taken off), LZMA with lc=3 lp=0 pb=2 and an end marker, then CRC32 and size of the unpacked data and the size of the
member (4, 8 and 8 bytes).
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Broken, Progress, feed, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC = b"LZIP"
_DICTIONARY_LIMIT = 128 << 20  # what the decoder is allowed to hold; lzip -9 needs 32 MiB
_TRAILER = struct.Struct("<IQQ")


class Lzip(Format):
    """lzip file of one or several members; bytes behind the last one are not claimed."""

    name = "lzip"
    title = "lzip file"
    specification = "The lzip file format (lzip manual); draft-diaz-lzip"
    category = "stream"
    reads = "version 1, several members, CRC32, data size and member size of each"
    not_read = "version 0; dictionaries above 128 MiB"
    signatures = (
        Signature(pattern=rb"LZIP\x01[\x0c-\x1d\x2c-\x3d\x4c-\x5d\x6c-\x7d\x8c-\x9d\xac-\xbd\xcc-\xdd\xec-\xfd]\x00", width=7),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        dictionary = _header(source, offset)
        progress = Progress(at=offset)
        content = keep(_members(source, progress), progress, offset, limits)
        right = not any("member at" in problem for problem in progress.problems)
        detail: dict[str, str | int] = {
            "dictionary_size": dictionary,
            "members": progress.units,
            "integrity": "checksum",
            "integrity_detail": f"CRC32 of the unpacked content {'right' if right and not progress.broken else 'wrong'}",
        }
        return stream_container(self.name, offset, progress, content, detail)


def _header(source: ByteSource, offset: int) -> int:
    """The dictionary size of the member at ``offset``; raises FormatError."""
    head = source.peek(offset, 7)
    if len(head) < 7 or head[:5] != b"LZIP\x01" or not 12 <= head[5] & 31 <= 29 or head[6]:
        raise FormatError("not an lzip member")
    base = 1 << (head[5] & 31)
    return base - (base >> 4) * (head[5] >> 5)


def _members(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    while True:
        start = progress.at
        try:
            dictionary = _header(source, start)
        except FormatError:
            return
        if dictionary > _DICTIONARY_LIMIT:
            raise Broken(f"a dictionary of {dictionary} bytes is more than is allowed")
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": 3, "lp": 0, "pb": 2}]
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        progress.at = start + 6
        crc = size = 0
        for piece in feed(decoder, source, progress, (lzma.LZMAError, MemoryError)):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            yield piece
        trailer = source.peek(progress.at, _TRAILER.size)
        if len(trailer) < _TRAILER.size:
            progress.at = source.size
            raise Broken("the trailer is cut off")
        progress.at += _TRAILER.size
        if trailer != _TRAILER.pack(crc, size, progress.at - start):
            if not progress.units and size < 64:
                raise FormatError("wrong trailer behind a few bytes")
            progress.problems.append(f"wrong CRC32 or sizes in the lzip member at 0x{start:x}")
        progress.units += 1


FORMATS = (Lzip(),)
