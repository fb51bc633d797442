"""The four algorithms of EROFS: what one packed cluster unpacks to, as far as an extent wants it.

A packed cluster is filled up to whole blocks: with zeros in front of the stream (``0padding``), or behind an LZ4 stream in the
old form. MicroLZMA is a raw LZMA1 stream whose first byte, always zero, was replaced by the inverted properties byte
(xz-embedded, ``xz_dec_microlzma``). An extent may want less than the stream holds, when extents share their packed bytes.
"""

from __future__ import annotations

import lzma
import zlib

from fwcheck.extraction.errors import FormatError

_PROPERTIES_LIMIT = 225
_DICTIONARY = 12 << 20  # no extent is longer
_WINDOW = 1 << 23


def unpack(algorithm: int, packed: bytes, length: int, *, padded: bool) -> bytes:
    """Exactly ``length`` bytes; raises FormatError where the stream does not give them."""
    if algorithm >= len(_DECODERS):
        raise FormatError(f"the unknown algorithm {algorithm}")
    if padded:
        packed = packed.lstrip(b"\0")
    out = _DECODERS[algorithm](packed, length)
    if len(out) < length:
        raise FormatError(f"a packed cluster gives {len(out)} bytes of {length}")
    return out[:length]


def _lz4(packed: bytes, length: int) -> bytes:
    import lz4.block  # noqa: PLC0415  few images need it

    try:
        return bytes(lz4.block.decompress(packed, uncompressed_size=length))
    except (lz4.block.LZ4BlockError, ValueError, MemoryError):
        return _lz4_begin(packed, length)


def _lz4_begin(packed: bytes, length: int) -> bytes:
    """The first bytes of an LZ4 block that holds more of them, or has zeros behind it: the library reads whole blocks only."""
    out = bytearray()
    at, end = 0, len(packed)
    while at < end:
        token = packed[at]
        at, literals = _count(packed, at + 1, token >> 4)
        out += packed[at : at + literals]
        at += literals
        if len(out) >= length or at + 2 > end:
            break
        distance = packed[at] | packed[at + 1] << 8
        at, match = _count(packed, at + 2, token & 15)
        match = min(match + 4, length - len(out))
        begin = len(out) - distance
        if not distance or begin < 0:
            raise FormatError("lz4: a distance beyond the begin of the extent")
        # A match may reach into itself: then it repeats what lies between.
        piece = bytes(out[begin : begin + match])
        out += (piece * (match // len(piece) + 1))[:match]
        if len(out) >= length:
            break
    return bytes(out[:length])


def _count(packed: bytes, at: int, value: int) -> tuple[int, int]:
    if value == 15:
        while at < len(packed):
            byte = packed[at]
            at, value = at + 1, value + byte
            if byte != 255:
                break
    return at, value


def _microlzma(packed: bytes, length: int) -> bytes:
    if len(packed) < 6 or packed[0] ^ 0xFF >= _PROPERTIES_LIMIT:
        raise FormatError("microlzma: no properties")
    rest, lc = divmod(packed[0] ^ 0xFF, 9)
    pb, lp = divmod(rest, 5)
    if lc + lp > 4:
        raise FormatError(f"microlzma: lc={lc} lp={lp} is beyond what the decoder supports")
    dictionary = min(max(length, 4096), _DICTIONARY)
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(b"\0" + packed[1:], length)
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"microlzma: {error}") from None


def _deflate(packed: bytes, length: int) -> bytes:
    try:
        return zlib.decompressobj(-15).decompress(packed, length)
    except zlib.error as error:
        raise FormatError(f"deflate: {error}") from None


def _zstd(packed: bytes, length: int) -> bytes:
    import zstandard  # noqa: PLC0415  few images need it

    try:
        with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(packed) as stream:
            return stream.read(length)
    except (zstandard.ZstdError, MemoryError) as error:
        raise FormatError(f"zstd: {error}") from None


_DECODERS = (_lz4, _microlzma, _deflate, _zstd)
