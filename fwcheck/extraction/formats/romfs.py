"""romfs: a chain of file headers on a grid of sixteen bytes, always big-endian, nothing packed.

Layout: Linux kernel documentation, ``filesystems/romfs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from struct import Struct, unpack

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

MAGIC = b"-rom1fs-"
NAME_LIMIT = 1024
HARD_LINK, DIRECTORY, FILE, SYMLINK, BLOCK_DEVICE, CHARACTER_DEVICE, SOCKET, FIFO = range(8)
EXECUTABLE = 8

_MODES = {BLOCK_DEVICE: 0o060000, CHARACTER_DEVICE: 0o020000, SOCKET: 0o140000, FIFO: 0o010000}
_HEADER = Struct(">IIII")  # next header with type and executable bit, specific value, size, checksum


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """One file header; ``data`` is where the content begins, ``next`` 0 for the last of a directory."""

    at: int
    next: int
    type: int
    executable: bool
    value: int
    size: int
    name: str
    data: int
    sound: bool


class FileSystem:
    """A validated file system."""

    def __init__(self, source: ByteSource, offset: int) -> None:
        raw = source.peek(offset, 512)
        if len(raw) < 32 or raw[:8] != MAGIC:
            raise FormatError("no romfs header")
        claimed = int.from_bytes(raw[8:12], "big")
        if claimed < 32 or _sum(raw[: min(512, claimed)]):
            raise FormatError("the checksum of the romfs header is wrong")
        self.problems: list[str] = []
        self.offset = offset
        self.size = min(claimed, source.size - offset)
        if claimed > self.size:
            note(self.problems, f"the file system claims {claimed} bytes, {self.size} are there")
        self.source = source.window(offset, self.size)
        self.volume, self.first = self._name(16)

    def _name(self, at: int) -> tuple[str, int]:
        """A name and the offset behind its padding."""
        raw = self.source.peek(at, NAME_LIMIT)
        length = raw.find(b"\0")
        if length < 0:
            raise FormatError("a romfs name without an end")
        return decoded(raw[:length]), at + (length + 16 & ~15)

    def header(self, at: int) -> Header:
        """The header at ``at``; raises FormatError outside the file system."""
        word, value, size, _ = _HEADER.unpack(self.source.read(at, 16))
        name, data = self._name(at + 16)
        return Header(
            at=at, next=word & ~15, type=word & 7, executable=bool(word & EXECUTABLE), value=value, size=size, name=name,
            data=data, sound=not _sum(self.source.read(at, min(data, self.size) - at)),
        )  # fmt: skip

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first; chains that loop end where they meet themselves."""
        pending, seen = [("", self.first)], set[int]()
        while pending:
            path, at = pending.pop()
            try:
                while at and at not in seen:
                    seen.add(at)
                    one = self.header(at)
                    if one.name not in (".", ".."):
                        entry = self._entry(path, one)
                        if entry.kind is NodeKind.DIRECTORY and one.type == DIRECTORY:
                            pending.append((entry.path, one.value & ~15))
                        yield entry
                    at = one.next
            except FormatError as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _entry(self, path: str, one: Header) -> Entry:
        if "/" in one.name or not one.name:
            raise FormatError(f"an impossible name {one.name!r}")
        path = f"{path}/{one.name}"
        if not one.sound:
            note(self.problems, f"{path}: the checksum of its header is wrong")
        entry = Entry(path=path, mode=0o755 if one.executable or one.type == DIRECTORY else 0o644, locality=self.offset + one.at)
        target = one
        if one.type == HARD_LINK:
            target = self.header(one.value & ~15)
            entry.detail = {"link": target.name}
            entry.mode = 0o755 if target.executable else 0o644
        if target.type == FILE:
            entry.size, entry.offset = target.size, self.offset + target.data if target.size else None
            entry.open = partial(self.source.window, target.data, target.size)
        elif target.type in (DIRECTORY, HARD_LINK):
            entry.kind = NodeKind.DIRECTORY
        elif target.type == SYMLINK:
            entry.kind, entry.mode = NodeKind.SYMLINK, 0o777
            entry.target = decoded(self.source.read(target.data, min(target.size, 4096)))
        else:
            entry.kind = NodeKind.DEVICE
            entry.device = device_name(_MODES[target.type], target.value >> 16, target.value & 0xFFFF)
        return entry


def _sum(raw: bytes) -> int:
    """The sum of big-endian words modulo 2**32: zero over whatever carries its own checksum."""
    raw = raw[: len(raw) & ~3]
    words: tuple[int, ...] = unpack(f">{len(raw) // 4}I", raw)
    return sum(words) & 0xFFFFFFFF


class Romfs(Format):
    """The ROM file system of uClinux devices."""

    name = "romfs"
    title = "romfs"
    specification = "Linux kernel documentation, filesystems/romfs"
    category = "file system"
    reads = "files, directories, hard and symbolic links, devices, sockets, pipes; checksums of the volume and of each header"
    not_read = ""
    signatures = (Signature(pattern=MAGIC, width=8),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset)
        detail: dict[str, str | int] = {
            "label": system.volume,
            "integrity": "checksum",
            "integrity_detail": "sum over the first 512 bytes right; file contents have none",
        }
        return Container(format=self.name, size=system.size, entries=system.walk(), detail=detail, problems=system.problems)


FORMATS = (Romfs(),)
