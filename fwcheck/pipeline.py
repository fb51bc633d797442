"""The order of the stages: image, extraction, inspection, device, analysers, mapper, report, gate.

The only file that sees them all. Nothing here knows a format, a rule or a criterion.
"""

from __future__ import annotations

import gc
import hashlib
import os
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from fwcheck import __version__
from fwcheck.declaration import Declaration, DeclarationError
from fwcheck.declaration import load as load_declaration
from fwcheck.device.firmware import Firmware
from fwcheck.extraction import spool
from fwcheck.extraction.coverage import Class, Paint, account, profile, ranges
from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.explore import Explorer, Item
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import CHUNK, Mapped
from fwcheck.model import (
    SCHEMA_VERSION,
    Coverage,
    Facts,
    Gap,
    GateResult,
    Image,
    Node,
    NodeKind,
    Report,
    Severity,
    Span,
    TierSummary,
    Tool,
)
from fwcheck.opinions.ask import Unavailable, ask, chosen, unknown
from fwcheck.reading import Reader, Reading, Sink
from fwcheck.workers import Failure, Pool

if TYPE_CHECKING:
    from fwcheck.device.signatures import PublicKey
    from fwcheck.vulnerabilities.database import Knowledge
    from fwcheck.vulnerabilities.store import Statement

LARGEST = 32 << 30  # bytes of an image: a sparse file claims any size, and every byte of it is hashed
UNIT_BYTES = 2 << 20  # contents handed to a worker at once
UNIT_ITEMS = 64
_COLLECT = 50_000  # allocations between two collections of the youngest values
RELEASE = 48 << 20  # bytes a worker reads before it gives the pages of mapped files back

ALIKE = 200  # gaps of one reason that are listed one by one
REASONS = 1000  # different reasons; numbers in them differ from place to place
MAP_SPANS = 800  # a map of more ranges than this shows nothing
_KINDS: dict[Class, Literal["explained", "padding", "unknown", "encrypted"]] = {
    Class.EXPLAINED: "explained",
    Class.PADDING: "padding",
    Class.UNKNOWN: "unknown",
    Class.ENCRYPTED: "encrypted",
}

Progress = Callable[[str, int, int], None]  # stage, done, total


class InputError(Exception):
    """The image cannot be read at all: one line for the user, exit status 2."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan may use and what is asked of it."""

    target: str | None = None  # None: the one that the maker states, else STAR-1
    product: Path | None = None  # what the maker states of the product (product.toml)
    jobs: int = 0  # worker processes; 0: one per core
    cache: Path | None = None
    second_opinions: tuple[str, ...] = ()  # other extractors that are asked about what stays unknown, in this order
    limits: Limits = Limits()
    update_keys: tuple[Path, ...] = ()  # files with public keys that the signatures of the image are verified with
    database: Path | None = None  # the knowledge file; None: the user's own, else the one shipped
    vex: tuple[Path, ...] = ()  # documents that say which known vulnerabilities do not count
    min_tier: str | None = None
    min_score: int | None = None
    fail_on: Severity | None = None


def _ran(rules: Iterable[str], declared: Declaration | None) -> frozenset[str]:
    """The rules that were looked for: those on statements only where there are any."""
    return frozenset(rule for rule in rules if declared is not None or not rule.startswith("DEC-"))


def _declaration(path: Path | None) -> Declaration | None:
    """What the maker states; raises InputError when the file is no declaration."""
    try:
        return None if path is None else load_declaration(path)
    except DeclarationError as error:
        raise InputError(str(error)) from error


def _silent(stage: str, done: int, total: int) -> None:
    """No progress is shown."""


def scan(path: Path, options: Options, progress: Progress = _silent) -> Report:
    """The whole way from an image file to its report.

    Raises InputError when the file cannot be read or is empty.
    """
    with _seldom_collected():
        return _scan(path, options, progress)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Rare garbage collection: a scan makes hundreds of thousands of values that live to its end, and hardly a cycle.

    Going over them again and again costs the stages behind extraction half of their time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _scan(path: Path, options: Options, progress: Progress) -> Report:
    clock = _Clock()
    keys = _update_keys(options.update_keys)
    statements = _statements(options.vex)
    declared = _declaration(options.product)
    if options.database is not None:
        _knowledge(options.database)  # a file that is none is told before the image is read
    firmware = extract(path, options, progress, _later_stages(options.database))
    clock.mark("extraction_and_inspection")
    gc.freeze()  # the tree and the facts stay

    from fwcheck.device.build import build  # noqa: PLC0415  # only a scan pays for what comes after extraction

    progress("device model", 0, 1)
    device = build(firmware, keys)
    clock.mark("device")

    from fwcheck.device.kernel_configuration import architecture, configurations  # noqa: PLC0415
    from fwcheck.vulnerabilities.annotate import annotate  # noqa: PLC0415

    knowledge = _knowledge(options.database)
    try:
        known = annotate(device.components, knowledge, statements, configurations(firmware), architecture(firmware))
    except ValueError as error:
        raise InputError(f"{knowledge.path}: {error}") from error
    device = msgspec.structs.replace(device, components=known, declared=declared)
    clock.mark("vulnerabilities")

    from fwcheck.analysers.registry import analyse, rules  # noqa: PLC0415

    progress("analysers", 0, 1)
    findings = analyse(firmware, device)
    clock.mark("analysers")

    from fwcheck.gate import evaluate  # noqa: PLC0415
    from fwcheck.jcstar.mapper import judge, summary  # noqa: PLC0415

    target = options.target or (declared.product.target if declared is not None else None) or "STAR-1"
    tiers = judge(findings, firmware.coverage, device, target=target, ran=_ran(rules(), declared))
    report = Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="fwcheck", version=__version__, rules_digest=rules_digest(), database_date=knowledge.date),
        image=firmware.image,
        coverage=firmware.coverage,
        device=device,
        components=device.components,
        findings=findings,
        tiers=tiers,
        tier=TierSummary(target=target, **summary(tiers, target)),
        gate=GateResult(),
        timing={},
    )
    gate = evaluate(report, min_tier=options.min_tier, min_score=options.min_score, fail_on=options.fail_on)
    clock.mark("judgement")
    return msgspec.structs.replace(report, gate=gate, timing=clock.total())


