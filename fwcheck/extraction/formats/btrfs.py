"""Btrfs: subvolumes, files and their extents, from volumes of one device.

Layout (little-endian) of the superblock, at 65,536: checksum, file system 32, own address 48, magic 64, tree of roots 80,
tree of chunks 88, log 96, devices 136, sector size 144, node size 148, checksum type 196, this device 201 (id, its bytes
209), label 299, system chunks 811. Source: Linux kernel, ``fs/btrfs`` (``include/uapi/linux/btrfs_tree.h``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from struct import error as struct_error
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Signature
from fwcheck.extraction.formats._btrfs_files import INLINE, REGULAR, Node, content, subvolume
from fwcheck.extraction.formats._btrfs_trees import ROOT_ITEM, Volume
from fwcheck.extraction.formats._checksums import crc32c
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two, words
from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

SUPERBLOCK = 65536
LENGTH = 4096
FS_TREE = 5
FIRST = 256  # number of a subvolume's root directory
SHOWN = 16  # attributes of one inode

_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}


class Trees:
    """The subvolumes of a file system that begins at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int, size: int, raw: bytes, limits: Limits) -> None:
        self.offset = offset
        self.limits = limits
        self.problems: list[str] = []
        self.volume = Volume(source.window(offset, size), raw, limits)
        self._roots: dict[int, int] = {}
        for item in self.volume.items(self.volume.root):
            if item.type == ROOT_ITEM and len(item.data) >= 184:
                self._roots[item.object] = unpack_from("<Q", item.data, 176)[0]
        self._budget = limits.nodes
        self._top = self._load(FS_TREE)
        if unpack_from("<Q", raw, 96)[0]:
            note(self.problems, "the log holds changes that were not replayed: files may differ from what a mount would show")

    def _load(self, tree: int) -> dict[int, Node]:
        if tree not in self._roots:
            raise FormatError(f"no tree {tree}")
        nodes = subvolume(self.volume, self._roots[tree], self._budget)
        self._budget -= len(nodes)
        return nodes

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first; a subvolume stands where its name does."""
        pending = [("", self._top, FIRST)]
        seen = {(id(self._top), FIRST)}
        loaded = {FS_TREE}
        while pending:
            path, nodes, number = pending.pop()
            for stored, child, kind in nodes[number].names if number in nodes else []:
                name = decoded(stored)
                if not name or "/" in name or "\0" in name or name in (".", ".."):
                    note(self.problems, f"{path or '/'}: an impossible name {name!r}")
                    continue
                inside, target = nodes, child
                if kind == ROOT_ITEM:
                    if child in loaded:
                        note(self.problems, f"{path}/{name}: a second name of a subvolume")
                        continue
                    loaded.add(child)
                    inside, target = self._subvolume(f"{path}/{name}", child), FIRST
                entry = self._member(f"{path}/{name}", inside.get(target), target)
                if entry is None:
                    continue
                if entry.kind is NodeKind.DIRECTORY:
                    if (id(inside), target) in seen:
                        note(self.problems, f"{entry.path}: a second name of a directory")
                        continue
                    seen.add((id(inside), target))
                    pending.append((entry.path, inside, target))
                    if kind == ROOT_ITEM:
                        entry.detail = {**entry.detail, "subvolume": child}
                yield entry

    def _subvolume(self, path: str, tree: int) -> dict[int, Node]:
        try:
            return self._load(tree)
        except (FormatError, QuotaExceeded) as error:
            note(self.problems, f"{path}: {error}")
            return {}

    def _member(self, path: str, node: Node | None, number: int) -> Entry | None:
        if node is None or not node.mode & 0o170000:
            note(self.problems, f"{path}: its inode is missing")
            return None
        kind = _KINDS.get(node.mode & 0o170000, NodeKind.DEVICE)
        entry = Entry(path=path, kind=kind, mode=node.mode & 0o7777, uid=node.uid, gid=node.gid, mtime=node.mtime)
        if node.attributes:
            entry.detail = dict(attribute(decoded(name), value) for name, value in node.attributes[:SHOWN])
        if kind is NodeKind.SYMLINK:
            try:
                entry.target = decoded(content(self.volume, node).peek(0, 4096))
            except ExtractionError as error:
                note(self.problems, f"{path}: {error}")
        elif kind is NodeKind.DEVICE:
            # The kernel keeps twenty bits of the minor number; mkfs.btrfs writes the old form.
            bits = 20 if node.device >> 20 else 8
            major, minor = node.device >> bits, node.device & (1 << bits) - 1
            entry.device = device_name(node.mode, major, minor)
        elif kind is NodeKind.FILE:
            entry.size, entry.open = node.size, partial(content, self.volume, node)
            if node.links > 1:
                entry.detail = {**entry.detail, "inode": number, "links": node.links}
            self._place(entry, node)
        return entry

    def _place(self, entry: Entry, node: Node) -> None:
        """Where the content begins, when its first extent tells."""
        if not node.extents:
            return
        first = node.extents[0]
        try:
            at = first.at if first.type == INLINE else self.volume.place(first.at + first.skip, 1)
        except FormatError:
            return
        entry.locality = self.offset + at
        whole = not first.begin and not first.compression and first.type in (INLINE, REGULAR) and first.length >= node.size
        entry.offset = entry.locality if whole and node.size and (first.at or first.type == INLINE) else None


class Btrfs(Identified):
    """The copy-on-write file system of Linux; NAS appliances use it."""

    name = "btrfs"
    title = "Btrfs"
    specification = "Linux kernel, include/uapi/linux/btrfs_tree.h"
    category = "file system"
    reads = (
        "volumes of one device or mirrored: subvolumes and snapshots, inline, packed (zlib, LZO, Zstandard) and sparse files, "
        "attributes, devices; superblock checksum (CRC32C, SHA-256, BLAKE2b)"
    )
    not_read = "striped and multi-device volumes (told and measured), the log, checksums of nodes and of contents"
    signatures = (Signature(pattern=rb"\x00\x00\x01\x00\x00\x00\x00\x00.{8}_BHRfS_M", width=24, offset=SUPERBLOCK + 48),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset + SUPERBLOCK, LENGTH)
        if len(raw) < LENGTH or raw[64:72] != b"_BHRfS_M":
            raise FormatError("no Btrfs superblock")
        sector, node = unpack_from("<II", raw, 144)
        size = unpack_from("<Q", raw, 209)[0]
        if not power_of_two(sector, 512, 65536) or not power_of_two(node, 512, 65536) or size < SUPERBLOCK + LENGTH:
            raise FormatError("impossible values in a Btrfs superblock")
        return Facts(
            size=size, checksum=_checksum(raw),
            detail=described(uuid=raw[32:48].hex(), devices=unpack_from("<Q", raw, 136)[0], sector_size=sector, node_size=node,
                             volume=words(raw[299:555])),
        )  # fmt: skip

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        found = super().open(source, offset, limits)
        try:
            trees = Trees(source, offset, found.size, source.read(offset + SUPERBLOCK, LENGTH), limits)
        except (FormatError, QuotaExceeded, struct_error) as error:
            note(found.problems, f"its trees cannot be read: {error}")
            return found
        trees.problems[:0] = [problem for problem in found.problems if not problem.endswith("are not read")]
        return msgspec.structs.replace(found, entries=trees.walk(), problems=trees.problems)


def _checksum(raw: bytes) -> str:
    kind, body = unpack_from("<H", raw, 196)[0], raw[32:]
    if kind == 0:
        right = (crc32c(body) ^ 0xFFFFFFFF).to_bytes(4, "little") == raw[:4]
    elif kind in (2, 3):
        right = (hashlib.sha256(body) if kind == 2 else hashlib.blake2b(body, digest_size=32)).digest() == raw[:32]
    else:
        return "xxHash (not verified)" if kind == 1 else ""
    return f"{('CRC32C', '', 'SHA-256', 'BLAKE2b')[kind]} {'right' if right else 'wrong'}"


FORMATS = (Btrfs(),)
