"""The x86 branch filter that packers put in front of LZMA (BCJ): calls and jumps are made relative again by liblzma."""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.source import ByteSource

_PIECE = 64 << 10


def undone(content: ByteSource) -> Iterator[bytes]:
    """The content without the filter; liblzma takes it off on the way through an LZMA2 stream of stored chunks."""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}])
    try:
        for number, chunk in enumerate(content.chunks(_PIECE)):
            header = struct.pack(">BH", 2 if number else 1, len(chunk) - 1)
            yield decoder.decompress(header + bytes(chunk))
        yield decoder.decompress(b"\0")
    except lzma.LZMAError as error:
        raise FormatError(f"x86 filter of LZMA data: {error}") from error
