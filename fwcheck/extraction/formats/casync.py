"""casync: archives (``.catar``) and indexes of chunks (``.caibx``, ``.caidx``).

Layout (casync, src/caformat.h): records of size (64 bits, header counted), type (64 bits) and data, little-endian. An archive is
an ENTRY (mode, flags, owner, group, time in nanoseconds) with records of more metadata; a PAYLOAD for a file; for a directory a
FILENAME and an archive of each child, and GOODBYE at its end. An index is one record of flags and chunk sizes, and a table of
(end of the chunk, its SHA-256 or SHA-512/256) with a tail that repeats where the table lies.
"""

from __future__ import annotations

import struct
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_RECORD = struct.Struct("<QQ")
_ENTRY, _FILENAME, _PAYLOAD, _SYMLINK, _DEVICE, _GOODBYE = (
    0x1396FABCEA5BBB51, 0x6DBB6EBCB3161F0B, 0x8B9E1D93D6DCFFC9, 0x664A6FB6830E0D6C, 0xAC3DACE369DFE643, 0xDFD35C5E8327C403,
)  # fmt: skip
_INDEX, _TABLE, _TAIL = 0x96824D9C7B129FF9, 0xE75B9E112F17417D, 0x4B4F050E5549ECD1
_ENTRY_SIZE, _INDEX_SIZE, _ITEM = 64, 48, 40
_METADATA = 1 << 20  # bytes of a record that is not content
_DEPTH = 256
_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}
_SHA512 = 1 << 61  # feature flag: digests are SHA-512/256


