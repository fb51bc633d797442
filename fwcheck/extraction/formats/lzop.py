"""lzop: a file header and blocks of LZO1X data (file layout as in lzop 1.x; also linux/lib/decompress_unlzo.c)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Broken, Progress, keep, part_name, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC = b"\x89LZO\x00\x0d\x0a\x1a\x0a"
_ADLER_D, _ADLER_C, _EXTRA, _CRC_D, _CRC_C, _FILTER, _HEADER_CRC = 0x1, 0x2, 0x40, 0x100, 0x200, 0x800, 0x1000
_BLOCK_LIMIT = 256 << 10  # what lzop and the kernel write; it bounds what one call of the decoder can give


class _Header(msgspec.Struct, frozen=True):
    length: int
    flags: int
    method: int
    mtime: int
    name: str


class Lzop(Format):
    """lzop file: one header, blocks, a zero as end mark."""

    name = "lzop"
    title = "lzop file"
    specification = "lzop 1.04 file layout; linux/lib/decompress_unlzo.c"
    category = "stream"
    reads = "LZO1X of all levels, header checksum, Adler-32 and CRC32 of unpacked and packed blocks verified"
    not_read = "several files in one archive, filters, blocks above 256 KiB"
    signatures = (Signature(pattern=rb"\x89LZO\x00\x0d\x0a\x1a\x0a", width=9),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        header = _header(source, offset)
        progress = Progress(at=offset + header.length)
        content = keep(_blocks(source, progress, header.flags), progress, offset, limits)
        words = [
            text
            for bit, text in (
                (_ADLER_D, "Adler-32"),
                (_CRC_D, "CRC32"),
                (_ADLER_C, "Adler-32 (packed)"),
                (_CRC_C, "CRC32 (packed)"),
            )
            if header.flags & bit
        ]
        detail: dict[str, str | int] = {
            "method": {1: "LZO1X-1", 2: "LZO1X-1(15)", 3: "LZO1X-999"}.get(header.method, str(header.method)),
            "mtime": header.mtime,
            "integrity": "checksum" if words else "none",
            "integrity_detail": " and ".join(words) + " per block" if words else "header checksum only",
        }
        name = part_name(header.name)
        return stream_container(self.name, offset, progress, content, detail, name, header.mtime)


def _header(source: ByteSource, offset: int) -> _Header:
    """The header, its checksum verified; raises FormatError."""
    if source.peek(offset, 9) != MAGIC:
        raise FormatError("not an lzop header")
    at = offset + 9
    version = int.from_bytes(source.view(at, 2), "big")
    at += 4  # version, version of the LZO library
    if version >= 0x0940:
        at += 2  # version needed to extract
    method = source.view(at, 1)[0]
    at += 2 if version >= 0x0940 else 1  # method, level
    flags = int.from_bytes(source.view(at, 4), "big")
    at += 4 + (4 if flags & _FILTER else 0) + 4  # flags, filter, mode
    mtime = int.from_bytes(source.view(at, 4), "big")
    at += 8 if version >= 0x0940 else 4  # mtime, its upper half
    length = source.view(at, 1)[0]
    name = source.read(at + 1, length).decode("utf-8", "replace")
    at += 1 + length
    check: Callable[[bytes | memoryview], int] = zlib.crc32 if flags & _HEADER_CRC else zlib.adler32
    if check(source.view(offset + 9, at - offset - 9)) != int.from_bytes(source.view(at, 4), "big"):
        raise FormatError("wrong checksum of an lzop header")
    if method not in {1, 2, 3}:
        raise FormatError(f"lzop method {method} is unknown")
    at += 4
    if flags & _EXTRA:
        at += 8 + int.from_bytes(source.view(at, 4), "big")
    return _Header(at - offset, flags, method, mtime, name)


def _blocks(source: ByteSource, progress: Progress, flags: int) -> Iterator[bytes]:
    from lzallright import LZOCompressor, LZOError  # noqa: PLC0415  # most images have no LZO

    lzo = LZOCompressor()
    try:
        while size := int.from_bytes(source.view(progress.at, 4), "big"):
            packed = int.from_bytes(source.view(progress.at + 4, 4), "big")
            if not 0 < packed <= size <= _BLOCK_LIMIT:
                raise Broken("impossible block sizes")
            at = progress.at + 8
            right, at = _sums(source, at, flags, packed < size)
            raw = source.read(at, packed)
            piece = raw if packed == size else bytes(lzo.decompress(raw, output_size_hint=size))
            if len(piece) != size or not right(raw, piece):
                raise Broken("wrong length or checksum of a block")
            progress.at = at + packed
            yield piece
    except LZOError as error:
        raise Broken(str(error) or "LZO data are corrupt") from error
    except FormatError as error:
        raise Broken(f"the file is cut off: {error}") from error
    progress.at += 4
    progress.units = 1


def _sums(source: ByteSource, at: int, flags: int, both: bool) -> tuple[Callable[[bytes, bytes], bool], int]:
    """A test of a block (packed, unpacked) against the checksums at ``at``, and the offset behind them.

    Checksums of the packed bytes are stored only where a block was packed at all (``both``).
    """
    order = ((_ADLER_D, zlib.adler32), (_CRC_D, zlib.crc32), (_ADLER_C, zlib.adler32), (_CRC_C, zlib.crc32))
    used = [(bit, check) for bit, check in order if flags & bit and (both or bit in {_ADLER_D, _CRC_D})]
    expected = [int.from_bytes(source.view(at + 4 * index, 4), "big") for index in range(len(used))]

    def right(packed: bytes, unpacked: bytes) -> bool:
        return expected == [check(unpacked if bit in {_ADLER_D, _CRC_D} else packed) for bit, check in used]

    return right, at + 4 * len(used)


FORMATS = (Lzop(),)
