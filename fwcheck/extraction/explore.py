"""From a source to the tree of nodes: containers are found, validated, opened and searched in turn.

Exploring reads headers and metadata only. Contents stay unread: they are handed on as items, and whoever reads one may
explore it in turn (an archive inside a file system) with the same function.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from fwcheck.extraction.coverage import Class, Paint, classify
from fwcheck.extraction.errors import ExtractionError, QuotaExceeded, Truncated
from fwcheck.extraction.format import Container, Entry, Format
from fwcheck.extraction.identify import SignatureIndex, signatures
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import Gap, Node, NodeKind

REJECTS = 50_000  # signatures that turned out to be something else, per source
SMALL = 1024  # unknown pieces below this are counted, not listed


class Item(msgspec.Struct, kw_only=True):
    """A node and, when it has content that was not read yet, how to get at it."""

    node: Node
    entry: Entry | None = None
    source: ByteSource | None = None
    depth: int = 0

    def content(self) -> ByteSource | None:
        """The content; None for nodes without one. Raises FormatError or QuotaExceeded."""
        if self.source is not None:
            return self.source
        return self.entry.open() if self.entry is not None and self.entry.open is not None else None


class Findings(msgspec.Struct, kw_only=True):
    """What exploring gave: items in image order, paints for the coverage account, gaps."""

    items: list[Item] = []
    paints: list[Paint] = []
    gaps: list[Gap] = []


class Explorer:
    """Explores sources under the limits of one scan."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._index = SignatureIndex()
        self._nodes = 0

    def explore(self, source: ByteSource, chain: tuple[str, ...], depth: int, carve: bool = True) -> Findings:
        """Everything inside ``source``. With ``carve`` False only a container at its very beginning is looked for."""
        out = Findings()
        self._explore(source, chain, depth, carve, out)
        return out

    def announces(self, head: bytes) -> bool:
        """Whether a content with these first bytes may be a container whose members are worth opening."""
        return any(each.category != "executable" for _, _, each in signatures().at_start(head))

    def _explore(self, source: ByteSource, chain: tuple[str, ...], depth: int, carve: bool, out: Findings) -> None:
        if depth > self.limits.depth:
            out.gaps.append(
                Gap(node=" › ".join(chain), reason=f"nested deeper than {self.limits.depth} containers", bytes=source.size)
            )
            return
        end, found = 0, False
        for offset, each, container in self._containers(source, chain, carve, out):
            found = True
            if carve:
                self._rest(source, chain, end, offset - end, out)
            end = offset + container.size
            self._container(source, (*chain, f"{each.name}@0x{offset:x}"), offset, container, depth, out)
        # A content that holds no container and is no part of the image's own bytes is told as a whole by whoever asked.
        if carve and (found or source.origin is not None):
            self._rest(source, chain, end, source.size - end, out)

    def _containers(
        self, source: ByteSource, chain: tuple[str, ...], carve: bool, out: Findings
    ) -> Iterator[tuple[int, Format, Container]]:
        if carve:
            hits, cut = self._index.hits(source)
        else:
            hits, cut = signatures().at_start(source.peek(0, signatures().head)), False
        end = rejects = 0
        for offset, _, each in hits:
            if offset < end:
                continue
            try:
                container = each.open(source, offset, self.limits)
                source.check(offset, max(container.size, 1))
            except ExtractionError as error:
                if isinstance(error, QuotaExceeded | Truncated):
                    reason = _shown(f"{each.name} at 0x{offset:x}: {error}")
                    out.gaps.append(Gap(node=" › ".join(chain), reason=reason, bytes=source.size - offset))
                rejects += 1
                cut |= rejects >= REJECTS
                if rejects >= REJECTS:
                    break
                continue
            end = offset + container.size
            yield offset, each, container
        if cut:
            out.gaps.append(Gap(node=" › ".join(chain), reason="too many container signatures: the search was cut short"))

    def _container(
        self, source: ByteSource, chain: tuple[str, ...], offset: int, container: Container, depth: int, out: Findings
    ) -> None:
        self._count()
        node = Node(
            chain=chain,
            path="",
            kind=NodeKind.CONTAINER,
            size=container.size,
            format=container.format,
            offset=offset,
            detail=_shown_detail(container.detail),
        )
        position = len(out.items)
        out.items.append(Item(node=node, depth=depth))
        if source.origin is not None:
            out.paints.append((source.origin + offset, container.size, Class.EXPLAINED))
        try:
            for entry in container.entries:
                self._entry(chain, entry, depth, out)
        except ExtractionError as error:
            out.gaps.append(Gap(node=" › ".join(chain), reason=_shown(f"listing stopped: {error}")))
        if container.format == "elf":
            out.items[position] = Item(node=node, source=source.window(offset, container.size), depth=depth)
        for problem in islice(container.problems, 20):
            out.gaps.append(Gap(node=" › ".join(chain), reason=_shown(problem)))

    def _entry(self, chain: tuple[str, ...], entry: Entry, depth: int, out: Findings) -> None:
        self._count()
        node = Node(
            chain=chain,
            path=_shown(entry.path),
            kind=entry.kind,
            size=entry.size,
            mode=entry.mode & 0o7777,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime,
            target=None if entry.target is None else _shown(entry.target),
            device=entry.device,
            offset=entry.offset,
            detail=_shown_detail(entry.detail),
        )
        if entry.role != "part" or entry.open is None:
            out.items.append(Item(node=node, entry=entry if entry.role == "file" else None, depth=depth))
            return
        try:
            part = entry.open()
        except ExtractionError as error:
            out.items.append(Item(node=node, depth=depth))
            out.gaps.append(Gap(node=node.label, reason=_shown(str(error)), bytes=entry.size))
            return
        inner = Findings()
        below = (*chain, node.path)
        self._explore(part, below, depth + 1, True, inner)
        # A part in which no container was found is a content of its own: it is read as one piece, not as its regions.
        if any(item.node.kind is NodeKind.CONTAINER for item in inner.items):
            out.items.append(Item(node=msgspec.structs.replace(node, size=part.size), depth=depth))
            out.items += inner.items
        else:
            out.items.append(
                Item(node=msgspec.structs.replace(node, size=part.size, kind=NodeKind.REGION), source=part, depth=depth)
            )
        out.paints += inner.paints
        out.gaps += inner.gaps

    def _rest(self, source: ByteSource, chain: tuple[str, ...], offset: int, length: int, out: Findings) -> None:
        """Bytes that no container claims: padding, or regions that are searched for strings and recorded as gaps."""
        if length <= 0:
            return
        whole = length == source.size
        for begin, size, which in classify(source, offset, length):
            if source.origin is not None:
                out.paints.append((source.origin + begin, size, which))
            node = Node(
                chain=chain, path=f"0x{begin:x}", kind=NodeKind.REGION, size=size, format=which.name.lower(), offset=begin
            )
            read = which is not Class.PADDING
            self._count()
            out.items.append(Item(node=node, source=source.window(begin, size) if read else None))
            if read and source.origin is not None and (size >= SMALL or whole):
                out.gaps.append(Gap(node=node.label, reason=_REASONS[which], bytes=size))

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > self.limits.nodes:
            raise QuotaExceeded(f"more than {self.limits.nodes} nodes")


def _shown(name: str) -> str:
    """A stored name fit for reports: bytes that are not UTF-8 (surrogate escapes) are written as hexadecimal escapes."""
    if name.isascii():
        return name
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace").decode()


def _shown_detail(detail: dict[str, str | int]) -> dict[str, str | int]:
    return {key: _shown(value) if isinstance(value, str) else value for key, value in detail.items()}


_REASONS = {
    Class.ENCRYPTED: "bytes as even as a cipher's: encrypted, or packed by an unknown method; nothing inside was read",
    Class.UNKNOWN: "no known container format; searched for strings and patterns only",
}