class CasyncIndex(Format):
    """An index: it names chunks that lie in a store elsewhere."""

    name = "casync-index"
    title = "casync index (caibx, caidx)"
    specification = "casync, src/caformat.h"
    category = "update bundle"
    reads = "chunk sizes, number of chunks, size of what they make up; table and tail checked against each other"
    not_read = "the chunks, which lie in a store outside the image"
    signatures = (Signature(pattern=rb"\x30\x00{7}\xf9\x9f\x12\x7b\x9c\x4d\x82\x96", width=16),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        size, kind, flags, least, mean, most = struct.unpack("<6Q", source.read(offset, _INDEX_SIZE))
        table, table_kind = _RECORD.unpack(source.read(offset + _INDEX_SIZE, _RECORD.size))
        if (size, kind, table_kind) != (_INDEX_SIZE, _INDEX, _TABLE) or table != (1 << 64) - 1 or not least <= mean <= most:
            raise FormatError("no casync index")
        begin = offset + _INDEX_SIZE + _RECORD.size
        chunks, last = _chunks(source, begin, limits)
        end = begin + _ITEM * (chunks + 1)
        zero, more, at, length, mark = struct.unpack("<5Q", source.read(end - _ITEM, _ITEM))
        if (zero, more, at, mark) != (0, 0, _INDEX_SIZE, _TAIL) or length != end - offset - _INDEX_SIZE:
            raise FormatError("a casync index whose tail contradicts it")
        entry = part(source, "table", begin, _ITEM * chunks)
        entry.role = "meta"
        detail: dict[str, str | int] = {
            "chunks": chunks, "content_size": last, "chunk_size": f"{least}-{mean}-{most}", "integrity": "hash",
            "integrity_detail": f"{'SHA-512/256' if flags & _SHA512 else 'SHA-256'} of each chunk (chunks are not in the image)",
        }  # fmt: skip
        return Container(format=self.name, size=end - offset, entries=[entry] if chunks else [], detail=detail)


def _chunks(source: ByteSource, begin: int, limits: Limits) -> tuple[int, int]:
    """The number of chunks, and where the last one ends in what they make up."""
    count = last = 0
    step = 4096 * _ITEM
    for at in range(begin, source.size, step):
        raw = source.peek(at, step)
        for (end,) in struct.iter_unpack("<Q32x", raw[: len(raw) - len(raw) % _ITEM]):
            if end == 0:
                return count, last
            if end <= last:
                raise FormatError("a casync index whose chunks go backwards")
            count, last = count + 1, end
        if limits.meter is not None:
            limits.meter.check()
    raise FormatError("a casync index without an end")


class Catar(Format):
    """An archive with all its members."""

    name = "catar"
    title = "casync archive (catar)"
    specification = "casync, src/caformat.h"
    category = "archive"
    reads = "files, directories, links, devices with mode, owner and time"
    not_read = "extended attributes, ACLs, user and group names are passed over; the hash tables of directories"
    signatures = (Signature(pattern=rb"\x40\x00{7}\x51\xbb\x5b\xea\xbc\xfa\x96\x13", width=16),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        walk = _Walk(source, limits)
        end = walk.run(offset)
        detail: dict[str, str | int] = {"members": len(walk.entries)}
        return Container(format=self.name, size=end - offset, entries=walk.entries, detail=detail, problems=walk.problems)


class _Walk:
    """The records of an archive in order; ``stack`` holds the names of the directories that are open."""

    def __init__(self, source: ByteSource, limits: Limits) -> None:
        self._source = source
        self._limit = limits.nodes
        self.entries: list[Entry] = []
        self.problems: list[str] = []
        self._stack: list[str] = []
        self._name = ""

    def run(self, at: int) -> int:
        begin = at
        while len(self.entries) <= self._limit:
            head = self._source.peek(at, _RECORD.size)
            size, kind = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, 0)
            if size < _RECORD.size or (at == begin and (size, kind) != (_ENTRY_SIZE, _ENTRY)):
                if at == begin:
                    raise FormatError("no casync archive")
                note(self.problems, "the archive breaks off")
                return at
            if at + size > self._source.size:
                if at == begin:
                    raise FormatError("no casync archive")
                note(self.problems, "the last record reaches beyond the end")
                return self._source.size
            done = self._record(kind, at + _RECORD.size, size - _RECORD.size)
            at += size
            if done:
                return at
        note(self.problems, "too many members: the listing was cut short")
        return at

    def _record(self, kind: int, at: int, size: int) -> bool:
        """Takes one record; gives whether it was the last one."""
        if kind == _ENTRY:
            self._entry(self._source.read(at, 48) if size >= 48 else bytes(48))
        elif kind == _FILENAME and size <= _METADATA:
            self._name = decoded(self._source.read(at, size).split(b"\0", 1)[0]).replace("/", "?")
        elif kind == _PAYLOAD:
            entry = self.entries[-1]
            entry.size, entry.offset, entry.locality = size, at, at
            entry.open = partial(self._source.window, at, size)
            return not self._stack
        elif kind == _SYMLINK and size <= _METADATA:
            self.entries[-1].target = decoded(self._source.read(at, size).split(b"\0", 1)[0])
            return not self._stack
        elif kind == _DEVICE and size >= 16:
            major, minor = struct.unpack("<QQ", self._source.read(at, 16))
            entry = self.entries[-1]
            if entry.device in ("c 0:0", "b 0:0"):
                entry.device = f"{entry.device[0]} {major}:{minor}"
        elif kind == _GOODBYE:
            if self._stack:
                self._stack.pop()
            return not self._stack
        return False

    def _entry(self, raw: bytes) -> None:
        _, mode, _, uid, gid, mtime = struct.unpack("<6Q", raw)
        path, _ = member_path("/".join([*self._stack, self._name]))
        kind = _KINDS.get(mode & 0o170000, NodeKind.DEVICE)
        if kind is NodeKind.DIRECTORY:
            if len(self._stack) >= _DEPTH:
                raise FormatError(f"directories nested deeper than {_DEPTH}")
            self._stack.append(self._name)
        self.entries.append(
            Entry(
                path=path, kind=kind, mode=mode & 0o7777, uid=uid & 0xFFFFFFFF, gid=gid & 0xFFFFFFFF,
                mtime=mtime // 1_000_000_000, device=device_name(mode, 0, 0) if kind is NodeKind.DEVICE else None,
            )
        )  # fmt: skip


FORMATS = (CasyncIndex(), Catar())