def _update_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    if not paths:
        return ()
    from fwcheck.device.update_keys import NoKey, read  # noqa: PLC0415  # few scans are given keys

    found: list[PublicKey] = []
    for path in paths:
        try:
            found += read(path)
        except (OSError, NoKey) as error:
            raise InputError(f"--update-key {path}: {getattr(error, 'strerror', None) or error}") from error
    return tuple(found)


def _later_stages(database: Path | None) -> list[Callable[[], object]]:
    """Imports and tables of the stages behind extraction: got ready while the workers read."""
    modules = ("device.build", "analysers.registry", "vulnerabilities.database", "jcstar.mapper", "gate", "reports.json")
    steps: list[Callable[[], object]] = [partial(import_module, f"fwcheck.{module}") for module in modules]
    return [*steps, lambda: import_module("fwcheck.analysers.registry").registered(), partial(_knowledge, database)]


@cache
def _knowledge(path: Path | None) -> Knowledge:
    from fwcheck.vulnerabilities.database import Knowledge, user_file  # noqa: PLC0415

    try:
        return Knowledge.open(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path or user_file()}: {getattr(error, 'strerror', None) or error}") from error


def _statements(paths: Sequence[Path]) -> tuple[Statement, ...]:
    if not paths:
        return ()
    from fwcheck.vulnerabilities.vex import NotVex, read  # noqa: PLC0415  # few scans are given statements

    try:
        return tuple(each for path in paths for each in read(path))
    except NotVex as error:
        raise InputError(f"--vex {error}") from error


def extract(
    path: Path,
    options: Options,
    progress: Progress = _silent,
    meanwhile: Sequence[Callable[[], object]] = (),
    sink: Sink | None = None,
) -> Firmware:
    """The firmware tree with the facts of every content; raises InputError like :func:`scan`.

    The steps of ``meanwhile`` are done while the workers read. ``sink`` is called in the workers with every content.
    """
    source = open_image(path)
    try:
        opinions = chosen(options.second_opinions)
    except Unavailable as error:
        raise InputError(f"--second-opinion: {error}") from error

    from fwcheck.inspection.preload import begin  # noqa: PLC0415

    inspection_ready = begin(options.cache) if sink is None else lambda: None
    explorer = Explorer(options.limits.metered(source.size))
    progress("reading the structure", 0, 1)
    assembly = _Assembly(path.name, source)
    found = explorer.explore(source, (path.name,), 1)
    assembly.paints += found.paints
    assembly.gaps += found.gaps
    inspection_ready()
    regions = unknown(found.items) if options.second_opinions else []
    _read_all(found.items, explorer, source, assembly, options, progress, meanwhile, sink)
    if regions:
        progress("second opinions", 0, 1)
        with ask(opinions, regions) as found:
            assembly.paints += found.paints
            assembly.gaps += found.gaps
            _read_all(found.items, explorer, source, assembly, options, progress, sink=sink)
    spent = explorer.meter.spent()
    if spent is not None:
        assembly.gaps.append(Gap(node=path.name, reason=f"limit of the whole image: {spent}"))
    return assembly.firmware()


