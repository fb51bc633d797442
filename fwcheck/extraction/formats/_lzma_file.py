"""Files packed as LZMA-alone streams inside vendors' file systems."""

from __future__ import annotations

import lzma
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool

_HEADER = 13
_LARGEST = 1 << 28  # unpacked bytes
_MEMORY = 64 << 20
_STEP = 1 << 16


def lzma_size(source: ByteSource) -> int | None:
    """The unpacked size that an LZMA-alone header tells; None where there is none."""
    head = source.peek(0, _HEADER + 1)
    if len(head) <= _HEADER or head[0] >= 225 or head[_HEADER]:
        return None
    size = int.from_bytes(head[5:13], "little")
    return size if 0 < size <= _LARGEST and int.from_bytes(head[1:5], "little") <= _MEMORY else None


def unpacked(source: ByteSource, limits: Limits) -> ByteSource:
    """The content of one stream; raises FormatError where it breaks."""
    return spool(bounded(_decoded(source), source.size, limits))


def _decoded(source: ByteSource) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=2 * _MEMORY)
    try:
        for chunk in source.chunks(_STEP):
            data = bytes(chunk)
            while not decoder.eof:
                yield decoder.decompress(data, 1 << 20)
                data = b""
                if decoder.needs_input:
                    break
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"broken LZMA stream: {error}") from error
