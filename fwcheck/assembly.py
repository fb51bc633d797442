"""What the workers gave back, put into the order of the image: the firmware with its coverage account."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import msgspec

from fwcheck.device.firmware import Firmware
from fwcheck.extraction.coverage import Class, Paint, account, profile, ranges
from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.explore import Item
from fwcheck.extraction.source import CHUNK, ByteSource, Mapped
from fwcheck.model import Coverage, Facts, Gap, Image, Node, NodeKind, Span
from fwcheck.reading import Reading

ALIKE = 200  # gaps of one reason that are listed one by one
REASONS = 1000  # different reasons; numbers in them differ from place to place
WAYS = 4096  # contents whose bytes can be read again
REREAD = 12 << 20  # bytes that may be unpacked once more for that
MAP_SPANS = 800  # a map of more ranges than this shows nothing
_KINDS: dict[Class, Literal["explained", "padding", "unknown", "encrypted"]] = {
    Class.EXPLAINED: "explained",
    Class.PADDING: "padding",
    Class.UNKNOWN: "unknown",
    Class.ENCRYPTED: "encrypted",
}


class Whole(msgspec.Struct, frozen=True):
    """What is asked of the image as one piece of bytes."""

    sha256: str
    entropy: tuple[float, ...]


def look(source: Mapped) -> Whole:
    """SHA-256 and the entropy profile of the whole image."""
    entropy = profile(source)
    digest = hashlib.sha256()
    for chunk in source.chunks(CHUNK):
        digest.update(chunk)
    return Whole(digest.hexdigest(), entropy)


class Assembly:
    """Collects what workers give back and puts it into the order of the image."""

    def __init__(self, name: str, source: Mapped) -> None:
        self.name = name
        self.source = source
        self.whole: Whole | None = None
        self.nodes: list[Node] = []
        self.known: dict[str, Facts] = {}  # in the order of reading
        self.facts: dict[str, Facts] = {}  # the same in the order of the image
        self.paints: list[Paint] = []
        self.gaps: list[Gap] = []
        self._ways: dict[tuple[tuple[str, ...], str], Callable[[], ByteSource | None]] = {}
        self._left = REREAD

    def remember(self, item: Item) -> None:
        """Keeps the way to a content that findings may quote; called while the item still has it."""
        facts = self.known.get(item.node.sha256 or "")
        if facts is None or len(self._ways) >= WAYS or not item.readable:
            return
        if facts.text is None and (facts.banners or facts.patterns or facts.yara or facts.calls or facts.certificates):
            source, way = item.source, item.open
            self._ways[item.node.chain, item.node.path] = way if source is None and way is not None else lambda: source

    def window(self, chain: tuple[str, ...], path: str, offset: int, length: int) -> bytes:
        """Bytes of a content, read again as long as the budget for that lasts; empty when it does not, or cannot be done."""
        way = self._ways.get((chain, path))
        try:
            source = self._place(chain, path) if way is None else way()
            if source is None:
                return b""
            if not source.anchored:
                self._left -= min(source.size, offset + length)
            return source.peek(offset, length) if self._left >= 0 else b""
        except (ExtractionError, OSError, MemoryError, ValueError):
            return b""

    def _place(self, chain: tuple[str, ...], path: str) -> ByteSource | None:
        """The image for a container that lies in it: offsets of findings about one count from the beginning of what holds it."""
        return self.source if len(chain) <= 2 and not path and chain[:1] == (self.name,) else None

    def learn(self, reading: Reading) -> None:
        """Keeps the facts of a reading, each content's once."""
        for facts in reading.facts:
            self.known.setdefault(facts.sha256, facts)
        reading.facts.clear()

    def take(self, reading: Reading) -> None:
        self.nodes += reading.nodes
        self.paints += reading.paints
        self.gaps += reading.gaps
        for node in reading.nodes:
            if node.sha256 is not None and node.sha256 not in self.facts:
                self.facts[node.sha256] = self.known[node.sha256]

    def firmware(self) -> Firmware:
        totals = account(self.source.size, self.paints)
        whole = self.whole or look(self.source)
        coverage = Coverage(
            bytes_total=self.source.size,
            bytes_explained=totals[Class.EXPLAINED],
            bytes_padding=totals[Class.PADDING],
            bytes_unknown=totals[Class.UNKNOWN],
            bytes_encrypted=totals[Class.ENCRYPTED],
            files=sum(node.kind in {NodeKind.FILE, NodeKind.DEVICE} for node in self.nodes),
            gaps=_folded(self.name, self.gaps),
            spans=self._spans(),
            entropy=whole.entropy,
        )
        first = next((node for node in self.nodes if node.kind is NodeKind.CONTAINER and len(node.chain) == 2), None)
        image = Image(
            name=self.name, size=self.source.size, sha256=whole.sha256, format=first.format or "raw" if first else "raw"
        )
        return Firmware(image, self.nodes, self.facts, coverage, self.source.read, self.window)

    def _spans(self) -> tuple[Span, ...]:
        """The map of the image: ranges of one class, named after the outermost container that holds them."""
        outer = [node for node in self.nodes if node.kind is NodeKind.CONTAINER and len(node.chain) == 2]
        if len(outer) > MAP_SPANS:
            return ()
        edges = {edge for node in outer if node.offset is not None for edge in (node.offset, node.offset + node.size)}
        names = sorted((node.offset or 0, node.size, node.chain[-1]) for node in outer)
        starts = [offset for offset, _, _ in names]
        out: list[Span] = []
        pieces = ranges(self.source.size, self.paints)
        if len(pieces) > MAP_SPANS:
            return ()
        for begin, length, which in pieces:
            cuts = sorted({begin, begin + length, *(edge for edge in edges if begin < edge < begin + length)})
            for low, high in pairwise(cuts):
                index = bisect_right(starts, low) - 1
                inside = index >= 0 and low < names[index][0] + names[index][1]
                out.append(Span(offset=low, length=high - low, kind=_KINDS[which], label=names[index][2] if inside else ""))
        return tuple(out) if len(out) <= MAP_SPANS else ()


def _folded(image: str, gaps: list[Gap]) -> tuple[Gap, ...]:
    """The gaps in order; of those with one reason the first ALIKE, then one that counts the others."""
    seen: Counter[str] = Counter()
    size: Counter[str] = Counter()
    kept: list[Gap] = []
    for gap in gaps:
        reason = gap.reason if len(seen) < REASONS or gap.reason in seen else "other reasons"
        seen[reason] += 1
        if seen[reason] <= ALIKE:
            kept.append(gap)
        else:
            size[reason] += gap.bytes or 0
    return (
        *kept,
        *(Gap(node=f"{image} › {seen[reason] - ALIKE} more places", reason=reason, bytes=size[reason]) for reason in size),
    )
