"""From a source to the tree of nodes: containers are found, validated, opened and searched in turn.

Exploring reads headers and metadata only. Contents stay unread: they are handed on as items, and whoever reads one may
explore it in turn (an archive inside a file system) with the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter, thread_time

import msgspec

from fwcheck.extraction.coverage import Class, Paint, classify, is_text
from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded, Truncated
from fwcheck.extraction.evenness import evenness, xor_key
from fwcheck.extraction.format import Container, Entry, Format
from fwcheck.extraction.identify import Hit, SignatureIndex, signatures
from fwcheck.extraction.limits import Limits, Meter, Spent
from fwcheck.extraction.source import ByteSource, Window
from fwcheck.model import Gap, Node, NodeKind

REJECTS = 50_000  # signatures that turned out to be something else, per source
WASTE = 4.0  # seconds of processor time that signatures without a container behind them may cost in what is explored,
WASTE_BYTE = 0.3 / (1 << 20)  # more of them per byte of it and of what is unpacked in it,
WASTE_UNPACKED = 8  # times its own size, at most,
WASTE_SHARE = 0.5  # and how much of both any one format may take: the others are looked for still
LONG = 256  # characters of a path that cost as much as one more node
_EXPLAINS_CODE = frozenset({"executable", "microcontroller"})
SMALL = 1024  # unknown pieces below this are counted, not listed
XOR = 16 << 10  # unread regions from this size on are tried for a short XOR key
XOR_TRIES = 64  # of an image: each costs milliseconds


class Item(msgspec.Struct, kw_only=True):
    """A node and, when it has content that was not read yet, how to get at it.

    There may be hundreds of thousands: of an entry only its way to the content is kept, and where its packed bytes lie.
    """

    node: Node
    open: Callable[[], ByteSource] | None = None
    locality: int = 0
    source: ByteSource | None = None
    depth: int = 0

    @property
    def readable(self) -> bool:
        """Whether there is a content."""
        return self.source is not None or self.open is not None

    def content(self) -> ByteSource | None:
        """The content; None for nodes without one. Raises FormatError or QuotaExceeded."""
        if self.source is not None:
            return self.source
        return self.open() if self.open is not None else None


class Findings(msgspec.Struct, kw_only=True):
    """What exploring gave: items in image order, paints for the coverage account, gaps."""

    items: list[Item] = []
    paints: list[Paint] = []
    gaps: list[Gap] = []


class Explorer:
    """Explores sources under the limits of one scan.

    Time, unpacked bytes and nodes are looked at between two signatures, between two members, and between two pieces a decoder
    gives. Not bounded is a single call into a native decoder (some milliseconds for the pieces they are fed) and whatever one
    ``Format.open`` computes without decoding: formats bound their own loops. A decoder that crashes here takes the scan down;
    contents are read in processes that may crash, their structure is not.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits if limits.meter is not None else limits.metered()
        assert self.limits.meter is not None
        self.meter: Meter = self.limits.meter
        self._index = SignatureIndex()
        self._explored: dict[tuple[int, int, int], tuple[ByteSource, str]] = {}
        self._root: tuple[str, ...] = ()  # chain of what is explored at the top
        self._tries = XOR_TRIES
        self._waste = _Waste()

    def explore(self, source: ByteSource, chain: tuple[str, ...], depth: int, carve: bool = True) -> Findings:
        """Everything inside ``source``. With ``carve`` False only a container at its very beginning is looked for.

        Raises nothing for bad input: what was found before a limit was hit stands, and the limit is among the gaps.
        """
        out = Findings()
        self._root = chain
        self._waste = _Waste()
        try:
            self._explore(source, chain, depth, carve, out)
        except Spent as error:
            out.gaps.append(Gap(node=" › ".join(chain), reason=f"{error}: what follows was not looked at"))
        finally:
            # Both hold on to sources: a worker would collect the contents of all archives it has seen.
            self._index.clear()
            self._explored.clear()
        return out

    @property
    def head(self) -> int:
        """How many of a content's first bytes tell whether it may be a container."""
        return signatures().head

    def announces(self, head: bytes | memoryview) -> bool:
        """Whether a content with these first bytes (:attr:`head` of them) may be a container whose members are worth opening."""
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
            begin = max(end, offset - container.before)
            if carve:
                self._rest(source, chain, end, begin - end, out)
            end = offset + container.size
            self._container(source, (*chain, f"{each.name}@0x{begin:x}"), (begin, end), container, depth, out)
        # A content that holds no container and is no part of the image's own bytes is told as a whole by whoever asked.
        if carve and (found or source.anchored):
            self._rest(source, chain, end, source.size - end, out)

    def _containers(
        self, source: ByteSource, chain: tuple[str, ...], carve: bool, out: Findings
    ) -> Iterator[tuple[int, Format, Container]]:
        end = rejects = begin = 0
        waste = self._waste
        if not isinstance(source, Window) or chain == self._root:
            waste.grow(source.size)
        hits: Iterable[Hit]
        while True:
            if carve:
                hits, reach = self._index.hits(source, begin)
            else:
                hits, reach = signatures().at_start(source.peek(0, signatures().head)), source.size
            for offset, _, each in hits:
                if offset < end:
                    continue
                self.meter.check()
                begun, container = perf_counter(), None
                if each.name not in waste.given_up and not _itself(each, chain, offset, self._root):
                    container = self._open(each, source, offset, chain, out)
                if container is None:
                    rejects += 1
                    reason = waste.add(each, offset, perf_counter() - begun)
                    if reason:
                        out.gaps.append(Gap(node=" › ".join(chain), reason=reason, bytes=source.size - offset))
                    if rejects >= REJECTS or waste.over:
                        reach = offset
                        break
                    continue
                end = offset + container.size
                yield offset, each, container
            if max(reach, end) >= source.size:
                return
            if rejects >= REJECTS or waste.over or reach <= begin:
                break
            begin = max(reach, end)
        reason = "too many container signatures: the search was cut short"
        out.gaps.append(Gap(node=" › ".join(chain), reason=reason))

    def _open(self, each: Format, source: ByteSource, offset: int, chain: tuple[str, ...], out: Findings) -> Container | None:
        """The container at a signature; None when there is none. A quota or a fault of the parser becomes a gap."""
        try:
            container = each.open(source, offset, self.limits)
            source.check(offset, max(container.size, 1))
        except Spent:
            raise
        except (QuotaExceeded, Truncated) as error:
            reason = str(error)
        except FormatError:
            return None
        except Exception as error:  # noqa: BLE001  # a defect of one parser must not lose the image
            reason = _fault(error)
        else:
            return container
        reason = _shown(f"{each.name} at 0x{offset:x}: {reason}")
        out.gaps.append(Gap(node=" › ".join(chain), reason=reason, bytes=source.size - offset))
        return None

    def _container(
        self, source: ByteSource, chain: tuple[str, ...], place: tuple[int, int], container: Container, depth: int, out: Findings
    ) -> None:
        """Lists a container that claims ``place``: (begin, end) in the source."""
        self.meter.add(nodes=1)
        begin, size = place[0], place[1] - place[0]
        node = Node(
            chain=chain,
            path="",
            kind=NodeKind.CONTAINER,
            size=size,
            format=container.format,
            offset=begin,
            detail=_shown_detail(container.detail),
            signatures=container.signatures,
            keys=container.keys,
        )
        position = len(out.items)
        out.items.append(Item(node=node, depth=depth))
        _paint(source, begin, size, Class.EXPLAINED, out)
        try:
            for entry in container.entries:
                self._entry(chain, entry, depth, out)
        except Spent:
            raise
        except ExtractionError as error:
            out.gaps.append(Gap(node=" › ".join(chain), reason=_shown(f"listing stopped: {error}")))
        except Exception as error:  # noqa: BLE001  # a defect of one parser must not lose what was listed, nor the rest
            out.gaps.append(Gap(node=" › ".join(chain), reason=_shown(f"listing stopped: {_fault(error)}")))
        finally:
            if container.format == "elf":
                out.items[position] = Item(node=node, source=source.window(begin, size), depth=depth)
            for problem in islice(container.problems, 20):
                out.gaps.append(Gap(node=" › ".join(chain), reason=_shown(problem)))

    def _entry(self, chain: tuple[str, ...], entry: Entry, depth: int, out: Findings) -> None:
        self.meter.add(nodes=1 + len(entry.path) // LONG)
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
        if entry.role == "encrypted":
            self._encrypted(node, entry, depth, out)
            return
        if entry.role != "part" or entry.open is None:
            opener = entry.open if entry.role == "file" else None
            out.items.append(Item(node=node, open=opener, locality=entry.locality, depth=depth))
            return
        try:
            part = entry.open()
        except Spent:
            out.items.append(Item(node=node, depth=depth))
            raise
        except ExtractionError as error:
            out.items.append(Item(node=node, depth=depth))
            out.gaps.append(Gap(node=node.label, reason=_shown(str(error)), bytes=entry.size))
            return
        node = msgspec.structs.replace(node, size=part.size)
        before = self._before(part, node.label)
        if before is not None:
            out.items.append(
                Item(node=msgspec.structs.replace(node, detail={**node.detail, "same_bytes_as": before}), depth=depth)
            )
            return
        self._part(part, node, depth, out)

    def _encrypted(self, node: Node, entry: Entry, depth: int, out: Findings) -> None:
        """Bytes that their container calls encrypted: a gap with the name of the scheme, and content only for its hash."""
        reason = _shown(f"encrypted ({entry.detail.get('encryption', 'unknown scheme')}): nothing inside was read")
        content: ByteSource | None = None
        try:
            content = entry.open() if entry.open is not None else None
        except Spent:
            raise
        except ExtractionError as error:
            reason = _shown(f"{reason}; {error}")
        if content is not None:
            _paint(content, 0, content.size, Class.ENCRYPTED, out)
        detail = node.detail | (evenness(content, 0, content.size).detail() if content is not None else {})
        node = msgspec.structs.replace(node, format=Class.ENCRYPTED.name.lower(), detail=detail)
        out.items.append(Item(node=node, source=content, locality=entry.locality, depth=depth))
        out.gaps.append(Gap(node=node.label, reason=reason, bytes=content.size if content is not None else entry.size))

    def _before(self, part: ByteSource, label: str) -> str | None:
        """Where the very same bytes were explored already: tables whose parts cover each other must not multiply the work."""
        base, offset = (part.parent, part.offset) if isinstance(part, Window) else (part, 0)
        key = (id(base), offset, part.size)
        if key in self._explored:
            return self._explored[key][1]
        self._explored[key] = (base, label)
        return None

    def _part(self, part: ByteSource, node: Node, depth: int, out: Findings) -> None:
        inner = Findings()
        try:
            self._explore(part, (*node.chain, node.path), depth + 1, True, inner)
        finally:
            # A part in which no container was found is a content of its own: it is read as one piece, not as its regions.
            if any(item.node.kind is NodeKind.CONTAINER for item in inner.items):
                out.items.append(Item(node=node, depth=depth))
                out.items += inner.items
            else:
                out.items.append(Item(node=msgspec.structs.replace(node, kind=NodeKind.REGION), source=part, depth=depth))
            out.paints += inner.paints
            out.gaps += inner.gaps

    def _rest(self, source: ByteSource, chain: tuple[str, ...], offset: int, length: int, out: Findings) -> None:
        """Bytes that no container claims: padding, or regions that are searched for strings and recorded as gaps."""
        if length <= 0:
            return
        whole, anchored = length == source.size, source.anchored
        for begin, size, kind in classify(source, offset, length):
            text = kind is Class.UNKNOWN and is_text(source, begin, size)
            which = Class.EXPLAINED if text else kind
            _paint(source, begin, size, which, out)
            self.meter.add(nodes=1)
            read = which is not Class.PADDING
            detail, reason = self._look(source, begin, size, which) if read and not text else ({}, "")
            node = Node(
                chain=chain,
                path=f"0x{begin:x}",
                kind=NodeKind.REGION,
                size=size,
                format="text" if text else which.name.lower(),
                offset=begin,
                detail=detail,
            )
            out.items.append(Item(node=node, source=source.window(begin, size) if read else None))
            if read and not text and anchored and (size >= SMALL or whole):
                out.gaps.append(Gap(node=node.label, reason=reason, bytes=size))

    def _look(self, source: ByteSource, begin: int, size: int, which: Class) -> tuple[dict[str, str | int], str]:
        """What the byte values of an unread region tell, and the reason why it stays unread."""
        looked = evenness(source, begin, size)
        detail, reason = looked.detail(), looked.reason(which)
        if size >= XOR and self._tries > 0 and not (which is Class.ENCRYPTED and looked.like_cipher):
            self._tries -= 1
            found = xor_key(source, begin, size)
            if found is not None:
                key, plain = found
                detail |= {"xor_key": key.hex(), "xor_plain": plain}
                reason = f"XORed with a key of {len(key)} byte{'s' * (len(key) > 1)}, under which {plain} can be read; not opened"
        return detail, reason


class _Waste:
    """Processor time that signatures without a container behind them have cost, by format.

    Bytes that only look like a header are rejected quickly; some can be rejected only after much was read or computed, and
    an image may be full of just these, in parts that overlap too. The clock on the wall, which costs nothing to look at, runs
    at least as fast as the processor time: only where it says too much is that asked for.
    """

    def __init__(self) -> None:
        self._allowed, self._most = WASTE, 0.0
        self._seconds: dict[str, float] = {}
        self._sum = 0.0
        self._begun = perf_counter(), thread_time()
        self._share, self._looked = 1.0, 0.0  # of the time on the wall that this thread ran, and when that was asked for
        self.given_up: set[str] = set()

    def grow(self, size: int) -> None:
        """Allows for so many more bytes to search: those of the first call, and of what is unpacked in them."""
        self._most = self._most or WASTE + WASTE_UNPACKED * size * WASTE_BYTE
        self._allowed = min(self._most, self._allowed + size * WASTE_BYTE)

    @property
    def over(self) -> bool:
        """Whether nothing more may be tried."""
        return self._sum * self._share > self._allowed and self._sum * self._running() > self._allowed

    def add(self, each: Format, offset: int, seconds: float) -> str:
        """Counts one rejection; when the format is given up, the reason."""
        self._sum += seconds
        spent = self._seconds[each.name] = self._seconds.get(each.name, 0.0) + seconds
        allowed = self._allowed * WASTE_SHARE
        if each.name in self.given_up or spent * self._share <= allowed or spent * self._running() <= allowed:
            return ""
        self.given_up.add(each.name)
        return f"signatures of {each.name} that were something else took too long: not looked for behind 0x{offset:x}"

    def _running(self) -> float:
        """The share of the time on the wall that this thread ran, asked for now and then."""
        if self._sum >= self._looked:
            wall, own = (now - then for now, then in zip((perf_counter(), thread_time()), self._begun, strict=True))
            self._share = min(1.0, own / wall)
            self._looked = self._sum + self._allowed / 16
        return self._share


def _itself(each: Format, chain: tuple[str, ...], offset: int, root: tuple[str, ...]) -> bool:
    """Whether a source is the code that a format has just explained: it would meet itself over and over.

    One without a magic anywhere in it; any other where the source is a content of its own (no member of a file system, whose
    path is absolute) and the header stands at its beginning.
    """
    if each.category in _EXPLAINS_CODE and any(name.startswith(f"{each.name}@") for name in chain[-2:]):
        return True
    own = offset == 0 and chain == root and len(chain) > 1 and not chain[-1].startswith("/")
    return own and chain[-2].startswith(f"{each.name}@")


def _paint(source: ByteSource, offset: int, size: int, which: Class, out: Findings) -> None:
    out.paints += [(begin, length, which) for begin, length in source.extents(offset, size)]


def _fault(error: Exception) -> str:
    return f"the parser failed: {type(error).__name__}: {error}"[:200]


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
