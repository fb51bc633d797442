"""Large hostile images made of each format's seeds and signatures: what they cost in processor time, memory and nodes.

usage: python -m fuzz.large [--size MIB] [--only TEXT] [--jobs N]

Each image goes through what ``fwcheck tree`` does with its structure and its contents, in a process of its own. Printed are the
worst of each figure, and what took longer than SECONDS of processor time, more than MEMORY or did not end.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from support.seeds import places, seeds

from fwcheck.extraction.format import Signature
from fwcheck.extraction.registry import registered

SECONDS = 10.0
MEMORY = 1 << 30
STOP = 60  # seconds of processor time after which an image's process is ended


class Cost(NamedTuple):
    """What one image cost."""

    name: str
    seconds: float
    peak: int
    nodes: int
    faults: list[str]


def example(pattern: bytes) -> bytes:
    """Bytes that a signature matches."""
    return b"".join(_bytes(str(op), argument) for op, argument in import_module("re._parser").parse(pattern, 16))


def _bytes(operator: str, argument: object) -> bytes:
    if operator == "LITERAL":
        return bytes([argument])  # type: ignore[list-item]
    if operator == "NOT_LITERAL":
        return bytes([(argument + 1) % 256])  # type: ignore[operator]
    if operator == "IN":
        from fwcheck.extraction.anchors import _set

        return bytes([min(_set(argument))])  # type: ignore[arg-type]
    if operator == "SUBPATTERN":
        return b"".join(_bytes(str(op), inner) for op, inner in argument[-1])  # type: ignore[index]
    if operator == "BRANCH":
        return b"".join(_bytes(str(op), inner) for op, inner in argument[1][0])  # type: ignore[index]
    if operator == "MAX_REPEAT":
        return b"".join(_bytes(str(op), inner) for op, inner in argument[2]) * argument[0]  # type: ignore[index]
    return b"\0"


def images(size: int) -> Iterator[tuple[str, bytes]]:
    """Every image with its name."""
    for each in registered():
        for number, signature in enumerate(each.signatures):
            yield from _of_signature(f"{each.name}.{number}", signature, size)
    done = set()
    for name in sorted(seeds()):
        for data, each, offset in places(name):
            if each.name in done:
                continue
            done.add(each.name)
            own = data[offset:]
            for head in (16, 64, 512, 4096, len(own)):
                if head <= len(own):
                    yield f"{each.name}/first-{head}", _repeat(own[:head], size)


def _of_signature(name: str, signature: Signature, size: int) -> Iterator[tuple[str, bytes]]:
    found = example(signature.pattern)
    yield f"{name}/signature", _repeat(found, size)
    if signature.offset and signature.offset < 4096:
        yield f"{name}/at-its-offset", _repeat(bytes(signature.offset) + found, size)
    if len(found) > 4:
        yield f"{name}/every-4", _repeat(found[:4], size)
    yield f"{name}/ff-between", _repeat(found + b"\xff" * (-len(found) % 32 + 32), size)


def _repeat(piece: bytes, size: int) -> bytes:
    return (piece * (size // len(piece) + 1))[:size]


def _run(name: str, data: bytes, pipe: object) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (STOP, STOP))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    from fuzz.mutate import _FAULT, _ignore
    from fwcheck.extraction.coverage import account
    from fwcheck.extraction.explore import Explorer
    from fwcheck.extraction.limits import Limits
    from fwcheck.extraction.source import Mapped
    from fwcheck.reading import Reader

    with tempfile.NamedTemporaryFile(prefix="fwcheck-large-") as file:
        file.write(data)
        file.flush()
        before = resource.getrusage(resource.RUSAGE_SELF)
        source = Mapped.open(Path(file.name))
        explorer = Explorer(Limits(seconds_image=300).metered(source.size))
        found = explorer.explore(source, ("image",), 1)
        middle = resource.getrusage(resource.RUSAGE_SELF)
        reader = Reader(explorer, None, _ignore)
        gaps, nodes = list(found.gaps), 0
        for item in found.items:
            one = reader.read(item)
            gaps += one.gaps
            nodes += len(one.nodes)
        end = resource.getrusage(resource.RUSAGE_SELF)
        account(source.size, found.paints)
        last = resource.getrusage(resource.RUSAGE_SELF)
    a, b, c, d = (x.ru_utime + x.ru_stime for x in (before, middle, end, last))
    faults = [f"{gap.node}: {gap.reason}"[:300] for gap in gaps if _FAULT.search(gap.reason)]
    cost = Cost(
        f"{name} [explore {b - a:.1f}, read {c - b:.1f}, account {d - c:.1f}]", d - a, last.ru_maxrss << 10, nodes, faults[:3]
    )
    pipe.send(cost)  # type: ignore[attr-defined]


def _work(size: int, only: str, job: int, jobs: int, every: object) -> None:
    context = multiprocessing.get_context("fork")
    for number, (name, data) in enumerate(images(size)):
        if only not in name or number % jobs != job:
            continue
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(name, data, there))
        process.start()
        there.close()
        try:
            cost = here.recv()
        except EOFError:
            process.join()
            cost = Cost(name, STOP, 0, 0, [f"its process ended with {process.exitcode}"])
        process.join()
        every.put(cost)  # type: ignore[attr-defined]
    every.put(None)  # type: ignore[attr-defined]


def main() -> int:
    """Runs and prints; exit status 1 when anything was over its bound."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--size", type=int, default=4)
    command.add_argument("--only", default="")
    command.add_argument("--jobs", type=int, default=2)
    options = command.parse_args()
    for name in seeds():
        places(name)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    for job in range(options.jobs):
        context.Process(target=_work, args=(options.size << 20, options.only, job, options.jobs, queue)).start()
    costs: list[Cost] = []
    left = options.jobs
    while left:
        one = queue.get()
        if one is None:
            left -= 1
            continue
        costs.append(one)
        if one.faults or one.seconds > SECONDS / 10 * options.size or one.peak > MEMORY:
            print(f"{one.name}: {one.seconds:.1f} s, {one.peak >> 20} MiB, {one.nodes} nodes {one.faults}", flush=True)
    for figure in ("seconds", "peak", "nodes"):
        print(f"-- most {figure}")
        for one in sorted(costs, key=lambda one: getattr(one, figure), reverse=True)[:20]:
            print(f"{one.name}: {one.seconds:.1f} s, {one.peak >> 20} MiB, {one.nodes} nodes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
