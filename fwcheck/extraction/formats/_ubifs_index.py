"""What a mount of UBIFS knows: the committed index, the journal replayed over it, or a scan of all nodes where it is broken.

Semantics: Linux ``fs/ubifs/replay.c`` and ``tnc.c``; A. Hunter, "A Brief Introduction to the Design of UBIFS".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from struct import Struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._ubifs_nodes import (
    ATTRIBUTE,
    COMMIT,
    DATA,
    ENTRY,
    INDEX,
    INODE,
    MASTER,
    REFERENCE,
    TRUNCATION,
    Flash,
    Master,
    Node,
    Super,
    master,
)
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.members import note

BLOCK = 4096
_BITS = 29
_BLOCKS = (1 << _BITS) - 1
_IN_GROUP = 1
_KEY = Struct("<II")
_ENTRY = Struct("<QBBH")  # at 40
_REFERENCE = Struct("<II")  # at 24


class Index:
    """Inodes, names, attributes and data by key."""

    def __init__(self, flash: Flash, sb: Super, limits: Limits) -> None:
        self.flash = flash
        self.sb = sb
        self.problems: list[str] = []
        self.inodes: dict[int, tuple[int, int]] = {}  # LEB and offset of the node
        self.names: dict[int, dict[bytes, tuple[int, int]]] = {}  # directory -> name -> inode, type
        self.attributes: dict[int, dict[bytes, int]] = {}  # inode -> name -> inode that holds the value
        self.data: dict[int, dict[int, int]] = {}  # inode -> block -> place of the node, counted from the file system's begin
        self.master = self._master()
        self.scanned = False
        self.replayed = 0
        self.hashed: bool | None = None  # whether every hash of an authenticated file system is right
        self._most = 16 * limits.nodes
        self._left = self._most
        if not self._committed():
            self._everything()
        flash.forget()

    def _master(self) -> Master | None:
        """The newest of the master nodes in both their LEBs."""
        found = [master(node) for leb in (1, 2) for node in self.flash.scan(leb) if node.type == MASTER]
        return max(found, key=lambda one: one.sequence, default=None)

    def _committed(self) -> bool:
        """Reads the index and replays the journal; False, with nothing read, when the index is broken."""
        if self.master is None:
            note(self.problems, "no master node: every node of the file system is read instead of its index")
            return False
        try:
            self._walk(self.master)
        except FormatError as error:
            note(self.problems, f"the index is broken ({error}): every node of the file system is read instead")
            return False
        self._replay(self.master)
        return True

    def _walk(self, top: Master) -> None:
        """Every leaf of the index. Raises FormatError for an index node that is not sound."""
        width = hashlib.new(self.sb.hash).digest_size if self.sb.hash else 0
        branch = Struct(f"<IIIII{width}s")
        pending, seen = [(*top.root[:2], -1, top.root_hash[:width])], {top.root[:2]}
        right = True
        while pending:
            number, at, level, known = pending.pop()
            node = self.flash.node(number, at, INDEX)
            count, found = int.from_bytes(node.raw[24:26], "little"), int.from_bytes(node.raw[26:28], "little")
            if 28 + count * branch.size > len(node.raw) or level not in (-1, found):
                raise FormatError(f"index node {number}:{at} contradicts its parent")
            right = right and self._hash(node.raw) == known
            for leb, begin, length, inode, rest, digest in branch.iter_unpack(node.raw[28 : 28 + count * branch.size]):
                if found == 0:
                    self._leaf(leb, begin, inode, rest)
                    right = right and (not width or self._hash(self.flash.leb(leb)[begin : begin + length]) == digest)
                elif (leb, begin) not in seen:
                    seen.add((leb, begin))
                    pending.append((leb, begin, found - 1, digest))
        if width:
            self.hashed = right and (not any(self.sb.hash_master) or self._hash_master(top) == self.sb.hash_master[:width])

    def _hash(self, raw: memoryview) -> bytes:
        return hashlib.new(self.sb.hash, raw, usedforsecurity=False).digest() if self.sb.hash else b""

    def _hash_master(self, top: Master) -> bytes:
        """Without the common header, in which both copies differ."""
        return self._hash(memoryview(top.raw)[24:512])

    def _leaf(self, leb: int, at: int, inode: int, rest: int) -> None:
        kind = rest >> _BITS
        self._left -= 1
        if self._left < 0:
            raise FormatError(f"more than {self._most} nodes")
        if kind == DATA:
            self.data.setdefault(inode, {})[rest & _BLOCKS] = leb * self.flash.leb_size + at
        elif kind == INODE:
            self.inodes[inode] = (leb, at)
        elif kind in (ENTRY, ATTRIBUTE):
            try:
                self._entry(self.flash.node(leb, at, kind))
            except FormatError as error:
                note(self.problems, f"a name in directory {inode}: {error}")

    def _entry(self, node: Node) -> bool:
        """Takes a name in, or away; whether it was taken away."""
        parent, _ = _KEY.unpack_from(node.raw, 24)
        inode, _, kind, length = _ENTRY.unpack_from(node.raw, 40)
        name = bytes(node.raw[56 : 56 + length])
        if node.type == ATTRIBUTE:
            names = self.attributes.setdefault(parent, {})
            if inode:
                names[name] = inode
            else:
                names.pop(name, None)
        elif inode:
            self.names.setdefault(parent, {})[name] = (inode, kind)
        else:
            self.names.get(parent, {}).pop(name, None)
        return not inode

    # The journal: what was written since the last commit, in LEBs that the log refers to.

    def _replay(self, top: Master) -> None:
        nodes: list[Node] = []
        for leb, at in self._buds(top):
            bud = [node for node in self.flash.scan(leb, at) if node.type <= TRUNCATION]
            while bud and bud[-1].group == _IN_GROUP:  # the group was not written to its end: none of it counts
                bud.pop()
            nodes += bud
        self.replayed = len(nodes)
        self._apply(sorted(nodes, key=lambda node: node.sequence))

    def _buds(self, top: Master) -> dict[tuple[int, int], None]:
        """The places the log refers to, from the last commit on."""
        buds: dict[tuple[int, int], None] = {}
        started = -1
        for step in range(self.sb.log):
            leb = 3 + (top.log - 3 + step) % self.sb.log
            nodes = list(self.flash.scan(leb))
            if started < 0:
                if not nodes or nodes[0].type != COMMIT or int.from_bytes(nodes[0].raw[24:32], "little") != top.commit:
                    note(self.problems, "the log does not begin with the last commit: the journal was not replayed")
                    return {}
                started = nodes[0].sequence
            if not nodes or nodes[0].sequence < started:
                break
            for node in nodes:
                if node.type == REFERENCE and node.sequence >= started:
                    number, at = _REFERENCE.unpack_from(node.raw, 24)
                    if all(number != known for known, _ in buds) and number >= self.sb.main:
                        buds[number, at] = None
        return buds

    def _apply(self, nodes: Iterable[Node]) -> None:
        """Nodes in the order of their sequence numbers: the newest of a key holds."""
        nodes = list(nodes)
        last = {self._owner(node): self._removes(node) for node in nodes}
        for node in nodes:
            owner, rest = _KEY.unpack_from(node.raw, 24)
            if node.type == DATA:
                self.data.setdefault(owner, {})[rest & _BLOCKS] = node.leb * self.flash.leb_size + node.at
            elif node.type == INODE:
                if not self._removes(node):
                    self.inodes[owner] = (node.leb, node.at)
                elif last[owner]:  # a temporary file may get a name later
                    for table in (self.inodes, self.data, self.attributes):
                        table.pop(owner, None)
            elif node.type == TRUNCATION:
                self._truncate(owner, int.from_bytes(node.raw[48:56], "little"))
            else:
                self._entry(node)

    @staticmethod
    def _owner(node: Node) -> int:
        return int.from_bytes(node.raw[24:28], "little")

    @staticmethod
    def _removes(node: Node) -> bool:
        if node.type == INODE:
            return not any(node.raw[92:96])
        return node.type == TRUNCATION or (node.type in (ENTRY, ATTRIBUTE) and not any(node.raw[40:48]))

    def _truncate(self, inode: int, size: int) -> None:
        blocks = self.data.get(inode, {})
        for block in [block for block in blocks if block * BLOCK >= size]:
            del blocks[block]

    def _everything(self) -> None:
        """Every node there is, the newest of each key: what was removed and collected since may come back."""
        for table in (self.inodes, self.data, self.names, self.attributes):
            table.clear()
        self.scanned, self._left = True, self._most
        nodes = []
        for leb in range(min(self.sb.main, self.flash.lebs), self.flash.lebs):
            for node in self.flash.scan(leb):
                self._left -= 1
                if node.type <= TRUNCATION:
                    nodes.append(node)
            if self._left < 0:
                note(self.problems, f"more than {self._most} nodes: the rest was not read")
                break
        self._apply(sorted(nodes, key=lambda node: node.sequence))
        if not self.inodes:
            raise FormatError("a UBIFS superblock without any inode")