def open_image(path: Path) -> Mapped:
    """The image as a source; raises InputError with the reason in one line."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory, not an image")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        source = Mapped.open(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if source.size == 0:
        raise InputError(f"{path}: is empty")
    if source.size > LARGEST:
        raise InputError(f"{path}: is larger than {LARGEST >> 30} GiB")
    return source


class _Assembly:
    """Collects what workers give back and puts it into the order of the image."""

    def __init__(self, name: str, source: Mapped) -> None:
        self.name = name
        self.source = source
        self.whole: _Whole | None = None
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
        whole = self.whole or _look(self.source)
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


def _read_all(
    items: list[Item],
    explorer: Explorer,
    source: Mapped,
    assembly: _Assembly,
    options: Options,
    progress: Progress,
    meanwhile: Sequence[Callable[[], object]] = (),
    sink: Sink | None = None,
) -> None:
    """Reads all items in rounds: what a worker defers is explored here and read in the next round."""
    reader: list[Reader] = []
    touched = 0

    from fwcheck.inspection.cache import FactsCache  # noqa: PLC0415  # imported after the structure was read

    def task(number: int) -> Reading | _Whole:
        if number == len(items):
            return _look(source)
        if not reader:  # in the worker: a cache connection must not cross a fork
            reader.append(Reader(explorer, FactsCache.open(options.cache) if options.cache is not None else None, sink))
        nonlocal touched
        touched += items[number].node.size
        if touched > RELEASE:
            touched = 0
            Mapped.release_all()
            spool.release_all()
        return reader[0].read(items[number])

    jobs = options.jobs or os.cpu_count() or 1
    results: dict[int, Reading] = {}
    pool: Pool[Reading | _Whole] = Pool(task, jobs, options.limits.seconds_content, patient=(len(items),))
    total = len(items)
    for done, (number, result) in enumerate(pool.run(_units(items, [len(items)]), explorer.meter.deadline, meanwhile), 1):
        progress("reading contents", done, total)
        if number == len(items):
            assembly.whole = result if isinstance(result, _Whole) else None
        elif isinstance(result, Failure):
            node = items[number].node
            results[number] = Reading(nodes=[node], gaps=[Gap(node=node.label, reason=result.reason, bytes=node.size)])
        elif isinstance(result, Reading):
            assembly.learn(result)
            if not _settled(items[number], result):
                results[number] = result
    deferred: list[Item] = []
    for number, item in enumerate(items):
        reading = results.pop(number, None) or Reading(nodes=[item.node])
        assembly.take(reading)
        if reading.deferred:
            deferred += _expand(item, explorer, assembly)
    if deferred:
        _read_all(deferred, explorer, source, assembly, options, progress, sink=sink)


def _settled(item: Item, reading: Reading) -> bool:
    """Keeps the result of the usual case, one file with nothing in it, in the item itself: a third of the memory."""
    if len(reading.nodes) != 1 or reading.gaps or reading.paints or reading.deferred:
        return False
    item.node = reading.nodes[0]
    item.open = item.source = None
    return True


def _expand(item: Item, explorer: Explorer, assembly: _Assembly) -> list[Item]:
    try:
        content = item.content()
        if content is None:
            return []
        inner = explorer.explore(content, (*item.node.chain, item.node.path), item.depth + 1, carve=False)
    except (ExtractionError, OSError) as error:
        assembly.gaps.append(Gap(node=item.node.label, reason=str(error), bytes=item.node.size))
        return []
    assembly.paints += inner.paints
    assembly.gaps += inner.gaps
    return inner.items


def _units(items: list[Item], extra: list[int]) -> list[list[int]]:
    """Groups items that lie next to each other in the image: big ones first, neighbours that share a block together."""
    wanted = [number for number, item in enumerate(items) if item.readable]

    def place(number: int) -> tuple[int, int]:
        return order[items[number].node.chain], items[number].locality

    order: dict[tuple[str, ...], int] = {}
    for item in items:
        order.setdefault(item.node.chain, len(order))
    units: list[list[int]] = []
    size, last = 0, (-1, -1)
    for number in sorted(wanted, key=lambda each: (*place(each), each)):
        here = place(number)
        full = size >= UNIT_BYTES or (units and len(units[-1]) >= UNIT_ITEMS)
        if not units or here[0] != last[0] or (full and here != last):
            units.append([])
            size = 0
        units[-1].append(number)
        size += items[number].node.size
        last = here
    weight = {id(unit): sum(items[number].node.size for number in unit) for unit in units}
    return [extra, *sorted(units, key=lambda unit: -weight[id(unit)])]


class _Whole(msgspec.Struct, frozen=True):
    """What is asked of the image as one piece of bytes."""

    sha256: str
    entropy: tuple[float, ...]


def _look(source: Mapped) -> _Whole:
    entropy = profile(source)
    digest = hashlib.sha256()
    for chunk in source.chunks(CHUNK):
        digest.update(chunk)
    return _Whole(digest.hexdigest(), entropy)


def rules_digest() -> str:
    """A digest over everything that decides findings: tool version, rules, pattern catalogues, profiles."""
    from fwcheck.analysers.registry import rules  # noqa: PLC0415
    from fwcheck.inspection.inspect import INSPECTOR_VERSION  # noqa: PLC0415
    from fwcheck.jcstar.catalogue import digest as profiles  # noqa: PLC0415

    known = msgspec.json.encode(sorted(rules().values(), key=lambda rule: rule.id))
    parts = [__version__, INSPECTOR_VERSION, profiles(), hashlib.sha256(known).hexdigest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class _Clock:
    """Wall seconds per stage."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._stages: dict[str, float] = {}

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self._stages[stage] = round(now - self._last, 4)
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self._stages, "total": round(time.perf_counter() - self._begun, 4)}
