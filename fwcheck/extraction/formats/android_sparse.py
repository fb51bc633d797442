"""Android sparse images: an image cut into chunks that are stored, filled with one word, or left out.

Header, little-endian: magic 0xED26FF3A (4), version (2 + 2), bytes of this header and of a chunk's (2 + 2), block size (4),
blocks and chunks (4 + 4), CRC32 of the image or 0 (4). Chunk: type (2), unused (2), blocks of the image (4), bytes of the chunk
with its header (4). 0xCAC1: stored bytes, 0xCAC2: a word of four bytes that fills, 0xCAC3: not written, 0xCAC4: CRC32 of what
came before (4). Source: ``libsparse/sparse_format.h`` of Android.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import CHUNK, ByteSource, Joined
from fwcheck.model import NodeKind

RAW, FILL, SKIP, CRC = range(0xCAC1, 0xCAC5)
_HEADER = Struct("<I4H4I")
_CHUNK = Struct("<HHII")
_CRC_LIMIT = 1 << 30  # bytes of an image whose checksum is recomputed
_CRC_FREE = 64 << 20  # as many of an image that is nearly all holes
_CRC_RATIO = 16
_HOLES = 4  # times the bytes that may be unpacked: images of twelve gigabytes are usual, most of them never written


class Filled(ByteSource):
    """One word of four bytes over and over."""

    def __init__(self, word: bytes, size: int) -> None:
        self.size = size
        self._word = word

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        skip = offset % 4
        return memoryview(self._word * (length // 4 + 2))[skip : skip + length]


class Image(msgspec.Struct, kw_only=True):
    """What the chunks say: pieces in order, which of them were never written, and checksums with where they hold."""

    end: int = 0  # of the last chunk in the source
    blocks: int = 0
    chunks: int = 0
    pieces: list[ByteSource | int] = []
    skipped: set[int] = set()  # indices of pieces
    sums: list[tuple[int, int]] = []  # pieces in front of it, CRC32
    problems: list[str] = []


def _chunks(source: ByteSource, at: int, fields: tuple[int, ...], limits: Limits) -> Image:
    """Walks the chunks; what cannot be followed ends the image, which is told."""
    header, block, count = fields
    out = Image(end=at)
    for number in range(count):
        raw = source.peek(at, header)
        if len(raw) < header or number >= limits.nodes:
            note(out.problems, f"{count} chunks announced, {number} there")
            break
        kind, _, blocks, size = _CHUNK.unpack_from(raw)
        body, length = size - header, blocks * block
        if not _add(source, out, at + header, (kind, body, length)):
            note(out.problems, f"chunk {number} of type 0x{kind:04x} has {body} bytes for {length}")
            break
        out.blocks += blocks
        out.chunks += 1
        at += size
        out.end = min(at, source.size)
    return out


def _add(source: ByteSource, out: Image, at: int, chunk: tuple[int, int, int]) -> bool:
    """Adds one chunk whose body stands at ``at``; False when its type and its lengths do not fit."""
    kind, body, length = chunk
    if kind == RAW and body == length:
        there = max(0, min(length, source.size - at))
        out.pieces.append(source.window(min(at, source.size), there))
        if there < length:
            note(out.problems, f"a chunk of {length} bytes, {there} there")
            out.pieces.append(length - there)
    elif kind == FILL and body == 4 and len(word := source.peek(at, 4)) == 4:
        out.pieces.append(length if word == bytes(4) else Filled(word, length))
    elif kind == SKIP and body == 0:
        out.skipped.add(len(out.pieces))
        out.pieces.append(length)
    elif kind == CRC and body == 4 and not length:
        out.sums.append((len(out.pieces), int.from_bytes(source.peek(at, 4), "little")))
    else:
        return False
    return True


def _content(pieces: list[ByteSource | int], limits: Limits) -> ByteSource:
    """The image. Holes cost nothing, but what is filled has to be read."""
    size = sum(piece if isinstance(piece, int) else piece.size for piece in pieces)
    filled = sum(piece.size for piece in pieces if isinstance(piece, Filled))
    if size > limits.bytes_total * _HOLES or filled > limits.bytes_stream:
        raise QuotaExceeded(f"a sparse image of {size} bytes")
    return Joined(pieces)


def _crc(image: Image, count: int, *, skipped: bool) -> int:
    """CRC32 over the first pieces; without ``skipped`` as writers compute it that pass over what they do not write."""
    value = 0
    for index, piece in enumerate(image.pieces[:count]):
        if index not in image.skipped or skipped:
            for chunk in _bytes(piece):
                value = zlib.crc32(chunk, value)
    return value


def _bytes(piece: ByteSource | int) -> Iterator[bytes | memoryview]:
    if isinstance(piece, ByteSource):
        yield from piece.chunks()
        return
    zeros = bytes(min(piece, CHUNK))
    for at in range(0, piece, CHUNK):
        yield zeros[: min(CHUNK, piece - at)]


def _verdict(image: Image, size: int, packed: int, stored: int) -> str:
    sums = [*image.sums, (len(image.pieces), stored)] if stored else image.sums
    if not sums:
        return "no checksum"
    if size > min(_CRC_LIMIT, max(_CRC_FREE, packed * _CRC_RATIO)) or image.problems:
        return "CRC32 not recomputed"
    for count, value in sums[:2]:
        if value not in {_crc(image, count, skipped=True), _crc(image, count, skipped=False)}:
            note(image.problems, f"wrong CRC32: 0x{value:08x} is stored")
            return "CRC32 wrong"
    return "CRC32 right"


class AndroidSparse(Format):
    """The image as it is written to a partition is its only part."""

    name = "android-sparse"
    title = "Android sparse image"
    specification = "libsparse/sparse_format.h of Android"
    category = "firmware"
    reads = "version 1: stored, filled, left-out and CRC chunks; the CRC32 of images up to 1 GiB is recomputed"
    not_read = "images larger than the limit of the scan"
    # magic, major version, minor version, header sizes
    signatures = (Signature(pattern=rb"\x3a\xff\x26\xed\x01\x00..[\x1c-\xff]\x00[\x0c-\xff]\x00", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("no header of a sparse image")
        magic, major, minor, head, chunk, block, blocks, chunks, stored = _HEADER.unpack(raw)
        if (
            magic != 0xED26FF3A
            or major != 1
            or head < 28
            or chunk < 12
            or not block
            or block % 4
            or block > 1 << 26
            or not chunks
        ):
            raise FormatError("no header of a sparse image")
        image = _chunks(source, offset + head, (chunk, block, chunks), limits)
        if not image.chunks:
            raise FormatError("a sparse image whose first chunk is none")
        size = image.blocks * block
        if image.blocks != blocks:
            note(image.problems, f"{blocks} blocks announced, {image.blocks} there")
        words = _verdict(image, size, image.end - offset, stored)
        entry = Entry(
            path="image", kind=NodeKind.REGION, size=size, role="part", locality=offset,
            open=partial(_content, image.pieces, limits),
        )  # fmt: skip
        detail: dict[str, str | int] = {
            "version": f"{major}.{minor}", "block_size": block, "blocks": blocks, "chunks": chunks, "unpacked_size": size,
            "integrity": "none" if words == "no checksum" else "checksum", "integrity_detail": words,
        }  # fmt: skip
        entries = [entry] if size else []
        return Container(format=self.name, size=image.end - offset, entries=entries, detail=detail, problems=image.problems)


FORMATS = (AndroidSparse(),)
