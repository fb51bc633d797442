"""The firmware tree with its facts, as the device model looks at it: file systems with paths, links and texts."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter

from fwcheck.model import Coverage, Evidence, Facts, Image, Location, Node, NodeKind

_LINK_LIMIT = 16
_ROOT_MARKS = ("/bin", "/sbin", "/etc", "/lib", "/usr", "/dev", "/proc")
_INIT_MARKS = ("/sbin/init", "/init", "/linuxrc", "/etc/inittab", "/etc/passwd", "/bin/busybox", "/etc/init.d", "/bin/sh")
_SYSTEM_MARKS = (
    "/framework",
    "/bin/app_process",
    "/bin/app_process32",
    "/bin/app_process64",
    "/bin/init",
    "/etc/init/hw/init.rc",
)


class FileSystem:
    """One file system of the image: nodes by absolute path, with links followed inside it and nowhere else."""

    def __init__(self, chain: tuple[str, ...], format: str, nodes: Iterable[Node], facts: Mapping[str, Facts]) -> None:
        self.chain = chain
        self.format = format
        self.nodes: dict[str, Node] = {}
        self._children: dict[str, list[str]] = {}
        self._facts = facts
        self._sorted: list[Node] = []  # the regular files by path, and of how many nodes they are
        self._sorted_of = 0
        for node in nodes:
            if node.path not in self.nodes:
                self.nodes[node.path] = node
                self._children.setdefault(posixpath.dirname(node.path) or "/", []).append(node.path)

    @property
    def label(self) -> str:
        """The container chain on one line."""
        return " › ".join(self.chain)

    @property
    def is_root(self) -> bool:
        """Whether this looks like a root file system: usual directories, and something to boot into.

        Android's partitions have ``build.prop`` at their top; of these the system partition alone is as good as a root.
        """
        if "/build.prop" in self.nodes:
            return self.is_system_partition
        return sum(mark in self.nodes for mark in _ROOT_MARKS) >= 3 and any(mark in self.nodes for mark in _INIT_MARKS)

    @property
    def is_system_partition(self) -> bool:
        """Whether this is Android's system partition without the root around it (vendor, product and odm have no framework)."""
        return "/build.prop" in self.nodes and any(mark in self.nodes for mark in _SYSTEM_MARKS)

    def resolve(self, path: str, follow: bool = True) -> Node | None:
        """The node at ``path`` with symbolic links followed in every directory part, and in the last part if ``follow``.

        None when it does not exist here or the links go round in circles. Links never leave this file system.
        """
        todo = [part for part in path.split("/") if part]
        at, hops = "/", 0
        while todo:
            part = todo.pop(0)
            if part == ".":
                continue
            if part == "..":
                at = posixpath.dirname(at)
                continue
            step = f"{at}/{part}" if at != "/" else f"/{part}"
            node = self.nodes.get(step)
            if node is not None and node.kind is NodeKind.SYMLINK and (todo or follow):
                hops += 1
                if hops > _LINK_LIMIT or not node.target:
                    return None
                if node.target.startswith("/"):
                    at = "/"
                todo[:0] = [bit for bit in node.target.split("/") if bit]
                continue
            if node is None and step not in self._children:
                return None
            at = step
        return self.nodes.get(at)

    def exists(self, path: str) -> bool:
        """Whether something stands at ``path``, links followed."""
        return self.resolve(path) is not None

    def facts(self, path: str) -> Facts | None:
        """The facts of the regular file at ``path`` (links followed), None when there is none."""
        node = self.resolve(path)
        return self.facts_of(node) if node is not None else None

    def facts_of(self, node: Node) -> Facts | None:
        """The facts of a node of this file system."""
        return self._facts.get(node.sha256) if node.sha256 else None

    def text(self, path: str) -> str | None:
        """The decoded text of a script or configuration file (links followed); None when absent or not text."""
        facts = self.facts(path)
        return facts.text if facts is not None else None

    def children(self, path: str) -> list[Node]:
        """The direct members of a directory (links followed), sorted by path."""
        node = self.resolve(path)
        at = node.path if node is not None else posixpath.normpath(path)
        return [self.nodes[child] for child in sorted(self._children.get(at, ()))]

    def glob(self, pattern: str) -> list[Node]:
        """Nodes whose path matches a shell pattern (``*`` also matches ``/``), sorted by path."""
        match = re.compile(fnmatch.translate(pattern)).match
        return [self.nodes[path] for path in sorted(self.nodes) if match(path)]

    def files(self) -> Iterator[tuple[Node, Facts]]:
        """Every regular file that was read, with its facts, sorted by path."""
        if len(self.nodes) != self._sorted_of:
            self._sorted = [node for _, node in sorted(self.nodes.items(), key=itemgetter(0)) if node.kind is NodeKind.FILE]
            self._sorted_of = len(self.nodes)
        for node in self._sorted:
            facts = self._facts.get(node.sha256) if node.sha256 else None
            if facts is not None:
                yield node, facts

    def location(self, path: str, offset: int | None = None, line: int | None = None) -> Location:
        """A location in this file system."""
        return Location(chain=self.chain, path=path, offset=offset, line=line)

    def evidence(self, path: str, text: str = "", offset: int | None = None, line: int | None = None) -> Evidence:
        """Evidence at a place of this file system; ``text`` is cut to one readable line."""
        return Evidence(location=self.location(path, offset, line), text=" ".join(text.split())[:240])


