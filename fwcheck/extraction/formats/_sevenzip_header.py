"""The header database of 7z archives (7-Zip source, DOC/7zFormat.txt): pack streams, folders of coders, files.

Numbers are of one to nine bytes: as many leading ones in the first byte as bytes follow, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.members import decoded

# Property identifiers of 7zFormat.txt
END, HEADER, ARCHIVE, STREAMS, FILES, PACK, UNPACK, SUB, SIZE, CRC, FOLDER = 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11
UNPACK_SIZE, COUNT, EMPTY_STREAM, EMPTY_FILE, ANTI, NAMES, MTIME, ATTRIBUTES, ENCODED = 12, 13, 14, 15, 16, 17, 20, 21, 23
_ADDITIONAL = 3
_CODERS = 32
_STREAMS_OF_A_CODER = 32
_EPOCH = 11_644_473_600  # seconds from 1601 to 1970


class Coder(msgspec.Struct, frozen=True, kw_only=True):
    """A method with its properties; all that are read have one stream in and one out."""

    method: bytes
    properties: bytes
    inputs: int
    outputs: int


class Folder(msgspec.Struct, kw_only=True):
    """Coders bound together; ``sizes`` are what each of their outputs unpacks to."""

    coders: list[Coder]
    bonds: list[tuple[int, int]]  # input, output
    packed: list[int]  # inputs that are fed from pack streams
    sizes: list[int] = []
    crc: int | None = None

    @property
    def main(self) -> int:
        """The output that is bound to no input: the content."""
        bound = {output for _, output in self.bonds}
        free = [index for index in range(sum(each.outputs for each in self.coders)) if index not in bound]
        if len(free) != 1 or free[0] >= len(self.sizes):
            raise FormatError("a 7z folder without one content")
        return free[0]

    @property
    def size(self) -> int:
        return self.sizes[self.main]


class Streams(msgspec.Struct, kw_only=True):
    """Pack streams, folders, and what lies in each folder as (size, CRC)."""

    at: int = 0  # of the first pack stream, behind the signature header
    packed: list[int] = []
    folders: list[Folder] = []
    parts: list[list[tuple[int, int | None]]] = []


class File(msgspec.Struct, kw_only=True):
    """One entry of the file list."""

    name: str = ""
    stream: bool = True
    directory: bool = False
    anti: bool = False
    mtime: int = 0
    attributes: int = 0


class Reader:
    """Numbers and properties of a header, in order; raises FormatError where they do not fit."""

    def __init__(self, data: bytes, limit: int) -> None:
        self.data, self.at, self.limit = data, 0, limit

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise FormatError("a 7z header that ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        first = self.byte()
        more = 0
        while more < 8 and first & 0x80 >> more:
            more += 1
        low = int.from_bytes(self.take(more), "little")
        return low if more > 6 else low | (first & (0x7F >> more)) << 8 * more

    def count(self) -> int:
        found = self.number()
        if found > min(self.limit, 8 * len(self.data)):
            raise FormatError(f"a 7z header with {found} items")
        return found

    def expect(self, kind: int) -> None:
        if self.number() != kind:
            raise FormatError("a 7z header in disorder")

    def bits(self, count: int) -> list[bool]:
        raw = self.take(-(-count // 8))
        return [bool(raw[index >> 3] & 0x80 >> (index & 7)) for index in range(count)]

    def defined(self, count: int) -> list[bool]:
        return [True] * count if self.byte() else self.bits(count)

    def crcs(self, count: int) -> list[int | None]:
        known = self.defined(count)
        values = struct.unpack(f"<{sum(known)}I", self.take(4 * sum(known)))
        following = iter(values)
        return [next(following) if each else None for each in known]


def streams(reader: Reader) -> Streams:
    """PackInfo, UnPackInfo and SubStreamsInfo."""
    found = Streams()
    sub = False
    while (kind := reader.number()) != END:
        if kind == PACK:
            _pack(reader, found)
        elif kind == UNPACK:
            _unpack(reader, found)
        elif kind == SUB:
            sub = True
            _sub(reader, found)
        else:
            raise FormatError(f"property {kind} among 7z streams")
    if not sub:
        found.parts = [[(each.size, each.crc)] for each in found.folders]
    if sum(len(each.packed) for each in found.folders) > len(found.packed):
        raise FormatError("7z folders without pack streams")
    return found


def _pack(reader: Reader, found: Streams) -> None:
    found.at = reader.number()
    count = reader.count()
    while (kind := reader.number()) != END:
        if kind == SIZE:
            found.packed = [reader.number() for _ in range(count)]
        elif kind == CRC:
            reader.crcs(count)
        else:
            raise FormatError(f"property {kind} in 7z pack info")


def _unpack(reader: Reader, found: Streams) -> None:
    reader.expect(FOLDER)
    count = reader.count()
    if reader.byte():
        raise FormatError("7z folders in an additional stream")
    found.folders = [_folder(reader) for _ in range(count)]
    reader.expect(UNPACK_SIZE)
    for each in found.folders:
        each.sizes = [reader.number() for _ in range(sum(one.outputs for one in each.coders))]
    while (kind := reader.number()) != END:
        if kind != CRC:
            raise FormatError(f"property {kind} in 7z unpack info")
        for each, crc in zip(found.folders, reader.crcs(count), strict=True):
            each.crc = crc


def _folder(reader: Reader) -> Folder:
    coders = []
    count = reader.number()
    if not 0 < count <= _CODERS:
        raise FormatError(f"a 7z folder of {count} coders")
    for _ in range(count):
        flags = reader.byte()
        method = reader.take(flags & 0x0F)
        inputs, outputs = (reader.number(), reader.number()) if flags & 0x10 else (1, 1)
        if not 0 < inputs <= _STREAMS_OF_A_CODER or not 0 < outputs <= _STREAMS_OF_A_CODER or flags & 0xC0:
            raise FormatError("a 7z coder with odd streams")
        coders.append(
            Coder(method=method, properties=reader.take(reader.number()) if flags & 0x20 else b"", inputs=inputs, outputs=outputs)
        )
    ins, outs = sum(each.inputs for each in coders), sum(each.outputs for each in coders)
    bonds = [(reader.number(), reader.number()) for _ in range(outs - 1)]
    packed = ins - len(bonds)
    if packed < 1:
        raise FormatError("a 7z folder that is fed from nothing")
    bound = {each for each, _ in bonds}
    fed = [index for index in range(ins) if index not in bound][:1] if packed == 1 else [reader.number() for _ in range(packed)]
    return Folder(coders=coders, bonds=bonds, packed=fed)


def _sub(reader: Reader, found: Streams) -> None:
    counts = [1] * len(found.folders)
    kind = reader.number()
    if kind == COUNT:
        counts = [reader.count() for _ in found.folders]
        kind = reader.number()
    if sum(counts) > reader.limit:
        raise FormatError("a 7z archive of too many streams")
    sizes: list[list[int]] = []
    for folder, count in zip(found.folders, counts, strict=True):
        some = [reader.number() for _ in range(count - 1)] if kind == SIZE and count else []
        rest = folder.size - sum(some) if count else 0
        if rest < 0 or (count > 1 and kind != SIZE):
            raise FormatError("7z streams greater than their folder")
        sizes.append([*some, rest] if count else [])
    kind = reader.number() if kind == SIZE else kind
    unknown = sum(
        count for folder, count in zip(found.folders, counts, strict=True) if not (count == 1 and folder.crc is not None)
    )
    crcs: Iterator[int | None] = iter(())
    while kind != END:
        if kind == CRC:
            crcs = iter(reader.crcs(unknown))
        else:
            raise FormatError(f"property {kind} among 7z substreams")
        kind = reader.number()
    for folder, some in zip(found.folders, sizes, strict=True):
        whole = len(some) == 1 and folder.crc is not None
        found.parts.append([(size, folder.crc if whole else next(crcs, None)) for size in some])


def files(reader: Reader) -> list[File]:
    """The file list; what it says of a file that this module does not read is passed over."""
    count = reader.count()
    found = [File() for _ in range(count)]
    empty: list[File] = []
    plain: list[bool] | None = None
    while (kind := reader.number()) != END:
        inner = Reader(reader.take(reader.number()), reader.limit)
        if kind == EMPTY_STREAM:
            for each, flag in zip(found, inner.bits(count), strict=True):
                each.stream = not flag
            empty = [each for each in found if not each.stream]
        elif kind == EMPTY_FILE:
            plain = inner.bits(len(empty))
        elif kind == ANTI:
            for each, flag in zip(empty, inner.bits(len(empty)), strict=True):
                each.anti = flag
        elif kind in (NAMES, MTIME, ATTRIBUTES):
            _properties(kind, inner, found)
    for index, each in enumerate(empty):
        each.directory = not (plain is not None and index < len(plain) and plain[index])
    return found


def _properties(kind: int, inner: Reader, found: list[File]) -> None:
    if kind == NAMES:
        if inner.byte():
            raise FormatError("7z names in an additional stream")
        names = inner.data[inner.at :].decode("utf-16-le", "replace").split("\0")
        for each, name in zip(found, names, strict=False):
            each.name = decoded(name.encode("utf-8", "replace"))
        return
    known = inner.defined(len(found))
    if inner.byte():
        raise FormatError("7z properties in an additional stream")
    for each, flag in zip(found, known, strict=True):
        if flag and kind == MTIME:
            each.mtime = max(0, int.from_bytes(inner.take(8), "little") // 10_000_000 - _EPOCH)
        elif flag:
            each.attributes = int.from_bytes(inner.take(4), "little")


def header(data: bytes, limit: int) -> Streams | tuple[Streams, list[File]]:
    """A header: packed (its streams), or plain (streams and files). Raises FormatError."""
    reader = Reader(data, limit)
    kind = reader.number()
    if kind == ENCODED:
        return streams(reader)
    if kind != HEADER:
        raise FormatError(f"a 7z header of kind {kind}")
    main, listed = Streams(), list[File]()
    while (kind := reader.number()) != END:
        if kind == ARCHIVE:
            while reader.number() != END:
                reader.take(reader.number())
        elif kind == _ADDITIONAL:
            streams(reader)
        elif kind == STREAMS:
            main = streams(reader)
        elif kind == FILES:
            listed = files(reader)
        else:
            raise FormatError(f"property {kind} in a 7z header")
    return main, listed
