"""LZMA-alone with a header that vendors changed: no unpacked size at all, a size of other bytes, or a byte in front.

    no size    properties, dictionary size, data: Broadcom's CFE and cable modems (OpenWrt target/linux/bcm63xx, lzma-cfe)
    big-endian the 64-bit size has its highest byte first
    half       only 32 bits of the size are meant, the upper ones are all set
    zero       a size of 0 stands for an unknown one
    lzma86     a byte in front: 1 when the x86 branch filter was used (LZMA SDK, Lzma86.h)

The header has no magic and the data no checksum: much has to come out, and it has to look like something.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats import lzma_alone
from fwcheck.extraction.formats._stream import Broken, Progress, feed, keep, stream_container
from fwcheck.extraction.formats._x86_filter import undone
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.source import ByteSource, Joined, Memory
from fwcheck.extraction.spool import spool

_PROPERTIES = rb"[\x5d\x6d]\x00\x00(?:[\x01\x02\x04\x08\x10\x20\x40\x80]\x00|\x00[\x01\x02\x04])"
_SUBSTANCE = 16 << 10  # unpacked bytes from which a decode is no chance
_SIZE_LIMIT = 1 << 30
_DICTIONARY_LIMIT = 64 << 20
_UNKNOWN = (1 << 64) - 1


class LzmaVariant(Format):
    """LZMA stream with a changed header; tried where plain LZMA-alone was refused."""

    name = "lzma-variant"
    title = "LZMA stream with a vendor's header"
    specification = "LZMA specification of the LZMA SDK; OpenWrt lzma-cfe"
    category = "stream"
    reads = "no unpacked size (CFE, cable modems), big-endian sizes, sizes of 32 bits, sizes of 0, lzma86 with x86 filter"
    not_read = "changed properties bytes; where no size and no end marker is stored the end is where decoding breaks; no checksum"
    signatures = (
        Signature(pattern=_PROPERTIES + rb"\x00[\x01-\xff]", width=7),
        Signature(pattern=_PROPERTIES + rb"(?:\x00{4}[\x00-\x3f][\x00-\xff]{3}|[\x00-\xff]{4}\xff{4}|\x00{8})\x00", width=14),
        Signature(
            pattern=rb"[\x00\x01][\x5d\x6d]\x00\x00[\x00-\x80][\x00-\x04][\x00-\xff]{3}[\x00-\x3f]\x00{5}",
            width=15,
            anywhere=False,
        ),
    )
    priority = 85

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, 20)
        if head[0] <= 1 and head[1] in {0x5D, 0x6D}:
            return self._with_filter(source, offset, limits)
        if head[0] not in {0x5D, 0x6D} or head[1:3] != b"\0\0":
            raise FormatError("not an LZMA header")
        first: FormatError | None = None
        for variant, size in _sizes(head):
            try:
                return self._sized(source, offset, limits, variant, size)
            except FormatError as error:
                first = first or error
        raise first or FormatError("not a changed LZMA header")

    def _sized(self, source: ByteSource, offset: int, limits: Limits, variant: str, size: int | None) -> Container:
        progress = Progress(at=offset + (5 if size is None else 13))
        pieces = _endless(source, progress, offset) if size is None else _corrected(source, progress, offset, size)
        content = keep(pieces, progress, offset, limits)
        _demand_substance(content, progress, offset)
        return stream_container(self.name, offset, progress, content, _detail(variant))

    def _with_filter(self, source: ByteSource, offset: int, limits: Limits) -> Container:
        inner = lzma_alone.FORMATS[0].open(source, offset + 1, limits)
        if inner.problems:
            raise FormatError("no LZMA data behind a byte of lzma86")
        (entry,) = inner.entries
        assert entry.open is not None
        content = entry.open()
        if source.read(offset, 1) == b"\1":
            content = spool(bounded(undone(content), content.size, limits))
        progress = Progress(at=offset + 1 + inner.size, units=1)
        return stream_container(self.name, offset, progress, content, _detail("lzma86"))


def _detail(variant: str) -> dict[str, str | int]:
    return {"variant": variant, "integrity": "none", "integrity_detail": "LZMA-alone has no check"}


def _sizes(head: bytes) -> Iterator[tuple[str, int | None]]:
    """What the size field may mean; None when there is none."""
    field = head[5:13]
    low, big = int.from_bytes(field[:4], "little"), int.from_bytes(field, "big")
    if head[13] == 0:
        if not any(field):
            yield "size of 0 for an unknown one", _UNKNOWN
        elif field[4:] == b"\xff" * 4 and 0 < low <= _SIZE_LIMIT:
            yield "size of 32 bits", low
        elif 0 < big <= _SIZE_LIMIT:
            yield "big-endian size", big
    if head[5] == 0 and head[6]:
        yield "no size", None


def _corrected(source: ByteSource, progress: Progress, offset: int, size: int) -> Iterator[bytes]:
    """Decodes behind a header with the size as the decoder wants it."""
    header = Memory(source.read(offset, 5) + size.to_bytes(8, "little"))
    joined = Joined([header, source.window(offset + 13, source.size - offset - 13)])
    inner = Progress(at=0)
    try:
        yield from feed(
            lzma.LZMADecompressor(lzma.FORMAT_ALONE, 4 * _DICTIONARY_LIMIT), joined, inner, (lzma.LZMAError, MemoryError)
        )
        progress.units = 1
    finally:
        progress.at = offset + inner.at


def _endless(source: ByteSource, progress: Progress, offset: int) -> Iterator[bytes]:
    """Decodes up to an end marker, the end of the source, or where the data cannot go on."""
    properties, dictionary = source.read(offset, 1)[0], int.from_bytes(source.read(offset + 1, 4), "little")
    filters = [
        {
            "id": lzma.FILTER_LZMA1,
            "dict_size": min(max(dictionary, 4096), _DICTIONARY_LIMIT),
            "lc": properties % 9,
            "lp": properties // 9 % 5,
            "pb": properties // 45,
        }
    ]
    try:
        yield from feed(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters), source, progress, (lzma.LZMAError, MemoryError))
    except Broken:
        if progress.produced < _SUBSTANCE:
            raise
        if progress.at < source.size:
            progress.problems.append("neither size nor end marker: the last bytes that came out may be those of what follows")
    progress.units = 1


def _demand_substance(content: ByteSource, progress: Progress, offset: int) -> None:
    packed = progress.at - offset
    if progress.broken or content.size < _SUBSTANCE or content.size > packed * 200 or content.size < packed:
        raise FormatError("no LZMA data: the decoder broke down or gave nothing of substance")
    if len(set(content.read(0, 4096))) < 16:
        raise FormatError("no LZMA data: almost constant bytes came out")


FORMATS = (LzmaVariant(),)
