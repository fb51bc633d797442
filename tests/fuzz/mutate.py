"""Breaks the seeds of all formats many thousand times and reads what comes out, as a scan does; prints what went wrong.

usage: python -m fuzz.mutate [--images N] [--jobs N] [--seed N] [--keep DIR]

Every image goes through signature search, parsers, the tree, and the reading of all contents, archives inside them included. A
worker process looks at one image at a time; its peak memory is reset before each (/proc/self/clear_refs). Counted as wrong: an
exception, a parser's fault that exploring turned into a gap, more than ten seconds, more than 1 GiB, a coverage account that
does not add up, a worker that dies. Images that did one of these are kept in DIR, for ``tests/fuzz/crashers`` once minimised.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support.seeds import seeds

from fwcheck.extraction.coverage import account
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped
from fwcheck.model import Gap, Node
from fwcheck.reading import Reader

SECONDS = 10.0
MEMORY = 1 << 30
LIMITS = Limits(
    bytes_total=1 << 30, total_floor=256 << 20, bytes_stream=256 << 20, ratio_floor=32 << 20, nodes=100_000, seconds_image=30
)
_FAULT = re.compile(
    r"the parser failed|not read: \w+(Error|Exception)|not read: (struct|zlib|lzma|Overflow|Index|Key|Type|Value)"
)


class Outcome(NamedTuple):
    """What one image did."""

    number: int
    seconds: float
    peak: int  # bytes of resident memory
    faults: list[str]
    containers: int
    files: int
    name: str


def image(number: int, seed: int) -> tuple[str, bytes]:
    """The broken image with this number: the same every time, as far as the seeds are (some hold keys made for the occasion)."""
    chance = random.Random(f"{seed}:{number}")
    every = seeds()
    name = sorted(every)[number % len(every)]
    data = bytearray(chance.choice(every[name]))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(_WAYS)(data, chance)
    prefix = chance.choice((b"", b"", b"", bytes(512), chance.randbytes(chance.randrange(1, 4096))))
    return name, prefix + bytes(data)


def _bytes(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 4, 8, 16))):
        # Half of the changes hit the beginning, where headers stand.
        at = chance.randrange(min(len(data), chance.choice((64, 512, 1 << 30))) or 1)
        data[at : at + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))])


def _numbers(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 4))):
        width = chance.choice((2, 4, 4, 8))
        at = chance.randrange(max(1, min(len(data), chance.choice((128, 1024, 1 << 30))) - width)) & ~(
            chance.choice((0, width - 1))
        )
        value = chance.choice(
            (
                0,
                1,
                (1 << 8 * width) - 1,
                1 << (8 * width - 1),
                (1 << 8 * width - 1) - 1,
                len(data),
                at,
                chance.getrandbits(8 * width),
            )
        )
        data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, chance.choice(("little", "big")))


def _cut(data: bytearray, chance: random.Random) -> None:
    if len(data) > 1:
        del data[chance.randrange(1, len(data)) :]


def _drop(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data)) if data else 0
    del data[at : at + chance.choice((1, 4, 512, 4096))]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at, size = chance.randrange(len(data) or 1), chance.choice((16, 512, 4096))
    data[at:at] = data[at : at + size] * chance.choice((1, 2, 8))


def _move(data: bytearray, chance: random.Random) -> None:
    size = chance.choice((4, 16, 64, 512))
    begin, to = (chance.randrange(max(1, len(data) - size)) for _ in range(2))
    data[to : to + size] = data[begin : begin + size]


def _splice(data: bytearray, chance: random.Random) -> None:
    other = chance.choice(seeds()[chance.choice(sorted(seeds()))])
    at = chance.randrange(len(data) or 1)
    data[at : at + len(other)] = other[: 1 << 16]


_WAYS = (_bytes, _bytes, _bytes, _numbers, _numbers, _numbers, _cut, _drop, _repeat, _move, _splice)


def look(path: Path) -> tuple[list[str], int, int]:
    """Reads an image to its end; what went wrong, how many containers and how many files were found."""
    source = Mapped.open(path)
    if not source.size:
        return [], 0, 0
    explorer = Explorer(LIMITS.metered(source.size))
    found = explorer.explore(source, (path.name,), 1)
    reader = Reader(explorer, None, _ignore)
    nodes: list[Node] = []
    gaps: list[Gap] = list(found.gaps)
    paints = list(found.paints)
    for item in found.items:
        one = reader.read(item)
        nodes += one.nodes
        gaps += one.gaps
        paints += one.paints
    faults = [f"{gap.node}: {gap.reason}" for gap in gaps if _FAULT.search(gap.reason)]
    if sum(account(source.size, paints).values()) != source.size:
        faults.append("the coverage account does not add up")
    kinds = Counter(node.kind.value for node in nodes)
    return faults, kinds["container"], kinds["file"]


def _ignore(_node: object, _content: object) -> dict[str, str | int]:
    return {}


def _one(number: int, seed: int, folder: Path) -> Outcome:
    name, data = image(number, seed)
    path = folder / f"{number}.bin"
    path.write_bytes(data)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    begun = time.monotonic()
    try:
        faults, containers, files = look(path)
    except Exception as error:  # noqa: BLE001  # this is what is looked for
        faults, containers, files = [f"{type(error).__name__}: {error}"], 0, 0
    seconds = time.monotonic() - begun
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) << 10
    if not faults and seconds < SECONDS and peak < MEMORY:
        path.unlink()
    return Outcome(number, seconds, peak, faults, containers, files, name)


def _work(numbers: range, seed: int, folder: Path, pipe: Any) -> None:
    for number in numbers:
        pipe.send(number)
        pipe.send(_one(number, seed, folder))
    pipe.send(None)


def outcomes(images: int, jobs: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Every image's outcome. A worker that hangs or dies costs one image and is replaced."""
    context = multiprocessing.get_context("fork")
    seeds()
    work: list[tuple[Any, Any, range, list[float]]] = []

    def start(numbers: range) -> None:
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(numbers, seed, folder, there), daemon=True)
        process.start()
        there.close()
        work.append((process, here, numbers, [-1, time.monotonic()]))

    for job in range(jobs):
        start(range(job, images, jobs))
    while work:
        multiprocessing.connection.wait([pipe for _, pipe, _, _ in work], timeout=1)
        for one in list(work):
            process, pipe, numbers, at = one
            lost = False
            try:
                while pipe.poll():
                    message = pipe.recv()
                    if message is None:
                        work.remove(one)
                        break
                    if isinstance(message, Outcome):
                        yield message
                    else:
                        at[:] = [message, time.monotonic()]
            except (EOFError, OSError):
                lost = True
            if one in work and (lost or time.monotonic() - at[1] > 3 * SECONDS):
                process.kill()
                work.remove(one)
                number = int(at[0])
                yield Outcome(number, time.monotonic() - at[1], 0, ["its worker died" if lost else "did not end"], 0, 0, "?")
                start(numbers[numbers.index(number) + 1 :])


