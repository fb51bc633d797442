"""Where the packed kernel lies inside a self-extracting one: the first stream behind the stub that really decodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.format import Container, Format
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource

STUB_LIMIT = 1 << 20  # bytes of the image in which the packed kernel has to begin
_TRIALS = 64
# The beginning tells: two calls of a decoder, or one block of a legacy LZ4 frame.
_TRIAL = Limits(bytes_stream=2 << 20, ratio_floor=2 << 20)
_BLOCK = Limits(bytes_stream=9 << 20, ratio_floor=9 << 20)


@cache
def _streams() -> tuple[tuple[Format, re.Pattern[bytes]], ...]:
    """The formats a kernel may be packed with (scripts/Makefile.lib of Linux), and what announces them."""
    # Imported here: a module of formats that holds another format's instances would register them twice.
    from fwcheck.extraction.formats import bzip2, gzip, lz4, lzma_alone, lzop, xz, zstd  # noqa: PLC0415

    formats: tuple[Format, ...] = (
        *gzip.FORMATS, *xz.FORMATS, *bzip2.FORMATS, *lzop.FORMATS, lz4.FORMATS[1], *zstd.FORMATS, *lzma_alone.FORMATS,
    )  # fmt: skip
    return tuple((each, re.compile(each.signatures[0].pattern, re.DOTALL)) for each in formats)


def packed_kernel(source: ByteSource, begin: int, end: int, least: int = 0) -> tuple[int, str] | None:
    """Offset and compression of the first stream between two offsets; None when nothing there decodes.

    ``least``: unpacked bytes from which it is taken for a kernel.
    """
    head = source.peek(begin, min(end - begin, STUB_LIMIT))
    hits = sorted(
        ((match.start(), rank) for rank, (_, pattern) in enumerate(_streams()) for match in pattern.finditer(head)),
    )
    for at, rank in hits[:_TRIALS]:
        for each, container in _decoded(source.window(begin + at, end - begin - at), rank):
            size = container.detail.get("unpacked_size", 0)
            if isinstance(size, int) and size >= least:
                return begin + at, each.name
    return None


def compression(source: ByteSource, at: int, end: int) -> str:
    """The name of the stream that begins at ``at`` and decodes; empty when there is none."""
    for each, _ in _decoded(source.window(at, end - at), None):
        return each.name
    return ""


def opened(window: ByteSource, limits: Limits) -> ByteSource | None:
    """The beginning of what the stream at the beginning of a window unpacks to; None when there is none."""
    for _, container in _decoded(window, None, limits):
        for entry in container.entries:
            return entry.open() if entry.open is not None else None
    return None


def _decoded(window: ByteSource, only: int | None, limits: Limits | None = None) -> Iterator[tuple[Format, Container]]:
    head = window.peek(0, 32)
    for rank, (each, pattern) in enumerate(_streams()):
        if (only is not None and rank != only) or not pattern.match(head):
            continue
        try:
            yield each, each.open(window, 0, limits or (_BLOCK if each.name == "lz4-legacy" else _TRIAL))
        except ExtractionError:
            continue
