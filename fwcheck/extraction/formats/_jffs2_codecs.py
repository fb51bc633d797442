"""The compressors of JFFS2 nodes.

Numbers from the Linux kernel, ``include/uapi/linux/jffs2.h``; LZMA (8) is OpenWrt's addition, a bare LZMA1 stream with
lc = lp = pb = 0 and a dictionary of 8 KiB.
"""

from __future__ import annotations

import lzma
import zlib

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._jffs2_rubin import rubin

NONE, ZERO, RTIME, RUBIN_MIPS, COPY, DYNAMIC_RUBIN, ZLIB, LZO, LZMA = range(9)
NAMES = {
    NONE: "none", ZERO: "zero", RTIME: "rtime", RUBIN_MIPS: "rubinmips", COPY: "copy", DYNAMIC_RUBIN: "dynrubin",
    ZLIB: "zlib", LZO: "lzo", LZMA: "lzma",
}  # fmt: skip

_LZMA_FILTERS = [{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 0, "pb": 0, "dict_size": 0x2000}]


def unpack(method: int, packed: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes; raises FormatError for a broken node and for a compressor that is not read."""
    try:
        if method in (NONE, COPY):
            out = packed
        elif method == ZERO:
            out = bytes(size)
        elif method == ZLIB:
            out = zlib.decompressobj().decompress(packed, size)
        elif method == RTIME:
            out = rtime(packed, size)
        elif method == LZO:
            out = _lzo(packed, size)
        elif method == LZMA:
            out = _lzma(packed, size)
        elif method in (RUBIN_MIPS, DYNAMIC_RUBIN):
            # The number of dynrubin in the header means rubinmips to kernels from 2.6 on, and the other way round.
            out = rubin(packed, size, dynamic_first=method == RUBIN_MIPS)
        else:
            raise FormatError(f"JFFS2 compressor {NAMES.get(method, method)} cannot be unpacked")
    except (zlib.error, lzma.LZMAError, ValueError) as error:
        raise FormatError(f"broken {NAMES[method]} node: {error}") from None
    if len(out) != size:
        raise FormatError(f"a node of {size} bytes unpacks to {len(out)}")
    return out


def _lzma(packed: bytes, size: int) -> bytes:
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA_FILTERS).decompress(packed, size)
    except lzma.LZMAError:
        return _lzo(packed, size)  # the number under which kernels with LZARI have LZO


def rtime(packed: bytes, size: int) -> bytes:
    """Run-time compression: each literal says how many bytes to repeat from behind its previous occurrence."""
    out = bytearray()
    after = [0] * 256
    for at in range(0, len(packed) - 1, 2):
        value, repeat = packed[at], packed[at + 1]
        out.append(value)
        begin = after[value]
        after[value] = len(out)
        if repeat:
            run = bytes(out[begin : begin + repeat])
            if len(run) < repeat:  # the run reaches into itself
                run = (run * (repeat // len(run) + 1))[:repeat]
            out += run
        if len(out) >= size:
            break
    return bytes(out[:size])


def _lzo(packed: bytes, size: int) -> bytes:
    import lzallright  # noqa: PLC0415  # only images with LZO need it

    try:
        return bytes(lzallright.LZOCompressor.decompress(packed, output_size_hint=size))
    except (lzallright.LZOError, lzallright.InputNotConsumed) as error:
        raise FormatError(f"broken lzo node: {error}") from None
