"""The compressions of SquashFS blocks: the six of version 4, and the LZMA headers vendors invented for all versions.

Versions 1 to 3 record no compression, and vendors record a wrong one: a codec is recognised by trial. LZMA blocks come as

* the 13-byte LZMA-alone header (properties, dictionary size, unpacked size),
* properties and dictionary size only (5 bytes; the dictionary size may be nonsense),
* four bytes ``pb lc lp fb`` and an end marker (DD-WRT),
* nothing but the range-coded stream, with properties compiled into the device's kernel, at a fixed distance.

LZMA carries no checksum. When the unpacked size is known the decoder is told, and then demands that the range coder ends in
its final state exactly there: one wrong bit anywhere is noticed.
"""

from __future__ import annotations

import lzma
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from fwcheck.extraction.errors import FormatError

if TYPE_CHECKING:
    import zstandard

Decode = Callable[[bytes, int, int | None], bytes]


class Codec(NamedTuple):
    """``decode(packed, limit, exact)`` gives at most ``limit`` bytes; ``exact`` is the unpacked size where it is known.

    It raises FormatError for anything it cannot decode. ``certain``: its streams say where they end, so that ``exact`` is not
    needed to tell them from other bytes. With ``exact`` every kind of LZMA refuses damaged bytes.
    """

    name: str
    decode: Decode
    certain: bool = True


_XZ_MAGIC = b"\xfd7zXZ\0"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_XZ_MEMORY = 80 << 20  # dictionaries of squashfs are at most one block, yet some encoders write the preset's 64 MiB
_LEAST_DICTIONARY = 4096
_UNKNOWN_SIZE = (1 << 64) - 1
_PROPERTIES_LIMIT = 225  # (4 * 5 + 4) * 9 + 8 is the last valid properties byte
_CONTEXT_LIMIT = 4  # lc + lp, in liblzma
_PREFIX_LIMIT = 12


def _zlib(packed: bytes, limit: int, _: int | None) -> bytes:
    decoder = zlib.decompressobj()
    try:
        out = decoder.decompress(packed, limit)
        # The checksum may lie behind the last byte of output.
        if not decoder.eof:
            out += decoder.decompress(decoder.unconsumed_tail, 1)
    except zlib.error as error:
        raise FormatError(f"zlib: {error}") from None
    if not decoder.eof or len(out) > limit:
        raise FormatError("zlib: the stream does not end within its block")
    return out


def _xz(packed: bytes, limit: int, _: int | None) -> bytes:
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        out = decoder.decompress(packed, limit)
        if not decoder.eof:
            out += decoder.decompress(b"", 1)
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"xz: {error}") from None
    if not decoder.eof or len(out) > limit:
        raise FormatError("xz: the stream does not end within its block")
    return out


_local = threading.local()


def _zstd(packed: bytes, limit: int, _: int | None) -> bytes:
    import zstandard  # noqa: PLC0415  few images need it

    try:
        # The library believes a size in the frame header and would allocate it.
        if zstandard.frame_content_size(packed) > limit:
            raise FormatError("zstd: the frame is larger than its block")
        decoder: zstandard.ZstdDecompressor | None = getattr(_local, "zstd", None)
        if decoder is None:
            decoder = _local.zstd = zstandard.ZstdDecompressor()
        return decoder.decompress(packed, max_output_size=limit)
    except (zstandard.ZstdError, MemoryError) as error:
        raise FormatError(f"zstd: {error}") from None


def _lz4(packed: bytes, limit: int, _: int | None) -> bytes:
    import lz4.block  # noqa: PLC0415  few images need it

    try:
        return bytes(lz4.block.decompress(packed, uncompressed_size=limit))
    except (lz4.block.LZ4BlockError, ValueError, MemoryError) as error:
        raise FormatError(f"lz4: {error}") from None


def _lzo(packed: bytes, limit: int, exact: int | None) -> bytes:
    import lzallright  # noqa: PLC0415  few images need it

    try:
        # The hint is what the library allocates first: anything else than the true size costs a second pass.
        out = bytes(lzallright.LZOCompressor.decompress(packed, exact or limit))
    except (lzallright.LZOError, MemoryError) as error:
        raise FormatError(f"lzo: {error}") from None
    if len(out) > limit:
        raise FormatError("lzo: the stream does not end within its block")
    return out


