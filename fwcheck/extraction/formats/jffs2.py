"""JFFS2 in both byte orders: a log of nodes, of which the newest valid version of each holds.

Layout: Linux kernel, ``include/uapi/linux/jffs2.h``; semantics: D. Woodhouse, "JFFS: The Journalling Flash File System".
There is no superblock: the file system is the run of valid nodes, and ends where its erase block does.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from heapq import heappop, heappush
from math import gcd
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._jffs2_codecs import COPY, NAMES, NONE, ZERO, unpack
from fwcheck.extraction.formats._jffs2_xattrs import XATTR, XREF, Attributes
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

ROOT = 1
ACCURATE = 0x2000  # cleared when a node is made obsolete
DIRENT, INODE, CLEANMARKER = 0xE001, 0xE002, 0x2003
KNOWN = frozenset({DIRENT, INODE, CLEANMARKER, 0x2004, 0x2006, XATTR, XREF})  # padding, summary
DIRENT_SIZE, INODE_SIZE = 40, 68
NODE_LIMIT = 4 << 20  # bytes of one node, and of what it unpacks to: no kernel writes more than a page, no tool near this
DIRTY_LIMIT = 64 << 10  # bytes without a valid node that end the file system, unless they are erased
ERASE_BLOCK = 64 << 10  # when nothing tells: mkfs.jffs2's own default
STEP = 64 << 10
ZEROS = bytes(STEP)
ERASED = b"\xff" * STEP

_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}


class Inode(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an inode, with one piece of its content. ``data`` is where the packed bytes lie in the source."""

    version: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    begin: int
    packed: int
    unpacked: int
    method: int
    data: int


