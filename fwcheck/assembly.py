"""What the workers gave back, put into the order of the image: the firmware with its coverage account."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from typing import Literal

import msgspec

from fwcheck.device.firmware import Firmware
from fwcheck.extraction.coverage import Class, Paint, account, profile, ranges
from fwcheck.extraction.source import CHUNK, Mapped
from fwcheck.model import Coverage, Facts, Gap, Image, Node, NodeKind, Span
from fwcheck.reading import Reading

ALIKE = 200  # gaps of one reason that are listed one by one
REASONS = 1000  # different reasons; numbers in them differ from place to place
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
        return Firmware(image, self.nodes, self.facts, coverage, self.source.read)

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