def _figures(every: list[Outcome], wrong: int, seconds: float) -> str:
    digest = hashlib.sha256(b"".join(data for each in seeds().values() for data in each)).hexdigest()[:12]
    times = sorted(one.seconds for one in every)
    return (
        f"{len(every)} images out of {sum(map(len, seeds().values()))} seeds of {len(seeds())} formats ({digest}): "
        f"{wrong} wrong; "
        f"{sum(one.containers for one in every)} containers and {sum(one.files for one in every)} files were found in them; "
        f"median {times[len(times) // 2] * 1000:.1f} ms, 99.9 % under {times[len(times) * 999 // 1000]:.2f} s, "
        f"slowest {times[-1]:.2f} s; peak memory {max(one.peak for one in every) >> 20} MiB; {seconds:.0f} s in all"
    )


def main() -> int:
    """Runs, prints one line per wrong image and the figures; exit status 1 when anything was wrong."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--images", type=int, default=20_000)
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--keep", type=Path, default=None)
    options = command.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fwcheck-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    begun, wrong, every = time.monotonic(), 0, list[Outcome]()
    for one in outcomes(options.images, options.jobs, options.seed, folder):
        every.append(one)
        if one.faults or one.seconds > SECONDS or one.peak > MEMORY:
            wrong += 1
            print(
                f"{one.number} {one.name}: {one.seconds:.1f} s, {one.peak >> 20} MiB: {'; '.join(one.faults)[:300]}", flush=True
            )
    print(_figures(every, wrong, time.monotonic() - begun))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