class Firmware:
    """Everything extraction and inspection found: the stage input of the device model and the analysers."""

    def __init__(
        self,
        image: Image,
        nodes: Iterable[Node],
        facts: Mapping[str, Facts],
        coverage: Coverage,
        reader: Callable[[int, int], bytes] | None = None,
        opener: Callable[[tuple[str, ...], str, int, int], bytes] | None = None,
    ) -> None:
        self.image = image
        self._reader = reader
        self._opener = opener
        self.nodes = tuple(nodes)
        self.coverage = coverage
        self._facts = facts
        members: dict[tuple[str, ...], list[Node]] = {}
        formats: dict[tuple[str, ...], str] = {}
        self.loose: list[tuple[Node, Facts]] = []  # kernels, regions, parts: read contents that stand in no file system
        for node in self.nodes:
            if node.path.startswith("/"):
                members.setdefault(node.chain, []).append(node)
            elif (found := self.facts_of(node)) is not None:
                self.loose.append((node, found))
            if node.kind is NodeKind.CONTAINER and node.format:
                formats[node.chain] = node.format
        self.filesystems = tuple(FileSystem(chain, formats.get(chain, ""), held, facts) for chain, held in members.items())

    def read(self, offset: int, length: int, limit: int) -> bytes:
        """Bytes of the image file; empty when they are more than ``limit``, or the file is not at hand or ends before."""
        if self._reader is None or not 0 <= offset <= offset + length <= self.image.size or length > limit:
            return b""
        return self._reader(offset, length)

    def window(self, chain: tuple[str, ...], path: str, offset: int, length: int) -> bytes:
        """At most so many bytes of a content, read again; empty where that is not possible, or would cost too much."""
        return self._opener(chain, path, offset, length) if self._opener is not None and offset >= 0 else b""

    def facts_of(self, node: Node) -> Facts | None:
        """The facts of a node, None when it was not read."""
        return self._facts.get(node.sha256) if node.sha256 else None

    def roots(self) -> tuple[FileSystem, ...]:
        """The root file systems, in image order; every file system when none looks like a root.

        Android's system partition is part of the root that mounts it, where the image holds one.
        """
        found = tuple(fs for fs in self.filesystems if fs.is_root)
        if any("/init.rc" in fs.nodes for fs in found):
            found = tuple(fs for fs in found if not fs.is_system_partition)
        return found or self.filesystems

    def containers(self, format: str) -> tuple[Node, ...]:
        """All container nodes of one format, in image order."""
        return tuple(node for node in self.nodes if node.kind is NodeKind.CONTAINER and node.format == format)

    def contents(self) -> Iterator[tuple[Node, Facts]]:
        """Every content that was read, with one of its nodes, in image order; the same content at two places comes twice."""
        for node in self.nodes:
            if (found := self.facts_of(node)) is not None:
                yield node, found

    def elsewhere(self, root: FileSystem, path: str, within: FileSystem | None = None) -> tuple[FileSystem, Node] | None:
        """A file that ``root`` refers to but another file system holds (``/home/app/run.sh`` in a partition mounted on /home).

        Tried with the leading directories cut one by one; None when nothing matches. The result is a guess about mounting, or
        about unpacking where only archives ``within`` a file system are looked at.
        """
        parts = [part for part in path.split("/") if part]
        for cut in range(len(parts)):
            tail = "/" + "/".join(parts[cut:])
            for fs in self.filesystems:
                if within is not None and (fs is within or fs.chain[: len(within.chain)] != within.chain):
                    continue
                if fs is not root and not fs.is_root and (node := fs.resolve(tail)) is not None and node.kind is NodeKind.FILE:
                    return fs, node
        return None
