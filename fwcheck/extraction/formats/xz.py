"""xz: streams of LZMA2 blocks with an index, one behind the other (The .xz File Format, version 1.2.1)."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Progress, feed, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC = b"\xfd7zXZ\x00"
_CHECKS = {0: ("none", "no check"), 1: ("checksum", "CRC32"), 4: ("checksum", "CRC64"), 10: ("hash", "SHA-256")}
_PATTERN = rb"\xfd7zXZ\x00\x00[\x00\x01\x04\x0a]"
_PADDING_LIMIT = 512  # between two streams; more than that is the padding of an image, not of a stream
_MEMORY = 256 << 20  # of one decoder: the largest preset (-9) needs 65 MiB


class Xz(Format):
    """xz file of one or more streams. Stream padding is claimed between streams, not behind the last one."""

    name = "xz"
    title = "xz stream"
    specification = "The .xz File Format 1.2.1"
    category = "stream"
    reads = (
        "several streams with padding between them, all filters and checks of liblzma (CRC32, CRC64, SHA-256 verified), "
        "index and footer"
    )
    not_read = "dictionaries that need more than 256 MiB"
    signatures = (Signature(pattern=_PATTERN, width=8),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if not _begins(source, offset):
            raise FormatError("not an xz stream header")
        integrity, words = _CHECKS.get(source.read(offset + 7, 1)[0], ("checksum", "check of an unknown kind"))
        progress = Progress(at=offset)
        content = keep(_streams(source, progress), progress, offset, limits)
        detail: dict[str, str | int] = {"streams": progress.units, "integrity": integrity, "integrity_detail": words}
        return stream_container(self.name, offset, progress, content, detail)


def _begins(source: ByteSource, offset: int) -> bool:
    """Whether a stream header stands here: magic, flags, and the CRC32 of the flags."""
    head = source.peek(offset, 12)
    return head[:6] == MAGIC and len(head) == 12 and zlib.crc32(head[6:8]) == int.from_bytes(head[8:], "little")


def _streams(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    while True:
        yield from feed(lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY), source, progress, (lzma.LZMAError, MemoryError))
        progress.units += 1
        after = source.peek(progress.at, _PADDING_LIMIT)
        padding = len(after) - len(after.lstrip(b"\0"))
        if padding % 4 or not _begins(source, progress.at + padding):
            return
        progress.at += padding


FORMATS = (Xz(),)
