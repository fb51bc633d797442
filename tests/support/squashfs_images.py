"""Writes SquashFS images of versions 1 to 4 in both byte orders, for what no packaged tool writes any more.

Each record is given as (value, width in bits) in the order of ``squashfs_fs.h`` and ``squashfs_compat.h``; bit-fields fill from
the low end on little-endian makers and from the high end on big-endian ones. Debian's unsquashfs judges the result.
"""

from __future__ import annotations

import lzma
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.squashfs import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(SQUASHFS,) = FORMATS

Compress = Callable[[bytes], bytes]

METADATA = 8192
NONE_32, NONE_64 = (1 << 32) - 1, (1 << 64) - 1


class Link(NamedTuple):
    target: str


class Device(NamedTuple):
    kind: int  # 4 block, 5 character, 6 FIFO, 7 socket
    rdev: int = 0


class Same(NamedTuple):
    """A hard link to another path."""

    path: str


Member = bytes | Link | Device | Same


class Writer:
    """One image; ``build`` gives its bytes. ``names`` may be overridden to lie about directories."""

    def __init__(
        self, members: Mapping[str, Member], version: int, order: str, *, compress: Compress = zlib.compress,
        block_log: int = 15, magic: bytes | None = None, fragments: bool = True, compression: int = 1, marker: bool = False,
    ) -> None:  # fmt: skip
        self.members, self.version, self.order, self.compress = dict(members), version, order, compress
        self.block_log, self.block = block_log, 1 << block_log
        self.magic = magic or (b"hsqs" if order == "little" else b"sqsh")
        self.with_fragments = fragments and version >= 2
        self.compression, self.marker = compression, marker and version < 4
        self.data = bytearray()
        self.tail = bytearray()
        self.fragments: list[tuple[int, int]] = []
        self.inodes = _Table(self)
        self.directories = _Table(self)
        self.places: dict[str, tuple[int, int, int, int]] = {}  # path to block, offset, type, number
        self.header = {1: 51, 2: 63, 3: 119, 4: 96}[version]

    def pack(self, *fields: tuple[int, int]) -> bytes:
        bits = sum(width for _, width in fields)
        value = low = 0
        for number, width in fields:
            value |= (number & ((1 << width) - 1)) << (low if self.order == "little" else bits - low - width)
            low += width
        return value.to_bytes(bits // 8, self.order)  # type: ignore[arg-type]

    def build(self) -> bytes:
        paths = {"/" + "/".join(parts[:n]) for parts in map(_parts, self.members) for n in range(len(parts))}
        for path, member in self.members.items():
            if isinstance(member, bytes):
                self._file(path, member)
            elif not isinstance(member, Same):
                self._special(path, member)
        self._flush_tail()
        for path, member in self.members.items():
            if isinstance(member, Same):
                self.places[path] = self.places[member.path]
        for path in sorted(paths, key=lambda each: (-len(_parts(each)), each)):
            self._directory(path)
        return self._assemble()

    def _base(self, kind: int, mode: int) -> list[tuple[int, int]]:
        number = self.number()
        if self.version == 4:
            return [(kind, 16), (mode, 16), (0, 16), (1, 16), (1_000_000, 32), (number, 32)]
        if self.version == 3:
            return [(kind, 4), (mode, 12), (0, 8), (0, 8), (1_000_000, 32), (number, 32)]
        return [(kind, 4), (mode, 12), (0, 8), (0, 8)] if self.version == 2 else [(kind, 4), (mode, 12), (0, 4), (0, 4)]

    def number(self) -> int:
        """The next inode's number; hard links have none of their own."""
        return len({place[:2] for place in self.places.values()}) + 1

    def _links(self) -> list[tuple[int, int]]:
        return [(1, 32)] if self.version >= 3 else []

    def _add(self, path: str, kind: int, record: bytes) -> None:
        block, offset = self.inodes.append(record)
        self.places[path] = (block, offset, kind, self.number())

    def _stored(self, raw: bytes) -> tuple[bytes, int]:
        if not raw.strip(b"\0") and self.version > 1 and len(raw) == self.block:
            return b"", 0
        packed = self.compress(raw)
        return (packed, len(packed)) if len(packed) < len(raw) else (raw, len(raw) | 1 << 24)

    def _file(self, path: str, content: bytes) -> None:
        start = self.header + len(self.data)
        words, fragment, offset = [], NONE_32, 0
        for at in range(0, len(content), self.block):
            raw = content[at : at + self.block]
            if len(raw) < self.block and self.with_fragments:
                fragment, offset = self._fragment(raw)
                continue
            packed, word = self._stored(raw)
            self.data += packed
            words.append(word)
        size = len(content)
        base = self._base(2, 0o644)
        if self.version == 4:
            record = self.pack(*base, (start, 32), (fragment, 32), (offset, 32), (size, 32))
        elif self.version == 3:
            record = self.pack(*base, (start, 64), (fragment, 32), (offset, 32), (size, 32))
        elif self.version == 2:
            record = self.pack(*base, (2_000_000, 32), (start, 32), (fragment, 32), (offset, 32), (size, 32))
        else:
            record = self.pack(*base, (2_000_000, 32), (start, 32), (size, 32))
        if self.version == 1:
            sizes = b"".join(self.pack((word & 0x7FFF | (word >> 24) << 15, 16)) for word in words)
        else:
            sizes = b"".join(self.pack((word, 32)) for word in words)
        self._add(path, 2, record + sizes)

    def _fragment(self, raw: bytes) -> tuple[int, int]:
        if len(self.tail) + len(raw) > self.block:
            self._flush_tail()
        offset = len(self.tail)
        self.tail += raw
        return len(self.fragments), offset

    def _flush_tail(self) -> None:
        if self.tail:
            packed, word = self._stored(bytes(self.tail))
            self.fragments.append((self.header + len(self.data), word))
            self.data += packed
            self.tail.clear()

    def _special(self, path: str, member: Link | Device) -> None:
        if isinstance(member, Link):
            target = member.target.encode()
            record = self.pack(*self._base(3, 0o777), *self._links(), (len(target), 32 if self.version == 4 else 16)) + target
            self._add(path, 3, record)
        elif member.kind in (4, 5):
            rdev = (member.rdev, 32 if self.version == 4 else 16)
            self._add(path, member.kind, self.pack(*self._base(member.kind, 0o600), *self._links(), rdev))
        elif self.version == 1:
            self._add(path, member.kind, self.pack(*self._base(0, 0o600), (member.kind, 4), (0, 4)))
        else:
            self._add(path, member.kind, self.pack(*self._base(member.kind, 0o600), *self._links()))

    def names(self, path: str) -> list[tuple[bytes, str]]:
        """The names in a directory and the paths they stand for."""
        depth = len(_parts(path)) + 1
        prefix = path.rstrip("/") + "/"
        return sorted(
            (_parts(each)[-1].encode(), each) for each in self.places if each.startswith(prefix) and len(_parts(each)) == depth
        )

    def _directory(self, path: str) -> None:
        runs: list[list[tuple[bytes, tuple[int, int, int, int]]]] = []
        for name, where in self.names(path):
            place = self.places[where]
            if not runs or len(runs[-1]) == 256 or runs[-1][0][1][0] != place[0]:
                runs.append([])
            runs[-1].append((name, place))
        listing = b"".join(self._run(run) for run in runs)
        start, offset = self.directories.append(listing)
        size = len(listing) + (3 if self.version >= 3 else 0)
        base = self._base(1, 0o755)
        if self.version == 4:
            record = self.pack(*base, (start, 32), (2, 32), (size, 16), (offset, 16), (0, 32))
        elif self.version == 3:
            record = self.pack(*base, (2, 32), (size, 19), (offset, 13), (start, 32), (0, 32))
        else:
            record = self.pack(*base, (size, 19), (offset, 13), (3_000_000, 32), (start, 24))
        self._add(path, 1, record)

    def _run(self, run: list[tuple[bytes, tuple[int, int, int, int]]]) -> bytes:
        block, _, _, first = run[0][1]
        count = len(run) - 1
        if self.version == 4:
            out = self.pack((count, 32), (block, 32), (first, 32))
        else:
            out = self.pack((count, 8), (block, 32), (first, 32)) if self.version == 3 else self.pack((count, 8), (block, 24))
        for name, (_, offset, kind, number) in run:
            if self.version == 4:
                out += self.pack((offset, 16), (number - first, 16), (kind, 16), (len(name) - 1, 16))
            else:
                difference = [(number - first, 16)] if self.version == 3 else []
                out += self.pack((offset, 13), (kind, 3), (len(name) - 1, 8), *difference)
            out += name
        return out

    def _assemble(self) -> bytes:
        v = self.version
        body = bytearray(self.data)
        at = {"inodes": self.header + len(body)}
        body += self.inodes.finish()
        at["directories"] = self.header + len(body)
        body += self.directories.finish()
        entries = b"".join(self.pack((start, 64 if v >= 3 else 32), (word, 32), *([(0, 32)] if v >= 3 else []))
                           for start, word in self.fragments)  # fmt: skip
        at["fragments"] = self._indexed(body, entries)
        ids = self.pack((7, 32), (8, 32))
        at["users"] = self._indexed(body, ids) if v == 4 else self.header + len(body)
        if v < 4:
            body += ids
        at["groups"] = at["users"] + 4
        size = self.header + len(body)
        return self._superblock(at, size) + bytes(body)

    def _indexed(self, body: bytearray, table: bytes) -> int:
        """A table of metadata blocks and the pointers to them; gives where the pointers lie."""
        pointers = []
        for each in range(0, len(table), METADATA):
            pointers.append(self.header + len(body))
            body += self.metadata(table[each : each + METADATA])
        start = self.header + len(body)
        body += b"".join(self.pack((each, 64 if self.version >= 3 else 32)) for each in pointers)
        return start

    def metadata(self, raw: bytes) -> bytes:
        packed = self.compress(raw)
        word, stored = (len(packed), packed) if len(packed) < len(raw) else (len(raw) | 1 << 15, raw)
        return self.pack((word, 16)) + (b"\xff" if self.marker else b"") + stored

    def _superblock(self, at: dict[str, int], size: int) -> bytes:
        block, offset, _, _ = self.places["/"]
        root, count = block << 16 | offset, len({place[:2] for place in self.places.values()})
        if self.version == 4:
            fields = [(count, 32), (1_500_000_000, 32), (self.block, 32), (len(self.fragments), 32), (self.compression, 16)]
            fields += [(self.block_log, 16), (0, 16), (2, 16), (4, 16), (0, 16), (root, 64), (size, 64), (at["users"], 64)]
            fields += [(NONE_64, 64), (at["inodes"], 64), (at["directories"], 64), (at["fragments"], 64), (NONE_64, 64)]
            return self.magic + self.pack(*fields)
        old = self.version < 3
        fields = [
            (count, 32),
            *((each if old else 0, 32) for each in (size, at["users"], at["groups"], at["inodes"], at["directories"])),
        ]
        fields += [(self.version, 16), (0, 16), (self.block, 16), (self.block_log, 16), (4 if self.marker else 0, 8)]
        fields += [(1, 8), (1, 8), (1_500_000_000, 32), (root, 64)]
        if self.version >= 2:
            fields += [(self.block, 32), (len(self.fragments), 32), (at["fragments"] if old else 0, 32)]
        if self.version == 3:
            fields += [(size, 64), (at["users"], 64), (at["groups"], 64), (at["inodes"], 64), (at["directories"], 64)]
            fields += [(at["fragments"], 64), (NONE_64, 64)]
        return self.magic + self.pack(*fields)


class _Table:
    """A run of metadata blocks that is still growing."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.done, self.open = writer, bytearray(), bytearray()

    def append(self, record: bytes) -> tuple[int, int]:
        place = len(self.done), len(self.open)
        self.open += record
        while len(self.open) >= METADATA:
            self.done += self.writer.metadata(bytes(self.open[:METADATA]))
            del self.open[:METADATA]
        return place

    def finish(self) -> bytes:
        return bytes(self.done) + (self.writer.metadata(bytes(self.open)) if self.open else b"")


def _parts(path: str) -> list[str]:
    return [each for each in path.split("/") if each]


def members(seed: int = 5, files: int = 60) -> dict[str, Member]:
    chance = random.Random(seed)
    made: dict[str, Member] = {
        f"/d{n // 40}/file{n:03}": bytes(chance.choices(b"abcdef \n", k=chance.choice([0, 3, 500, 5000, 40000])))
        for n in range(files)
    }
    made |= {"/hole": b"x" * 32768 + bytes(65536) + b"end", "/noise": chance.randbytes(70_000), "/empty": b""}
    made |= {"/dev/console": Device(5, 0x501), "/dev/mtdblock0": Device(4, 0x1F00), "/dev/pipe": Device(6)}
    made |= {"/dev/socket": Device(7), "/link": Link("d0/file000"), "/d0/same": Same("/d0/file003")}
    return made


def lzma_raw(raw: bytes, lc: int, lp: int, pb: int) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": lc, "lp": lp, "pb": pb}]
    return lzma.compress(raw, lzma.FORMAT_RAW, filters=filters)


def properties(lc: int, lp: int, pb: int) -> bytes:
    return bytes([(pb * 5 + lp) * 9 + lc])


def lzma_13(raw: bytes) -> bytes:
    return properties(1, 2, 2) + struct.pack("<IQ", 1 << 17, len(raw)) + lzma_raw(raw, 1, 2, 2)


def lzma_unknown_size(raw: bytes) -> bytes:
    return properties(3, 0, 2) + struct.pack("<Iq", 1 << 17, -1) + lzma_raw(raw, 3, 0, 2)


def lzma_5(raw: bytes) -> bytes:
    return properties(1, 2, 2) + struct.pack(">I", 1) + lzma_raw(raw, 1, 2, 2)


def lzma_4(raw: bytes) -> bytes:
    lc, lp, pb = random.Random(len(raw)).choice([(3, 0, 2), (0, 2, 0), (2, 1, 0), (0, 0, 1)])
    return bytes([pb, lc, lp, 128]) + lzma_raw(raw, lc, lp, pb)


def lzma_stripped(raw: bytes) -> bytes:
    return lzma_raw(raw, 3, 0, 2)


def lzma_stripped_oddly(raw: bytes) -> bytes:
    return lzma_raw(raw, 0, 2, 1)


def lzma_prefixed(raw: bytes) -> bytes:
    return b"7zip" + b"\x77" * 5 + lzma_raw(raw, 2, 1, 1)


def better_of_two(raw: bytes) -> bytes:
    return min(zlib.compress(raw), lzma_13(raw), key=lambda packed: (len(packed) ^ len(raw) * 7) % 13)


def opened(data: bytes, offset: int = 0, limits: Limits | None = None) -> tuple[Container, dict[str, Entry]]:
    container = SQUASHFS.open(Memory(data), offset, limits or Limits())
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def contents(data: bytes) -> dict[str, bytes]:
    """Every file that can be read."""
    found = {}
    for path, entry in opened(data)[1].items():
        if entry.kind is NodeKind.FILE:
            try:
                found[path] = content(entry)
            except ExtractionError:
                continue
    return found
