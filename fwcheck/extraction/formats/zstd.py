"""Zstandard: frames of blocks, with skippable frames between them (RFC 8878).

The extent is found by walking the block headers, which also bounds what one call of the decoder can give: a block unpacks to
128 KiB at most.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._stream import Broken, Progress, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # behind 0x50..0x5f
_BLOCK_LIMIT = 128 << 10
_WINDOW_LIMIT = 128 << 20  # what `zstd --ultra -22` needs; --long=31 is refused
_BLOCKS = 1 << 20  # per frame: 128 GiB of honest blocks


class _Header(msgspec.Struct, frozen=True):
    length: int
    content_size: int | None
    dictionary: int
    checksum: bool


class Zstd(Format):
    """Zstandard frames and skippable frames; bytes behind the last frame are not claimed."""

    name = "zstd"
    title = "Zstandard stream"
    specification = "RFC 8878"
    category = "stream"
    reads = "several frames, skippable frames (seek tables too), content checksum verified, windows up to 128 MiB"
    not_read = "frames that need a dictionary: extent and its number are told; Zstandard before 0.8"
    signatures = (
        # frame header descriptor: the reserved bit 3 is zero
        Signature(
            pattern=rb"\x28\xb5\x2f\xfd[\x00-\x07\x20-\x27\x40-\x47\x60-\x67\x80-\x87\xa0-\xa7\xc0-\xc7\xe0-\xe7]", width=5
        ),
        Signature(pattern=rb"[\x50-\x5f]\x2a\x4d\x18", width=4, anywhere=False),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        first = _skip(source, offset)
        header = _header(source, first)
        if header.dictionary:
            return self._untold(source, offset, first, header)
        progress = Progress(at=offset)
        content = keep(_frames(source, progress), progress, offset, limits)
        detail: dict[str, str | int] = {
            "frames": progress.units,
            "integrity": "checksum" if header.checksum else "none",
            "integrity_detail": "XXH64 of the unpacked content" if header.checksum else "no content checksum",
        }
        return stream_container(self.name, offset, progress, content, detail)

    def _untold(self, source: ByteSource, offset: int, first: int, header: _Header) -> Container:
        """A frame that needs a dictionary: its blocks are walked for the extent, nothing is unpacked."""
        size = _walk(source, first, header) - offset
        packed = Entry(path="packed", size=size, offset=offset, locality=offset, open=lambda: source.window(offset, size))
        return Container(
            format=self.name,
            size=size,
            entries=[packed],
            detail={
                "dictionary_id": header.dictionary,
                "integrity": "checksum" if header.checksum else "none",
                "integrity_detail": "XXH64 of the unpacked content" if header.checksum else "no content checksum",
            },
            problems=[f"packed with dictionary {header.dictionary}, which is not at hand: nothing was unpacked"],
        )


def _walk(source: ByteSource, at: int, header: _Header) -> int:
    """The end of the frame at ``at`` by the headers of its blocks; raises FormatError."""
    end = at + header.length
    for _ in range(_BLOCKS):
        block = int.from_bytes(source.read(end, 3), "little")
        kind, size, last = block >> 1 & 3, block >> 3, block & 1
        if kind == 3 or size > _BLOCK_LIMIT:
            raise FormatError("a Zstandard block of a reserved type or size")
        end += 3 + (1 if kind == 1 else size)
        if last:
            end += 4 if header.checksum else 0
            source.check(at, end - at)
            return end
    raise FormatError("too many Zstandard blocks")


def _skip(source: ByteSource, offset: int) -> int:
    """The offset behind all skippable frames that begin at ``offset``; raises FormatError when one is cut off."""
    head = source.peek(offset, 8)
    while len(head) == 8 and 0x50 <= head[0] <= 0x5F and head[1:4] == _SKIPPABLE:
        length = 8 + int.from_bytes(head[4:8], "little")
        source.check(offset, length)
        offset += length
        head = source.peek(offset, 8)
    return offset


def _header(source: ByteSource, offset: int) -> _Header:
    """The frame header at ``offset``, magic included in its length; raises FormatError."""
    head = source.peek(offset, 18)
    if head[:4] != MAGIC or len(head) < 6 or head[4] & 0x08:
        raise FormatError("not a Zstandard frame header")
    descriptor, single = head[4], bool(head[4] & 0x20)
    dictionary_length = (0, 1, 2, 4)[descriptor & 3]
    size_length = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    at = 5 if single else 6
    length = at + dictionary_length + size_length
    if len(head) < length:
        raise FormatError("Zstandard frame header is cut off")
    dictionary = int.from_bytes(head[at : at + dictionary_length], "little")
    size = int.from_bytes(head[length - size_length : length], "little") + (256 if size_length == 2 else 0)
    return _Header(length, size if size_length else None, dictionary, bool(descriptor & 4))


def _frames(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    while True:
        start = progress.at
        try:
            at = _skip(source, start)
            header = _header(source, at)
        except FormatError:
            if not progress.units:
                raise
            return
        yield from _frame(source, at, header, progress)
        progress.units += 1


def _frame(source: ByteSource, at: int, header: _Header, progress: Progress) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415  # 20 ms that images without it need not pay

    decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT).decompressobj()
    end = at + header.length
    try:
        decoder.decompress(source.read(at, header.length))
        progress.at = end
        for _ in range(_BLOCKS):
            block = int.from_bytes(source.read(end, 3), "little")
            kind, size, last = block >> 1 & 3, block >> 3, block & 1
            if kind == 3 or size > _BLOCK_LIMIT:
                raise Broken("a block of a reserved type or size")
            stored = 3 + (1 if kind == 1 else size) + (4 if last and header.checksum else 0)
            piece = decoder.decompress(source.view(end, stored))
            end += stored
            progress.at = end
            if piece:
                yield piece
            if last:
                return
    except zstandard.ZstdError as error:
        raise Broken(f"dictionary {header.dictionary} is not at hand" if header.dictionary else str(error)) from error
    except (FormatError, MemoryError) as error:
        raise Broken(f"the frame is cut off: {error}") from error
    raise Broken("too many blocks")


FORMATS = (Zstd(),)
