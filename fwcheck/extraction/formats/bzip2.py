"""bzip2 streams, one behind the other (format description in the bzip2 1.0 sources and by Joe Tsai, 2016)."""

from __future__ import annotations

import bz2
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Broken, Progress, feed, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_BLOCK = b"1AY&SY"  # the digits of pi: a block follows
_END = b"\x17rE8P\x90"  # the digits of its square root: an empty stream
_PATTERN = rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"
_EMPTY = 14


class Bzip2(Format):
    """bzip2 stream, or several of them; bytes behind the last one are not claimed."""

    name = "bzip2"
    title = "bzip2 stream"
    specification = "bzip2 1.0.8 sources"
    category = "stream"
    reads = "several streams, CRC32 of blocks and streams verified"
    signatures = (Signature(pattern=_PATTERN, width=10),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if not _begins(source.peek(offset, 10)):
            raise FormatError("not a bzip2 header")
        level = source.read(offset + 3, 1)[0] - 0x30
        progress = Progress(at=offset)
        content = keep(_streams(source, progress), progress, offset, limits)
        detail: dict[str, str | int] = {
            "block_size": level * 100_000,
            "streams": progress.units,
            "integrity": "checksum",
            "integrity_detail": "CRC32 per block and stream",
        }
        return stream_container(self.name, offset, progress, content, detail)


def _begins(head: bytes) -> bool:
    return head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in {_BLOCK, _END}


def _streams(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    while _begins(source.peek(progress.at, 10)):
        yield from feed(bz2.BZ2Decompressor(), source, progress, (OSError, ValueError))
        progress.units += 1
    if not progress.units:
        raise Broken("no stream")


FORMATS = (Bzip2(),)
