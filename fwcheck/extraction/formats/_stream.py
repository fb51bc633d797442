"""What the stream formats share: one bounded pass of a native decoder that keeps what came out and knows where it broke.

A decoder is fed in small pieces, because the standard library's decoders drop the output of the call that fails: the place
where a stream breaks, and the content before it, are known to :data:`PIECE` packed bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Protocol

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.limits import Limits, Spent
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

PIECE = 4096  # packed bytes per call of a decoder
OUTPUT = 1 << 20  # unpacked bytes per call, at most
WORTH = 4096  # unpacked bytes from which a broken stream is still worth keeping


class Broken(Exception):
    """The stream cannot be decoded any further; what came out until then stands."""


class Decoder(Protocol):
    """The interface that :class:`bz2.BZ2Decompressor`, :class:`lzma.LZMADecompressor` and the LZ4 frame decoder share."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes: ...


class Inflate:
    """zlib's decoder, of raw deflate data unless told otherwise, with the interface of the other decoders."""

    def __init__(self, window: int = -zlib.MAX_WBITS) -> None:
        self._zlib = zlib.decompressobj(window)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes:
        out = self._zlib.decompress(self._zlib.unconsumed_tail or data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(out) < max_length
        return out


class Progress(msgspec.Struct, kw_only=True):
    """How far one stream was decoded. ``at`` is the offset in the source up to which packed bytes were accepted."""

    at: int
    produced: int = 0  # unpacked bytes
    units: int = 0  # complete members, streams or frames
    problems: list[str] = []
    broken: bool = False


def feed(decoder: Decoder, source: ByteSource, progress: Progress, errors: tuple[type[Exception], ...]) -> Iterator[bytes]:
    """Decodes from ``progress.at`` to the end of the decoder's stream and leaves ``progress.at`` right behind it.

    Raises Broken when the source ends first or the decoder raises one of ``errors``.
    """
    at = progress.at
    while not decoder.eof:
        data = source.view(at, min(PIECE, source.size - at)) if decoder.needs_input else b""
        if decoder.needs_input and not data:
            raise Broken("the stream is cut off")
        at += len(data)
        try:
            piece = decoder.decompress(data, OUTPUT)
        except errors as error:
            raise Broken(str(error) or type(error).__name__) from error
        progress.at = at
        if piece:
            yield piece
    progress.at = at - len(decoder.unused_data or b"")  # lz4 has None where nothing is left


def keep(pieces: Iterable[bytes], progress: Progress, offset: int, limits: Limits) -> ByteSource:
    """Spools what a stream that begins at ``offset`` unpacks to, up to its end, its break or the quota.

    Raises FormatError when it breaks before anything worth keeping was decoded: then these bytes are no such stream.
    """
    content = spool(_guarded(pieces, progress, offset, limits))
    if progress.broken and not progress.units and progress.produced < WORTH:
        raise FormatError(progress.problems[-1])
    return content


def _guarded(pieces: Iterable[bytes], progress: Progress, offset: int, limits: Limits) -> Iterator[bytes]:
    try:
        for piece in pieces:
            allowed = min(limits.bytes_stream, max(limits.ratio_floor, (progress.at - offset) * limits.ratio))
            if progress.produced + len(piece) > allowed:
                progress.broken = True
                progress.problems.append(f"quota: more than {allowed} bytes out of {progress.at - offset}; the rest stays unread")
                return
            progress.produced += len(piece)
            yield piece
            if limits.meter is not None:
                limits.meter.add(len(piece))
    except Spent as error:
        progress.broken = True
        progress.problems.append(f"quota: {error}; the rest stays unread")
    except Broken as error:
        progress.broken = True
        progress.problems.append(
            f"truncated or corrupt after {progress.at - offset} packed bytes ({progress.produced} unpacked): {error}"
        )


def stream_container(
    format: str,
    offset: int,
    progress: Progress,
    content: ByteSource,
    detail: dict[str, str | int],
    name: str = "payload",
    mtime: int = 0,
) -> Container:
    """The container of a decoded stream: one part, already unpacked."""
    entry = Entry(
        path=name, kind=NodeKind.REGION, size=content.size, mtime=mtime, role="part", open=lambda: content, locality=offset
    )
    detail = {**detail, "unpacked_size": content.size}
    return Container(format=format, size=progress.at - offset, entries=[entry], detail=detail, problems=progress.problems)


def part_name(stored: str) -> str:
    """A stored file name as a bare, printable part name; ``payload`` when nothing of it can be shown."""
    name = PurePosixPath(stored.replace("\\", "/")).name
    return "".join(char if char.isprintable() else "?" for char in name)[:255] or "payload"
