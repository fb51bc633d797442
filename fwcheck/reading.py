"""Reads contents: one item of the explored tree becomes nodes with their facts, archives inside it included.

This is the work of the worker processes: it joins extraction (how to get the bytes) and inspection (what they say), so that
each content is decoded once and looked at while it is hot.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from enum import Enum, auto

import msgspec

from fwcheck.extraction.coverage import Class, Paint
from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.explore import Explorer, Item
from fwcheck.extraction.limits import Spent
from fwcheck.extraction.signed_files import named, signatures
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.inspection.cache import FactsCache
from fwcheck.inspection.inspect import glance, inspect, inspect_stream
from fwcheck.inspection.text import LIMIT, is_left_out
from fwcheck.known import Known, Recalled
from fwcheck.model import Facts, Gap, Node, NodeKind

WHOLE = 64 << 20  # contents up to this size are held in memory as one piece
DEFER = 16 << 20  # containers inside files above this size are explored by the parent, so that all workers share them
CARVE = 4096  # binary files of at least this size are searched for containers at every offset
SHARE = 0.6  # of the seconds a content may take, after which nothing more inside it is begun
KERNEL = 512 << 10  # a program of at least this size may be a kernel, with an initramfs and its configuration in it
_BANNER = re.compile(rb"Linux version [2-9]\.\d")
OPAQUE = 64 << 10  # random-looking files of at least this size are reported as unread
OPAQUE_ENTROPY = 7.98  # bits per byte over the inspector's sample


# Texts that decide who gets in and what is started: where one of them is too long to be read, that has to be told.
_DECIDES = re.compile(
    r"(?i)/(?:[\w.-]*passwd[\w.-]*|g?shadow-?|group-?|inittab|fstab|sudoers|authorized_keys|crontab|rcS|rc\.local|securetty|profile)$"
    r"|/(?:init\.d|rc\w?\.d|crontabs|cron\.d|pam\.d|sudoers\.d|uci-defaults|xinetd\.d|systemd/system|init)/[^/]{1,255}$"
    r"|/etc(?:_ro)?/(?:.{0,512}\.(?:conf|cfg|ini|config|rules|rc)|config/[^/]{1,255})$|/init[^/]{0,64}\.rc$"
)
_TOO_LONG = f"configuration of more than {LIMIT >> 10} KiB: its text is not read"

Sink = Callable[[Node, ByteSource], dict[str, str | int]]
"""Takes each content as it is read; what it gives is added to the detail of its node."""


_RECENT = 1024  # facts of contents that are kept by a worker
_TWINS = 8  # times that one archive is opened at different places
_DEEP = 3  # containers inside containers below which it is opened once
_TWIN = 4096  # bytes from which that is worth it


class Reading(msgspec.Struct, kw_only=True):
    """What reading one item gave. ``deferred``: the parent has to explore this content itself."""

    nodes: list[Node] = []
    facts: list[Facts] = []
    paints: list[Paint] = []
    gaps: list[Gap] = []
    deferred: bool = False


class _Inside(Enum):
    """What came of looking for containers in a content."""

    UNASKED = auto()
    NOTHING = auto()
    OPAQUE = auto()  # nothing, and it looks encrypted
    SOMETHING = auto()  # or it was not looked through


class Reader:
    """Reads items with one explorer and one facts cache (both of this process).

    With a sink the contents are wanted, not what they say: facts are limited to what finds archives inside them.
    """

    def __init__(
        self, explorer: Explorer, cache: FactsCache | None, sink: Sink | None = None, known: Known | None = None
    ) -> None:
        self._explorer = explorer
        self._meter = explorer.meter
        self._cache = cache
        self._sink = sink
        self._known = known if sink is None else None
        self._recent: dict[str, Facts] = {}
        self._opened: dict[str, tuple[int, str]] = {}  # by hash: how often, and where first

    def read(self, item: Item) -> Reading:
        """Reads one item and everything inside it; failures become gaps.

        Within a share of the time a content may take, so that a nest of archives gives what was read of it before the worker
        is stopped for good.
        """
        out = Reading()
        self._meter.allow(self._explorer.limits.seconds_content * SHARE)
        self._read(item, out)
        return out

    def _read(self, item: Item, out: Reading) -> None:
        node = item.node
        out.nodes.append(node)
        counted = self._meter.unpacked
        try:
            if not item.readable:
                return
            if item.source is None:  # to be unpacked
                self._meter.check()
            content = item.content()
            if content is None:
                return
            packed = self._packed(item, content)
            recalled = self._known.find(packed, content.size) if self._known is not None and packed is not None else None
            facts, held = self._inspect(content) if recalled is None else (recalled.facts, None)
            if item.source is None and self._meter.unpacked == counted:  # no decoder has counted it
                self._meter.add(facts.size)
        except Spent as error:
            out.gaps.append(Gap(node=node.label, reason=f"not read: {error}", bytes=node.size))
            return
        except ExtractionError as error:
            out.gaps.append(Gap(node=node.label, reason=str(error), bytes=node.size))
            return
        except MemoryError:
            out.gaps.append(Gap(node=node.label, reason="needs more memory than a worker may have", bytes=node.size))
            return
        except Exception as error:  # noqa: BLE001  # a defect met in one member must not lose the archive around it
            out.gaps.append(Gap(node=node.label, reason=f"not read: {type(error).__name__}: {error}"[:200], bytes=node.size))
            return
        detail = node.detail if self._sink is None else {**node.detail, **self._sink(node, content)}
        signed = recalled.signatures if recalled is not None else ()
        if held is not None and self._sink is None:
            signed = signatures(held, node.path)
        out.nodes[-1] = msgspec.structs.replace(
            node, sha256=facts.sha256, size=facts.size, detail=detail, signatures=signed or node.signatures
        )
        out.facts.append(facts)
        out.gaps += [Gap(node=node.label, reason=problem) for problem in facts.problems]
        if (
            self._sink is None
            and facts.text is None
            and is_left_out(facts.kind, facts.size)
            and (_DECIDES.search(node.path) or _is_shell(facts))
        ):
            out.gaps.append(Gap(node=node.label, reason=_TOO_LONG, bytes=facts.size))
        if item.source is not None:
            return
        if recalled is not None:
            self._inside_again(item, content, recalled, out)
            return
        looked = self._inside(item, content, held, facts, out)
        if self._known is not None and packed is not None and looked is not _Inside.SOMETHING:
            self._known.keep(packed, Recalled(facts, signed, looked is not _Inside.UNASKED, looked is _Inside.OPAQUE))

    def _packed(self, item: Item, content: ByteSource) -> str | None:
        """What a content is known by before it is decoded; None where that would not do, or cannot be told."""
        if self._known is None or item.source is not None or content.size > WHOLE or named(item.node.path):
            return None
        return None if item.depth >= self._explorer.limits.depth else self._known.digest(content)

    def _twin(self, node: Node, facts: Facts, depth: int) -> str | None:
        """Where the very same content was opened already, when that was deep inside or often enough.

        Archives that hold themselves ten times over, eleven deep, are opened eleven times, not 10 to the power of eleven.
        """
        count, label = self._opened.get(facts.sha256, (0, node.label))
        self._opened[facts.sha256] = (count + 1, label)
        return label if count >= (_TWINS if depth <= _DEEP else 1) else None

    def _once(self, held: memoryview) -> Facts:
        """The facts of a content, from those this process has just read where it is there again: twins come together.

        Both slots of an image, the members of a bomb: the same bytes need not be looked at twice.
        """
        digest = hashlib.sha256(held).hexdigest()
        facts = self._recent.get(digest)
        if facts is None:
            facts = self._cache.inspect(held, digest) if self._cache is not None else inspect(held, digest)
            if facts.size >= _TWIN and facts.text is None:
                self._recent[digest] = facts
                if len(self._recent) > _RECENT:
                    self._recent.pop(next(iter(self._recent)))
        return facts

    def _inspect(self, content: ByteSource) -> tuple[Facts, memoryview | None]:
        if self._sink is not None:
            return glance(content.chunks(), content.size), content.view(0, content.size) if content.size <= WHOLE else None
        if content.size > WHOLE:
            return inspect_stream(content.chunks(), content.size), None
        held = content.view(0, content.size)
        return self._once(held), held

    def _inside(self, item: Item, content: ByteSource, held: memoryview | None, facts: Facts, out: Reading) -> _Inside:
        """Containers inside a file; and a gap when the file looks encrypted and nothing was found in it."""
        node = item.node
        head = held[: self._explorer.head] if held is not None else content.peek(0, self._explorer.head)
        announced = self._explorer.announces(head)
        carve = facts.kind == "binary" and facts.size >= CARVE and not announced
        kernel = held is not None and facts.kind == "elf" and facts.size >= KERNEL and _BANNER.search(held) is not None
        if not announced and not carve and not kernel:
            return _Inside.UNASKED
        if self._is_twin(item, facts, out):
            return _Inside.SOMETHING
        if held is None or (announced and facts.size > DEFER):
            out.deferred = out.deferred or announced
            return _Inside.SOMETHING
        inner = self._explorer.explore(Memory(held), (*node.chain, node.path), item.depth + 1, carve=carve)
        out.gaps += inner.gaps
        if kernel:
            inner.items = _parts_of_kernel(inner.items)
        if any(each.node.kind is NodeKind.CONTAINER for each in inner.items):
            for each in inner.items:
                self._read(each, out)
            return _Inside.SOMETHING
        opaque = carve and facts.size >= OPAQUE and (facts.entropy or 0.0) >= OPAQUE_ENTROPY
        if opaque:
            _tell_opaque(node, content, out)
        return _Inside.SOMETHING if inner.gaps else _Inside.OPAQUE if opaque else _Inside.NOTHING

    def _inside_again(self, item: Item, content: ByteSource, recalled: Recalled, out: Reading) -> None:
        """The same for a content in which no container was found when it was decoded."""
        if recalled.searched and not self._is_twin(item, recalled.facts, out) and recalled.opaque:
            _tell_opaque(item.node, content, out)

    def _is_twin(self, item: Item, facts: Facts, out: Reading) -> bool:
        """Whether the content was opened elsewhere, which its node then says."""
        twin = self._twin(item.node, facts, item.depth)
        if twin is None:
            return False
        detail = {**out.nodes[-1].detail, "same_bytes_as": twin}
        out.nodes[-1] = msgspec.structs.replace(out.nodes[-1], detail=detail)
        return True


def _tell_opaque(node: Node, content: ByteSource, out: Reading) -> None:
    """A gap for a file that looks encrypted."""
    out.gaps.append(Gap(node=node.label, reason="file as even as a cipher's output: not read", bytes=content.size))
    out.paints += [(begin, length, Class.ENCRYPTED) for begin, length in content.extents(0, content.size)]


def _is_shell(facts: Facts) -> bool:
    return facts.kind == "script" and facts.interpreter is not None and facts.interpreter.endswith("sh")


def _parts_of_kernel(items: list[Item]) -> list[Item]:
    """What a kernel holds, if anything. The program itself was read as the file that it is."""
    for item in items:
        if item.node.kind is NodeKind.CONTAINER and item.node.format == "elf":
            item.source = None
    return items if len(items) > 1 else []