class Dirent(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a name in a directory; inode 0 takes the name away."""

    version: int
    inode: int
    type: int


def crc(data: bytes | memoryview) -> int:
    """The kernel's ``crc32(0, data)``: neither begun nor ended with an inversion."""
    return zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF


class Log:
    """The nodes from ``offset`` on."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.order = {b"\x85\x19": "<", b"\x19\x85": ">"}.get(source.peek(offset, 2), "")
        if not self.order:
            raise FormatError("no JFFS2 node")
        self._magic = source.read(offset, 2)
        self._header = Struct(self.order + "HHII")
        self._dirent = Struct(self.order + "12xIIIIBBxxII")
        self._inode = Struct(self.order + "12xIIIHHIIIIIIIBBHII")
        self.inodes: dict[int, list[Inode]] = {}
        self.names: dict[int, dict[bytes, Dirent]] = {}
        self.problems: list[str] = []
        self.count = self.obsolete = 0
        self.methods: Counter[int] = Counter()
        self.attributes = Attributes(self.order, crc)
        self._markers: list[int] = []
        self._seen: dict[tuple[int, int, int], int] = {}
        self.broken = 0
        self.offset = offset
        self.end = self._scan(offset)
        if self.end == offset:
            raise FormatError("no JFFS2 node")
        if self.broken:
            note(self.problems, f"{self.broken} nodes have a wrong checksum and were left out, as a mount would")

    def _scan(self, at: int) -> int:
        """Reads nodes until something else begins; the end of the last one. Raises FormatError when the first is none."""
        end, dirty = at, None
        while at + 12 <= self.source.size:
            head = self.source.read(at, 12)
            size = self._node(at, head)
            if size < 0:
                break
            if size:
                at = end = min(at + (size + 3 & ~3), self.source.size)
                dirty = None
                continue
            if at == self.offset:
                raise FormatError("the checksum of the first JFFS2 node is wrong")
            if head[:4] == b"\xff\xff\xff\xff":
                at = self._erased(at)
                continue
            dirty = at if dirty is None else dirty
            found = self._next(at + 4, dirty + DIRTY_LIMIT)
            if found is None:
                break
            at = found
        return end

    def _erased(self, at: int) -> int:
        """The next place, on the grid of four bytes, that is not erased."""
        while (chunk := self.source.peek(at, STEP)) == ERASED:
            at += STEP
        match = re.search(rb"[^\xff]", chunk)
        return at + (match.start() & ~3 if match else len(chunk))

    def _next(self, at: int, until: int) -> int | None:
        """The next magic on the grid."""
        data = self.source.peek(at, min(until - at, DIRTY_LIMIT)) if until > at else b""
        found = data.find(self._magic)
        while found >= 0:
            if (at + found - self.offset) % 4 == 0:
                return at + found
            found = data.find(self._magic, found + 1)
        # Erased bytes behind the dirty ones: the rest of this block may be free, and the next one hold nodes.
        word = data.find(b"\xff" * 64)
        return at + (word + 3 & ~3) if word >= 0 else None

    def _node(self, at: int, head: bytes) -> int:
        """The size of the node at ``at``, 0 when there is none, -1 when it belongs to another file system."""
        magic, kind, size, check = self._header.unpack(head)
        size = int(size)
        if magic != 0x1985 or (kind | ACCURATE) not in KNOWN or not 12 <= size <= NODE_LIMIT:
            return 0
        # The checksum was made while the node was still valid.
        if crc(self._header.pack(magic, kind | ACCURATE, size, 0)[:8]) != check:
            self.broken += 1
            return 0
        if at + size > self.source.size:
            note(self.problems, f"the node at 0x{at:x} claims {size} bytes, the image ends before")
            return size
        if not kind & ACCURATE:
            self.obsolete += 1
        elif kind == CLEANMARKER:
            self._markers.append(at)
        elif kind in (DIRENT, INODE):
            raw = self.source.view(at, size)
            keep = self._name if kind == DIRENT else self._content
            if not keep(raw, at):
                return -1
        elif kind in (XATTR, XREF):
            self.broken += not self.attributes.take(kind, self.source.view(at, size))
        self.count += 1
        if self.count > 4 * self.limits.nodes:
            raise QuotaExceeded(f"more than {4 * self.limits.nodes} JFFS2 nodes")
        return size

    def _known(self, key: tuple[int, int, int], check: int) -> bool:
        """Whether a version is new, or a copy of one seen: a contradiction means that another file system has begun."""
        return self._seen.setdefault(key, check) == check

    def _name(self, raw: memoryview, at: int) -> bool:
        if len(raw) < DIRENT_SIZE:
            self.broken += 1
            return True
        parent, version, inode, _, length, kind, node_crc, name_crc = self._dirent.unpack_from(raw)
        name = bytes(raw[DIRENT_SIZE : DIRENT_SIZE + length])
        if crc(raw[:32]) != node_crc or crc(name) != name_crc or len(name) < length:
            self.broken += 1
            return True
        if not self._known((DIRENT, parent, version), node_crc ^ name_crc):
            return False
        names = self.names.setdefault(parent, {})
        if name not in names or names[name].version < version:
            names[name] = Dirent(version=version, inode=inode, type=kind)
        return True

    def _content(self, raw: memoryview, at: int) -> bool:
        if len(raw) < INODE_SIZE:
            self.broken += 1
            return True
        (number, version, mode, uid, gid, size, _, mtime, _, begin, packed, unpacked, method, _, _, data_crc, node_crc) = (
            self._inode.unpack_from(raw)
        )
        data = raw[INODE_SIZE : INODE_SIZE + packed]
        if crc(raw[:60]) != node_crc or len(data) < packed or (packed and crc(data) != data_crc):
            self.broken += 1
            return True
        if not self._known((INODE, number, version), node_crc):
            return False
        self.inodes.setdefault(number, []).append(
            Inode(
                version=version, mode=mode, uid=uid, gid=gid, size=size, mtime=mtime, begin=begin, packed=packed,
                unpacked=unpacked, method=method, data=at + INODE_SIZE,
            )
        )  # fmt: skip
        self.methods[method] += packed > 0
        return True

    @property
    def erase_block(self) -> int:
        """The erase block size: markers stand at the beginning of erased blocks."""
        step = gcd(*(at - self.offset for at in self._markers), 1 << 20) if len(self._markers) > 1 else 0
        step &= -step
        return step if step >= 4096 else ERASE_BLOCK

    @property
    def size(self) -> int:
        """Bytes up to the end of the last node, or of its erase block when the rest of it is erased."""
        block, used = self.erase_block, self.end - self.offset
        full = min(-(-used // block) * block, self.source.size - self.offset)
        rest = self.source.peek(self.end, full - used)
        return full if rest == b"\xff" * len(rest) else used


class Tree:
    """What a mount would show of a log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._latest = {number: max(nodes, key=lambda one: one.version) for number, nodes in log.inodes.items()}

    def walk(self) -> Iterator[Entry]:
        """Every live name, parents first; a directory reached twice and a name without inode are problems, not the end."""
        pending, seen = [("", ROOT)], {ROOT}
        links = Counter(one.inode for names in self._log.names.values() for one in names.values() if one.inode)
        while pending:
            path, parent = pending.pop()
            for raw, one in sorted(self._log.names.get(parent, {}).items()):
                if not one.inode:
                    continue
                name = decoded(raw)
                if "/" in name or "\0" in name or name in ("", ".", ".."):
                    note(self._log.problems, f"{path or '/'}: an impossible name {name!r}")
                    continue
                entry = self._entry(f"{path}/{name}", one, links[one.inode])
                if entry is None:
                    continue
                if entry.kind is NodeKind.DIRECTORY:
                    if one.inode in seen:
                        note(self._log.problems, f"{entry.path}: a second name of a directory")
                        continue
                    seen.add(one.inode)
                    pending.append((entry.path, one.inode))
                yield entry
        if orphans := sum(
            parent not in seen and any(one.inode for one in names.values()) for parent, names in self._log.names.items()
        ):
            note(self._log.problems, f"{orphans} directories cannot be reached from the root")

    def _entry(self, path: str, name: Dirent, links: int) -> Entry | None:
        inode = self._latest.get(name.inode)
        if inode is None:
            note(self._log.problems, f"{path}: inode {name.inode} is missing")
            # The name alone tells a directory (DT_DIR): what lies in it is still worth listing.
            return Entry(path=path, kind=NodeKind.DIRECTORY, mode=0o755) if name.type == 4 else None
        kind = _KINDS.get(inode.mode & 0o170000, NodeKind.DEVICE)
        entry = Entry(
            path=path, kind=kind, mode=inode.mode & 0o7777, uid=inode.uid, gid=inode.gid, mtime=inode.mtime, locality=inode.data,
            detail=self._log.attributes.of(name.inode),
        )  # fmt: skip
        if kind is NodeKind.FILE and links > 1:
            entry.detail |= {"inode": name.inode, "links": links}
        try:
            if kind is NodeKind.SYMLINK:
                entry.target = decoded(self._small(inode))
            elif kind is NodeKind.DEVICE:
                entry.device = self._device(inode)
        except FormatError as error:
            note(self._log.problems, f"{path}: {error}")
        if kind is NodeKind.FILE:
            nodes = self._log.inodes[name.inode]
            entry.size = inode.size
            entry.offset = inode.data if len(nodes) == 1 and _plain(inode) and 0 < inode.size == inode.packed else None
            entry.locality = min(one.data for one in nodes)
            entry.open = partial(self._content, nodes, inode.size)
        return entry

    def _small(self, inode: Inode) -> bytes:
        if inode.unpacked > 4096:
            raise FormatError(f"a symbolic link of {inode.unpacked} bytes")
        return unpack(inode.method, self._log.source.read(inode.data, inode.packed), inode.unpacked)

    def _device(self, inode: Inode) -> str | None:
        """Two bytes hold the old encoding of a device number, four the new one."""
        raw = self._small(inode)
        value = int.from_bytes(raw, "little" if self._log.order == "<" else "big")
        if len(raw) == 2:
            return device_name(inode.mode, value >> 8, value & 0xFF)
        return device_name(inode.mode, (value & 0xFFF00) >> 8, (value & 0xFF) | (value >> 12 & 0xFFF00))

    def _content(self, nodes: list[Inode], size: int) -> ByteSource:
        """A file's content: windows and holes when nothing is packed, else the unpacked nodes in order."""
        pieces = list(_resolved(nodes, size))
        if all(one is None or one.method == ZERO or _plain(one) for _, _, one in pieces):
            if (
                sum(end - begin for begin, end, one in pieces if one is None or one.method == ZERO)
                > self._log.limits.bytes_stream
            ):
                raise QuotaExceeded(f"a sparse file of {size} bytes")
            return Joined(
                end - begin if one is None or one.method == ZERO
                else self._log.source.window(one.data + begin - one.begin, end - begin)
                for begin, end, one in pieces
            )  # fmt: skip
        packed = sum(one.packed for one in nodes)
        return spool(bounded(self._unpacked(pieces), packed, self._log.limits))

    def _unpacked(self, pieces: list[tuple[int, int, Inode | None]]) -> Iterator[bytes]:
        held: tuple[Inode, bytes] | None = None
        work = 0
        for begin, end, one in pieces:
            if one is None or one.method == ZERO:
                for at in range(begin, end, STEP):
                    yield ZEROS[: end - at]
                continue
            if held is None or held[0] is not one:
                if one.unpacked > NODE_LIMIT:
                    raise FormatError(f"a node of {one.unpacked} bytes")
                held = (one, unpack(one.method, self._log.source.read(one.data, one.packed), one.unpacked))
                work += one.unpacked
            if work > self._log.limits.bytes_stream:
                raise QuotaExceeded("the pieces of a file are unpacked over and over")
            yield held[1][begin - one.begin : end - one.begin]


def _plain(node: Inode) -> bool:
    return node.method in (NONE, COPY) and node.packed == node.unpacked


def _resolved(nodes: list[Inode], size: int) -> Iterator[tuple[int, int, Inode | None]]:
    """Which node gives which bytes: the newest version that covers them; None for a hole."""
    queue = sorted((one for one in nodes if one.unpacked and one.begin < size), key=lambda one: one.begin)
    active: list[tuple[int, int, Inode]] = []
    at = position = 0
    pending: tuple[int, int, Inode | None] | None = None
    while at < size:
        while position < len(queue) and queue[position].begin <= at:
            heappush(active, (-queue[position].version, position, queue[position]))
            position += 1
        while active and active[0][2].begin + active[0][2].unpacked <= at:
            heappop(active)
        until = min(queue[position].begin if position < len(queue) else size, size)
        chosen = active[0][2] if active else None
        if chosen is not None:
            until = min(until, chosen.begin + chosen.unpacked)
        if pending is not None and pending[2] is chosen:
            pending = (pending[0], until, chosen)
        else:
            if pending is not None:
                yield pending
            pending = (at, until, chosen)
        at = until
    if pending is not None:
        yield pending


class Jffs2(Format):
    """The JFFS2 file system. Every node is announced by its signature; the first one that is not yet claimed opens it."""

    name = "jffs2"
    title = "JFFS2 (both byte orders)"
    specification = "Linux kernel, include/uapi/linux/jffs2.h"
    category = "file system"
    reads = (
        "zlib, LZO, LZMA (OpenWrt's), rtime, rubinmips, dynrubin; the newest valid version of each node, obsolete and broken ones"
        " left out; hard links, devices, attributes; with and without clean markers, summaries, padding of NAND pages; CRC32 of"
        " every node checked"
    )
    not_read = "bit errors are not corrected; LZARI of old vendor kernels"
    signatures = (
        Signature(pattern=rb"\x85\x19(?:[\x01\x02\x08\x09]\xE0|[\x03\x04\x06]\x20|[\x01\x02]\xC0)..[\x00-\x3F]\x00", width=8),
        Signature(pattern=rb"\x19\x85(?:\xE0[\x01\x02\x08\x09]|\x20[\x03\x04\x06]|\xC0[\x01\x02])\x00[\x00-\x3F]..", width=8),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        log = Log(source, offset, limits)
        detail: dict[str, str | int] = {
            "byte_order": "little" if log.order == "<" else "big",
            "nodes": log.count,
            "erase_block": log.erase_block,
            "integrity": "checksum",
            "integrity_detail": f"CRC32 of every node, {f'{log.broken} wrong' if log.broken else 'right'}",
        }
        if log.methods:
            detail["compression"] = ", ".join(sorted(NAMES.get(one, str(one)) for one, used in log.methods.items() if used))
        if log.obsolete:
            detail["obsolete_nodes"] = log.obsolete
        return Container(format=self.name, size=log.size, entries=Tree(log).walk(), detail=detail, problems=log.problems)


FORMATS = (Jffs2(),)