def _lzma1(properties: int, payload: bytes, limit: int, size: int | None, *, marked: bool = False) -> bytes:
    """One LZMA1 stream. With ``size`` it must end there in the range coder's final state; ``marked``: at an end marker."""
    if properties >= _PROPERTIES_LIMIT or payload[:1] != b"\0":
        raise FormatError("lzma: no LZMA stream")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    if lc + lp > _CONTEXT_LIMIT:
        raise FormatError(f"lzma: lc={lc} lp={lp} is beyond what the decoder supports")
    # Distances never exceed a block, whatever dictionary the header asks for.
    dictionary = max(limit, _LEAST_DICTIONARY)
    try:
        if size is not None:
            decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
            out = decoder.decompress(struct.pack("<BIQ", properties, dictionary, size) + payload, limit)
            if not decoder.eof and len(out) == size:
                decoder.decompress(b"", 1)
            if decoder.eof and len(out) == size:
                return out
            raise FormatError(f"lzma: the stream does not end after {size} bytes")
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        out = decoder.decompress(payload, limit)
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"lzma: {error}") from None
    ended = decoder.eof if marked else decoder.eof or decoder.needs_input or len(out) == limit
    if not out or not ended:
        raise FormatError("lzma: the stream does not end within its block")
    return out


def _sized(properties: int, payload: bytes, limit: int, exact: int | None) -> bytes:
    """A stream without a size of its own: checked against the expected size, or else read as far as it goes."""
    if exact is not None:
        return _lzma1(properties, payload, limit, exact)
    try:
        return _lzma1(properties, payload, limit, limit)
    except FormatError:
        return _lzma1(properties, payload, limit, None)


def _lzma_13(packed: bytes, limit: int, _: int | None) -> bytes:
    if len(packed) < 18:
        raise FormatError("lzma: shorter than its header")
    size = int.from_bytes(packed[5:13], "little")
    if size == _UNKNOWN_SIZE:
        return _lzma1(packed[0], packed[13:], limit, None, marked=True)
    if not 0 < size <= limit:
        raise FormatError(f"lzma: header claims {size} bytes in a block of {limit}")
    return _lzma1(packed[0], packed[13:], limit, size)


def _lzma_5(packed: bytes, limit: int, exact: int | None) -> bytes:
    if len(packed) < 10:
        raise FormatError("lzma: shorter than its header")
    return _sized(packed[0], packed[5:], limit, exact)


def _lzma_4(packed: bytes, limit: int, exact: int | None) -> bytes:
    if len(packed) < 9 or max(packed[:3]) > 8:
        raise FormatError("lzma: no parameters")
    pb, lc, lp = packed[:3]
    return _sized((pb * 5 + lp) * 9 + lc, packed[4:], limit, exact)


def _lzma_bare(properties: int, prefix: int) -> Codec:
    def decode(packed: bytes, limit: int, exact: int | None) -> bytes:
        return _sized(properties, packed[prefix:], limit, exact)

    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    header = f"{prefix}-byte prefix" if prefix else "no header"
    return Codec(f"lzma ({header}, lc={lc} lp={lp} pb={pb})", decode, certain=False)


GZIP = Codec("gzip", _zlib)
LZMA = Codec("lzma", _lzma_13)
LZMA_5 = Codec("lzma (5-byte header)", _lzma_5, certain=False)
LZMA_4 = Codec("lzma (pb, lc, lp header)", _lzma_4, certain=False)
LZO = Codec("lzo", _lzo)
XZ = Codec("xz", _xz)
LZ4 = Codec("lz4", _lz4)
ZSTD = Codec("zstd", _zstd)

# Compression ids of the version 4 superblock.
DECLARED: dict[int, Codec] = {1: GZIP, 2: LZMA, 3: LZO, 4: XZ, 5: LZ4, 6: ZSTD}

# The encoder's default, then what vendors compiled into their kernels, then the rest.
_USUAL_PROPERTIES = (0x5D, 0x5A, 0x6D, 0x6C, 0x66, 0x51, 0x63, 0x00)
_ALL_PROPERTIES = _USUAL_PROPERTIES + tuple(
    each for each in range(_PROPERTIES_LIMIT) if each % 9 + each // 9 % 5 <= _CONTEXT_LIMIT and each not in _USUAL_PROPERTIES
)


def announced(packed: bytes) -> Iterator[Codec]:
    """Codecs whose header this block seems to begin with, the likeliest first."""
    if packed[:6] == _XZ_MAGIC:
        yield XZ
    if packed[:4] == _ZSTD_MAGIC:
        yield ZSTD
    if len(packed) > 2 and packed[0] & 0x8F == 8 and (packed[0] << 8 | packed[1]) % 31 == 0:
        yield GZIP
    if packed and packed[0] < _PROPERTIES_LIMIT:
        if packed[13:14] == b"\0":
            yield LZMA
        if packed[5:6] == b"\0":
            yield LZMA_5
        if packed[4:5] == b"\0" and max(packed[:3]) <= 4:
            yield LZMA_4


def bare(packed: bytes) -> Iterator[Codec]:
    """LZMA streams that say nothing of their properties: every one that could begin near the start of this block."""
    # Every range-coded stream begins with a zero byte.
    for prefix in (0, 4, *range(1, 4), *range(5, _PREFIX_LIMIT + 1)):
        if packed[prefix : prefix + 1] == b"\0":
            for properties in _ALL_PROPERTIES:
                yield _lzma_bare(properties, prefix)
