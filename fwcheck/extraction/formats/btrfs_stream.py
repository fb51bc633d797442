"""btrfs send streams, little-endian: commands that, replayed, make a subvolume (btrfs documentation, dev-send-stream).

``btrfs-stream`` and a zero, version (1 or 2); then commands: length of the data, command (16 bits), CRC32C (begun with zero, not
inverted, over header with a zero in this field and data), data. Data are attributes: type (16 bits), length (16 bits), value; in
version 2 the attribute DATA is the last one and has no length. Command 21 ends the stream.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import msgspec
import zstandard

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import crc32c
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_MAGIC = b"btrfs-stream\0"
_COMMAND = struct.Struct("<IHI")
_ATTRIBUTE = struct.Struct("<HH")
_START = 17
# Commands
_SUBVOL, _SNAPSHOT, _MKFILE, _MKDIR, _MKNOD, _MKFIFO, _MKSOCK, _SYMLINK, _RENAME, _LINK, _UNLINK, _RMDIR = range(1, 13)
_WRITE, _CLONE, _TRUNCATE, _CHMOD, _CHOWN, _UTIMES, _END = range(15, 22)
_ENCODED = 25
_LAST = 27
# Attributes
_SIZE, _MODE, _UID, _GID, _RDEV = range(4, 9)
_MTIME, _PATH, _PATH_TO, _PATH_LINK, _OFFSET, _DATA = 10, 15, 16, 17, 18, 19
_FILE_LEN, _UNPACKED_LEN, _UNPACKED_OFFSET, _COMPRESSION = 27, 28, 29, 30
_LAST_ATTRIBUTE = 35
_ZLIB, _ZSTD = 1, 2
_UNPACKED_LIMIT = 1 << 20  # an encoded extent has at most 128 KiB
_OVERLAID_LIMIT = 64 << 20
_CHECKED = 4096  # bytes of a command whose checksum is recomputed
_CHECKED_TOTAL = 1 << 20
_DEPTH = 256
_TYPES = {_MKFIFO: 0o010644, _MKSOCK: 0o140755}

Attributes = dict[int, tuple[int, int]]


class _Extent(msgspec.Struct):
    at: int  # in the file
    size: int
    offset: int  # in the stream
    packed: int
    compression: int = 0
    skip: int = 0  # unpacked bytes in front of the wanted ones


class _Node(msgspec.Struct):
    kind: NodeKind
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: str | None = None
    device: str | None = None
    size: int = 0
    extents: list[_Extent] = []
    children: dict[bytes, _Node] = {}


class BtrfsStream(Format):
    """btrfs send stream."""

    name = "btrfs-stream"
    title = "btrfs send stream"
    specification = "btrfs documentation, dev-send-stream"
    category = "archive"
    reads = "versions 1 and 2: files, directories, links, devices, owners, modes, times; extents stored or packed with zlib, zstd"
    not_read = "cloned ranges, LZO extents; extended attributes; CRC32C of large commands; what a snapshot's parent has"
    signatures = (Signature(pattern=rb"btrfs-stream\x00[\x01\x02]\x00\x00\x00.{3}[\x00-\x03][\x01-\x1b]\x00", width=23),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, _START)
        version = int.from_bytes(head[13:], "little")
        if not head.startswith(_MAGIC) or version not in {1, 2}:
            raise FormatError("not a btrfs send stream")
        replay = _Replay(source, version, limits)
        end = replay.run(offset + _START)
        checked = "wrong" if replay.wrong else "right"
        return Container(
            format=self.name,
            size=end - offset,
            entries=_entries(source, replay.root, limits),
            detail={
                "version": version,
                "subvolume": replay.subvolume,
                "integrity": "checksum",
                "integrity_detail": f"CRC32C of {replay.checked} small commands {checked}; those of contents not recomputed",
            },
            problems=replay.problems,
        )


class _Replay:
    """The state of a subvolume while its commands are replayed."""

    def __init__(self, source: ByteSource, version: int, limits: Limits) -> None:
        self.source, self.version, self.limits = source, version, limits
        self.root = _Node(kind=NodeKind.DIRECTORY, mode=0o755)
        self.problems: list[str] = []
        self.subvolume = ""
        self.checked = self.wrong = self.nodes = 0
        self._budget = _CHECKED_TOTAL

    def run(self, at: int) -> int:
        """Replays from the first command; gives the end of the stream. Raises FormatError when the first is none."""
        first = at
        for _ in range(16 * self.limits.nodes):
            head = self.source.peek(at, _COMMAND.size)
            if len(head) < _COMMAND.size:
                break
            length, command, crc = _COMMAND.unpack(head)
            start = at + _COMMAND.size
            if not 0 < command <= _LAST or start + length > self.source.size:
                break
            self._check(head, start, length, crc)
            if self.wrong and at == first:
                raise FormatError("wrong CRC32C of the first command of a btrfs send stream")
            at = start + length
            if command == _END:
                return at
            self._command(command, start, length)
        if at == first:
            raise FormatError("a btrfs send stream without a command")
        note(self.problems, "the stream ends without its last command")
        return at

    def _check(self, head: bytes, start: int, length: int, crc: int) -> None:
        if length > _CHECKED or self._budget <= 0:
            return
        self._budget -= length + len(head)
        self.checked += 1
        if crc32c(head[:6] + bytes(4) + self.source.read(start, length), 0) != crc:
            self.wrong += 1
            note(self.problems, f"wrong CRC32C of the command at 0x{start - _COMMAND.size:x}")

    def _attributes(self, start: int, length: int) -> Attributes:
        found: Attributes = {}
        end = start + length
        while start + 2 <= end:
            kind = int.from_bytes(self.source.peek(start, 2), "little")
            if kind == _DATA and self.version > 1:
                found[kind] = (start + 2, end - start - 2)
                break
            size = int.from_bytes(self.source.peek(start + 2, 2), "little")
            start += _ATTRIBUTE.size
            if not 0 < kind <= _LAST_ATTRIBUTE or start + size > end:
                break
            found[kind] = (start, size)
            start += size
        return found

    def _bytes(self, found: Attributes, kind: int) -> bytes:
        at, size = found.get(kind, (0, 0))
        return self.source.peek(at, size)

    def _number(self, found: Attributes, kind: int, default: int = 0) -> int:
        return int.from_bytes(self._bytes(found, kind)[:8], "little") if kind in found else default

    def _parent(self, path: bytes) -> tuple[_Node, bytes] | None:
        """The directory of a path and its last name; None when there is none, or the path leaves the root."""
        *folders, name = [each for each in path.split(b"/") if each not in {b"", b"."}] or [b""]
        node = self.root
        if not name or b".." in (*folders, name) or b"\0" in path or len(folders) > _DEPTH:
            return None
        for folder in folders:
            below = node.children.get(folder)
            if below is None or below.kind is not NodeKind.DIRECTORY:
                return None
            node = below
        return node, name

    def _find(self, path: bytes) -> _Node | None:
        if not path.strip(b"/"):
            return self.root
        place = self._parent(path)
        return place[0].children.get(place[1]) if place else None

    def _put(self, path: bytes, node: _Node) -> None:
        place = self._parent(path)
        self.nodes += 1
        if place is None or self.nodes > self.limits.nodes:
            note(self.problems, f"{decoded(path)!r} has no place in the subvolume: left out")
            return
        place[0].children[place[1]] = node

    def _command(self, command: int, start: int, length: int) -> None:
        found = self._attributes(start, length)
        path = self._bytes(found, _PATH)
        if command in {_SUBVOL, _SNAPSHOT}:
            self.subvolume = "".join(each if each.isprintable() else "?" for each in decoded(path))
            if command == _SNAPSHOT:
                note(self.problems, "an incremental stream: what its parent has is not in it")
        elif command <= _SYMLINK:
            self._put(path, self._made(command, found))
        elif command in {_RENAME, _LINK, _UNLINK, _RMDIR}:
            self._move(command, path, found)
        elif (node := self._find(path)) is not None:
            self._change(command, node, found, path)

    def _made(self, command: int, found: Attributes) -> _Node:
        if command == _MKDIR:
            return _Node(kind=NodeKind.DIRECTORY, mode=0o755)
        if command == _SYMLINK:
            return _Node(kind=NodeKind.SYMLINK, mode=0o777, target=decoded(self._bytes(found, _PATH_LINK)))
        if command == _MKFILE:
            return _Node(kind=NodeKind.FILE, mode=0o644)
        mode, device = self._number(found, _MODE, _TYPES.get(command, 0o020600)), self._number(found, _RDEV)
        major, minor = device >> 8 & 0xFFF, device & 0xFF | device >> 12 & 0xFFF00
        name = device_name(mode, major, minor)
        return _Node(kind=NodeKind.DEVICE if name else NodeKind.FILE, mode=mode & 0o7777, device=name)

    def _move(self, command: int, path: bytes, found: Attributes) -> None:
        if command == _LINK:
            node = self._find(self._bytes(found, _PATH_LINK))
            if node is not None and node.kind is not NodeKind.DIRECTORY:
                self._put(path, node)
            return
        place = self._parent(path)
        node = place[0].children.pop(place[1], None) if place else None
        if command == _RENAME and node is not None:
            self.nodes -= 1
            self._put(self._bytes(found, _PATH_TO), node)

    def _change(self, command: int, node: _Node, found: Attributes, path: bytes) -> None:
        if command in {_WRITE, _ENCODED} and _DATA in found:
            self._write(node, found)
        elif command == _CLONE:
            note(self.problems, f"{decoded(path)!r}: a range cloned from another file is not read: zeros stand for it")
        elif command == _TRUNCATE:
            node.size = self._number(found, _SIZE)
            node.extents = [each for each in node.extents if each.at < node.size]
            for each in node.extents:
                each.size = min(each.size, node.size - each.at)
        elif command == _CHMOD:
            node.mode = self._number(found, _MODE) & 0o7777
        elif command == _CHOWN:
            node.uid, node.gid = self._number(found, _UID) & 0xFFFFFFFF, self._number(found, _GID) & 0xFFFFFFFF
        elif command == _UTIMES:
            node.mtime = self._number(found, _MTIME)

    def _write(self, node: _Node, found: Attributes) -> None:
        offset, packed = found[_DATA]
        extent = _Extent(at=self._number(found, _OFFSET), size=packed, offset=offset, packed=packed)
        if _FILE_LEN in found:
            extent.size, extent.compression = self._number(found, _FILE_LEN), self._number(found, _COMPRESSION)
            extent.skip = self._number(found, _UNPACKED_OFFSET)
            if extent.size > _UNPACKED_LIMIT or extent.skip > _UNPACKED_LIMIT:
                note(self.problems, "an encoded extent of implausible size is left out")
                return
        node.extents.append(extent)
        node.size = max(node.size, extent.at + extent.size)


def _entries(source: ByteSource, root: _Node, limits: Limits) -> Iterator[Entry]:
    waiting = [("", root)]
    while waiting:
        path, node = waiting.pop()
        for name, child in node.children.items():
            below = f"{path}/{decoded(name)}"
            yield _entry(source, below, child, limits)
            if child.children:
                waiting.append((below, child))


def _entry(source: ByteSource, path: str, node: _Node, limits: Limits) -> Entry:
    entry = Entry(
        path=path, kind=node.kind, mode=node.mode, uid=node.uid, gid=node.gid, mtime=node.mtime, target=node.target,
        device=node.device,
    )  # fmt: skip
    if node.kind is NodeKind.FILE:
        entry.size = node.size
        entry.locality = node.extents[0].offset if node.extents else 0
        entry.open = partial(_content, source, node.extents, node.size, limits)
    return entry


def _content(source: ByteSource, extents: list[_Extent], size: int, limits: Limits) -> ByteSource:
    if size > limits.bytes_stream:
        raise FormatError(f"a file of {size} bytes is larger than one content may be")
    if any(each.compression for each in extents) or any(
        after.at < before.at + before.size for before, after in pairwise(extents)
    ):
        return _overlaid(source, extents, size, limits)
    pieces: list[ByteSource | int] = []
    at = 0
    for each in extents:
        length = min(each.size, size - each.at)
        pieces += [each.at - at, source.window(each.offset, length)]
        at = each.at + length
    return Joined([*pieces, size - at])


def _overlaid(source: ByteSource, extents: list[_Extent], size: int, limits: Limits) -> ByteSource:
    """Extents that are packed, or that later ones overwrite, are laid over each other."""
    if size > min(_OVERLAID_LIMIT, max(limits.ratio_floor, sum(each.packed for each in extents) * limits.ratio)):
        raise FormatError(f"a file of {size} bytes with packed or overwritten extents is not read")
    data = bytearray(size)
    for each in extents:
        plain = _unpacked(source.read(each.offset, each.packed), each)
        plain = plain[each.skip : each.skip + each.size][: max(size - each.at, 0)]
        data[each.at : each.at + len(plain)] = plain
    return spool(bounded([bytes(data)], max(size, 1), limits))


def _unpacked(raw: bytes, extent: _Extent) -> bytes:
    wanted = extent.skip + extent.size
    try:
        if not extent.compression:
            return raw
        if extent.compression == _ZLIB:
            return zlib.decompressobj().decompress(raw, wanted)
        if extent.compression == _ZSTD:
            return zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(raw).read(wanted)
    except (zlib.error, zstandard.ZstdError) as error:
        raise FormatError(f"broken extent: {error}") from error
    raise FormatError(f"an extent packed with method {extent.compression} is not read")


FORMATS = (BtrfsStream(),)
