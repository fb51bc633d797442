"""The compression methods of ZIP members, streamed and bounded by what the member declares."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from struct import unpack_from
from typing import Protocol

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.source import ByteSource

STEP = 1 << 18  # output bytes asked for at once
MEMORY = 256 << 20  # of a decoder
STORED, DEFLATE, BZIP2, LZMA, ZSTD_OLD, ZSTD, XZ = 0, 8, 12, 14, 20, 93, 95
NAMES = {
    STORED: "stored", 1: "shrink", 2: "reduce", 3: "reduce", 4: "reduce", 5: "reduce", 6: "implode", DEFLATE: "deflate",
    9: "deflate64", BZIP2: "bzip2", LZMA: "lzma", 19: "lz77", ZSTD_OLD: "zstd", ZSTD: "zstd", XZ: "xz", 97: "wavpack",
    98: "ppmd", 99: "aes",
}  # fmt: skip


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def unpacked(method: int, source: ByteSource, size: int) -> Iterator[bytes]:
    """The content of a packed member of ``size`` bytes, in pieces.

    Raises FormatError for a broken stream and for a method that is not read.
    """
    try:
        if method in (ZSTD, ZSTD_OLD):
            yield from _zstd(source)
        elif method == DEFLATE:
            yield from _inflated(source)
        else:
            yield from _stream(*_decoder(method, source, size))
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
        raise FormatError(f"broken {NAMES.get(method, method)} stream: {error}") from None


def _decoder(method: int, source: ByteSource, size: int) -> tuple[_Decoder, ByteSource]:
    if method == BZIP2:
        return bz2.BZ2Decompressor(), source
    if method == XZ:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY), source
    if method == LZMA:
        # Version of the SDK (2 bytes), size of the properties (2), then those of LZMA1: lc, lp, pb in one byte, dictionary.
        length, properties, dictionary = unpack_from("<2xHBI", source.peek(0, 9).ljust(9, b"\0"))
        if length != 5 or properties >= 225 or source.size < 9:
            raise FormatError("broken LZMA properties")
        rest, lc = divmod(properties, 9)
        pb, lp = divmod(rest, 5)
        # A dictionary greater than the content serves nothing, and would be allocated at once.
        window = max(4096, min(dictionary, size, MEMORY))
        chosen = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": window}
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chosen]), source.window(9, source.size - 9)
    raise FormatError(f"compression method {NAMES.get(method, method)} cannot be unpacked")


def _stream(decoder: _Decoder, source: ByteSource) -> Iterator[bytes]:
    for chunk in source.chunks():
        data = bytes(chunk)
        while not decoder.eof:
            piece = decoder.decompress(data, STEP)
            data = b""
            if piece:
                yield piece
            elif decoder.needs_input:
                break


def _inflated(source: ByteSource) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-15)
    for chunk in source.chunks():
        data = bytes(chunk)
        while data and not decoder.eof:
            yield decoder.decompress(data, STEP)
            data = decoder.unconsumed_tail
    while not decoder.eof and (piece := decoder.decompress(b"", STEP)):
        yield piece
    if not decoder.eof:
        raise FormatError("the deflate stream has no end")


def inflated_length(source: ByteSource, offset: int, limit: int) -> tuple[int, int]:
    """How many bytes a deflate stream at ``offset`` takes and gives.

    Raises FormatError when it is none, or gives more than ``limit``.
    """
    decoder = zlib.decompressobj(-15)
    taken = given = 0
    try:
        for at in range(offset, source.size, STEP):
            data = source.peek(at, STEP)
            while data and not decoder.eof:
                given += len(decoder.decompress(data, STEP))
                if given > limit:
                    raise FormatError("a deflate stream beyond the quota")
                # At the end of the stream zlib may leave the same bytes in both.
                taken += len(data) - len(decoder.unused_data if decoder.eof else decoder.unconsumed_tail)
                data = decoder.unconsumed_tail
            if decoder.eof:
                return taken, given
    except zlib.error as error:
        raise FormatError(f"broken deflate stream: {error}") from None
    raise FormatError("the deflate stream has no end")


def _zstd(source: ByteSource) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415  # rare inside ZIP, and not free to load

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    try:
        # The output of one call is not bounded by the library: small steps of input bound it instead.
        for chunk in source.chunks(1024):
            yield decoder.decompress(chunk)
            if decoder.eof:
                return
    except zstandard.ZstdError as error:
        raise FormatError(f"broken zstd stream: {error}") from None
