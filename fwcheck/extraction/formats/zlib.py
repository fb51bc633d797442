"""zlib streams: a two-byte header, deflated data, Adler-32 (RFC 1950).

The header says too little to be searched for: a stream counts only where a file or part begins, and only when it
decodes to its end and the Adler-32 of what came out is right. What bears no checksum that is right is not claimed at
all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Inflate, Progress, feed, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_LEVELS = ("fastest", "fast", "default", "best")
_SUBSTANCE = 64


class Zlib(Format):
    """zlib stream at the beginning of a file or part; Adler-32 is demanded."""

    name = "zlib"
    title = "zlib stream"
    specification = "RFC 1950"
    category = "stream"
    reads = "windows of 32 KiB, at the beginning of a file or part, with the right Adler-32"
    not_read = "streams in the midst of other bytes, preset dictionaries, broken streams: without a checksum they are chance"
    # CMF 0x78 and the FLG of four levels; first block: dynamic or fixed Huffman codes, or stored
    signatures = (Signature(pattern=rb"\x78[\x01\x5e\x9c\xda][\x00-\xff]{4}", width=6, anywhere=False),)
    priority = 80

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, 3)
        if len(head) < 3 or head[0] != 0x78 or int.from_bytes(head[:2], "big") % 31 or head[1] & 0x20 or head[2] & 6 == 6:
            raise FormatError("not a zlib header")
        progress = Progress(at=offset)
        content = keep(_stream(source, progress), progress, offset, limits)
        if progress.broken or content.size < _SUBSTANCE:
            raise FormatError("no zlib stream that is whole: it cannot be told from chance")
        detail: dict[str, str | int] = {
            "level": _LEVELS[head[1] >> 6],
            "integrity": "checksum",
            "integrity_detail": "Adler-32 of the unpacked content right",
        }
        return stream_container(self.name, offset, progress, content, detail)


def _stream(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    yield from feed(Inflate(zlib.MAX_WBITS), source, progress, (zlib.error,))
    progress.units = 1


FORMATS = (Zlib(),)
