"""An image file becomes a firmware tree: its structure is explored once, its contents are read by worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from fwcheck.assembly import Assembly, Whole, look
from fwcheck.device.firmware import Firmware
from fwcheck.extraction import spool
from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.explore import Explorer, Item
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped
from fwcheck.model import Gap
from fwcheck.opinions.ask import Unavailable, ask, chosen, unknown
from fwcheck.reading import Reader, Reading, Sink
from fwcheck.remembered import code
from fwcheck.workers import Failure, Pool

LARGEST = 32 << 30  # bytes of an image: a sparse file claims any size, and every byte of it is hashed
UNIT_BYTES = 2 << 20  # contents handed to a worker at once
UNIT_ITEMS = 64
RELEASE = 48 << 20  # bytes a worker reads before it gives the pages of mapped files back

Progress = Callable[[str, int, int], None]  # stage, done, total


class InputError(Exception):
    """The image cannot be read at all: one line for the user, exit status 2."""


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What reading an image may use."""

    name: str = ""  # what the image is called in the report; "": its file's name
    jobs: int = 0  # worker processes; 0: one per core
    cache: Path | None = None
    second_opinions: tuple[str, ...] = ()  # other extractors that are asked about what stays unknown, in this order
    limits: Limits = Limits()


def silent(stage: str, done: int, total: int) -> None:
    """No progress is shown."""


def extract(
    path: Path,
    options: ReadOptions,
    progress: Progress = silent,
    meanwhile: Sequence[Callable[[], object]] = (),
    sink: Sink | None = None,
) -> Firmware:
    """The firmware tree with the facts of every content; raises InputError when the file cannot be read or is empty.

    The steps of ``meanwhile`` are done while the workers read. ``sink`` is called in the workers with every content.
    """
    source = open_image(path)
    name = options.name or path.name
    try:
        opinions = chosen(options.second_opinions)
    except Unavailable as error:
        raise InputError(f"--second-opinion: {error}") from error

    from fwcheck.inspection.preload import begin  # noqa: PLC0415

    inspection_ready = begin(options.cache) if sink is None else lambda: None
    explorer = Explorer(options.limits.metered(source.size))
    progress("reading the structure", 0, 1)
    assembly = Assembly(name, source)
    found = explorer.explore(source, (name,), 1)
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
        assembly.gaps.append(Gap(node=name, reason=f"limit of the whole image: {spent}"))
    return assembly.firmware()


def open_image(path: Path) -> Mapped:
    """The image as a source; raises InputError with the reason in one line."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory, not an image")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file: an image is read from a file that can be gone back in")
        if str(path) == "-":
            raise InputError("-: an image is not read from standard input: write it to a file first")
        source = Mapped.open(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if source.size == 0:
        raise InputError(f"{path}: is empty")
    if source.size > LARGEST:
        raise InputError(f"{path}: is larger than {LARGEST >> 30} GiB")
    return source


def _read_all(
    items: list[Item],
    explorer: Explorer,
    source: Mapped,
    assembly: Assembly,
    options: ReadOptions,
    progress: Progress,
    meanwhile: Sequence[Callable[[], object]] = (),
    sink: Sink | None = None,
) -> None:
    """Reads all items in rounds: what a worker defers is explored here and read in the next round."""
    reader: list[Reader] = []
    touched = 0

    from fwcheck.inspection.cache import FactsCache  # noqa: PLC0415  # imported after the structure was read
    from fwcheck.known import Known  # noqa: PLC0415

    version = code() if options.cache is not None and sink is None else ""

    def task(number: int) -> Reading | Whole:
        if number == len(items):
            return look(source)
        if not reader:  # in the worker: a cache connection must not cross a fork
            cache = FactsCache.open(options.cache) if options.cache is not None else None
            reader.append(Reader(explorer, cache, sink, Known(cache, version) if cache is not None else None))
        nonlocal touched
        touched += items[number].node.size
        if touched > RELEASE:
            touched = 0
            Mapped.release_all()
            spool.release_all()
        return reader[0].read(items[number])

    jobs = options.jobs or os.cpu_count() or 1
    results: dict[int, Reading] = {}
    pool: Pool[Reading | Whole] = Pool(task, jobs, options.limits.seconds_content, patient=(len(items),))
    total = len(items)
    steps = pool.run(_units(items, [len(items)]), explorer.meter.deadline, meanwhile, lambda: explorer.meter.stopped)
    for done, (number, result) in enumerate(steps, 1):
        progress("reading contents", done, total)
        if number == len(items):
            assembly.whole = result if isinstance(result, Whole) else None
        elif isinstance(result, Failure):
            node = items[number].node
            results[number] = Reading(nodes=[node], gaps=[Gap(node=node.label, reason=result.reason, bytes=node.size)])
        elif isinstance(result, Reading):
            assembly.learn(result)
            if result.nodes and sink is None:
                assembly.remember(msgspec.structs.replace(items[number], node=result.nodes[0]))
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


def _expand(item: Item, explorer: Explorer, assembly: Assembly) -> list[Item]:
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
