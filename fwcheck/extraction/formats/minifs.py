"""MINIFS: TP-Link's read-only file system of VxWorks devices, in either byte order.

Header of 32 bytes: ``MINIFS`` filled up to 16 with zeros, a number, number of files at 20, a number, length of the table of
names. Then the names (zero-terminated), the files (20 bytes: offset of the directory's name, offset of the name, number of the
chunk, offset in it, size), the chunks (12 bytes: offset, packed size, unpacked size), then the chunks themselves, LZMA streams;
their offsets count from the first one (arXiv:2407.05064; minifs.ksy of binaryanalysis-ng).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache, partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._lzma_file import unpacked
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource

_HEADER = 32
_NAMES = 16 << 20


class MiniFs(Format):
    """MINIFS; chunks are unpacked when one of their files is read."""

    name = "minifs"
    title = "TP-Link MINIFS"
    specification = "arXiv:2407.05064; minifs.ksy of binaryanalysis-ng"
    category = "file system"
    reads = "both byte orders, all files"
    signatures = (Signature(pattern=rb"MINIFS\x00{10}", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        order = next((each for each in ("big", "little") if _fits(raw, each, source.size - offset, limits)), None)
        if order is None:
            raise FormatError("implausible MINIFS header")
        sign = ">" if order == "big" else "<"
        count, length = struct.unpack(f"{sign}8xI4xI", raw[12:])
        names = source.read(offset + _HEADER, length)
        at = offset + _HEADER + length
        files = list(struct.iter_unpack(f"{sign}5I", source.view(at, 20 * count)))
        chunks_at = at + 20 * count
        wanted = max(each[2] for each in files) + 1
        if wanted > limits.nodes:
            raise FormatError("implausible number of MINIFS chunks")
        chunks = list(struct.iter_unpack(f"{sign}3I", source.view(chunks_at, 12 * wanted)))
        data = chunks_at + 12 * wanted
        end = data + max(begin + size for begin, size, _ in chunks)
        problems: list[str] = []
        size = min(end, source.size) - offset
        if size < end - offset:
            note(problems, f"{end - offset} bytes announced, {size} there")
        return Container(
            format=self.name,
            size=size,
            entries=_files(source, data, names, files, chunks, limits, problems),
            detail={"byte_order": order, "files": count, "chunks": wanted, "compression": "lzma"},
            problems=problems,
        )


def _fits(raw: bytes, order: str, available: int, limits: Limits) -> bool:
    sign = ">" if order == "big" else "<"
    count, length = struct.unpack(f"{sign}8xI4xI", raw[12:])
    return bool(0 < count <= limits.nodes and 0 < length <= _NAMES and _HEADER + length + 20 * count + 12 <= available)


def _files(
    source: ByteSource,
    data: int,
    names: bytes,
    files: list[tuple[int, ...]],
    chunks: list[tuple[int, ...]],
    limits: Limits,
    problems: list[str],
) -> Iterator[Entry]:
    kept = _Chunks(source, limits)

    @cache
    def name(at: int) -> str:
        return decoded(names[at : names.find(b"\0", at) if names.find(b"\0", at) >= 0 else len(names)][:4096])

    for directory, file, number, begin, size in files:
        path, escapes = member_path(f"{name(directory)}/{name(file)}")
        if escapes:
            note(problems, f"{path}: a name that leaves the root")
        at, packed, whole = chunks[number]
        if data + at + packed > source.size or begin + size > whole:
            note(problems, f"{path}: lies outside its chunk")
            continue
        opener = partial(kept.file, data + at, packed, begin, size)
        yield Entry(path=path, size=size, locality=data + at, open=opener)


class _Chunks:
    """The chunk that was unpacked last: files are read in the order in which they are packed."""

    def __init__(self, source: ByteSource, limits: Limits) -> None:
        self._source, self._limits = source, limits
        self._last: tuple[int, ByteSource] | None = None

    def file(self, at: int, packed: int, begin: int, size: int) -> ByteSource:
        if self._last is None or self._last[0] != at:
            self._last = (at, unpacked(self._source.window(at, packed), self._limits))
        return self._last[1].window(begin, size)


FORMATS = (MiniFs(),)
