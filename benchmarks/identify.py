"""How fast one pass over an image finds every place where a format may begin, against the floor and peers, in one run.

usage: python benchmarks/identify.py [IMAGE ...] [--megabytes N] [--runs N] [--each]

Without images a flash image is laid out: programs and libraries of this machine, packed and plain, random bytes, and the long
runs of 0x00 and 0xFF that real flash holds (a quarter of it): they are what slow patterns are slow on. Everything is processor
time of one process on one core, so a busy machine changes little. ``--each`` also times every signature alone on zeros, on 0xFF,
and on the image: what is far below the others needs a better anchor.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from fwcheck.extraction.identify import SCAN_CHUNK, Hit, signatures
from fwcheck.extraction.source import Mapped

TARGET = 300.0  # MB/s
_TREES = ("/usr/sbin", "/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--megabytes", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fwcheck-bench-") as folder:
        image = Path(folder, "flash.bin")
        with image.open("wb") as stream:
            for piece in map(Path.read_bytes, options.images) if options.images else _flash(options.megabytes << 20):
                stream.write(piece)
        _passes(image, options.runs)
        if options.each:
            _each(image)
    return 0


def _flash(size: int) -> Iterator[bytes]:
    """Pieces of 1 MiB: a quarter erased or zero, a quarter packed, an eighth random, the rest as programs are."""
    chance = random.Random(1)
    paths = (path for tree in _TREES for path in sorted(Path(tree).rglob("*")) if path.is_file() and not path.is_symlink())
    plain = b""
    for number in range(size >> 20):
        while len(plain) < 1 << 20 and (path := next(paths, None)) is not None:
            plain += path.read_bytes()[: 4 << 20]
        piece, plain = plain[: 1 << 20], plain[1 << 20 :]
        packed = (gzip.compress, lzma.compress)[number & 1]
        turn = number % 8
        yield (
            bytes(1 << 20)
            if turn == 0
            else b"\xff" * (1 << 20)
            if turn == 1
            else chance.randbytes(1 << 20)
            if turn == 2
            else (packed(piece) if turn in {3, 4} else piece)
        )


def _passes(image: Path, runs: int) -> None:
    source = Mapped.open(image)
    begun = time.process_time()
    found = signatures()
    print(f"{source.size / 1e6:.0f} MB; {found.count} signatures compiled in {time.process_time() - begun:.3f} s")
    rows: dict[str, list[float]] = {"copy": [], "fwcheck": []}
    rivals = {name: program for name in ("binwalk3", "binwalk") if (program := shutil.which(name))}
    for _ in range(runs):
        rows["copy"].append(_timed(lambda: sum(len(bytes(chunk)) for chunk in source.chunks())))
        rows["fwcheck"].append(_timed(lambda: _whole(source)))
    hits = Counter(each.name for _, _, each in _whole(source))
    for name, program in rivals.items():
        rows[name] = [_child([program, str(image)]) for _ in range(2)]
    floor = statistics.median(rows["copy"])
    for name, seconds in rows.items():
        middle = statistics.median(seconds)
        print(f"  {name:9} {middle:8.3f} s   {source.size / middle / 1e6:8.0f} MB/s   {middle / floor:6.2f} x copy")
    speed = source.size / statistics.median(rows["fwcheck"]) / 1e6
    print(f"  {hits.total()} places ({', '.join(f'{name} {count}' for name, count in hits.most_common(8))})")
    print(f"  target {TARGET:.0f} MB/s per core: {'reached' if speed >= TARGET else 'NOT reached'}")


def _whole(source: Mapped) -> list[Hit]:
    """All places: a search that met its limit is taken up where it ended."""
    hits, reach = signatures().everywhere(source)
    while reach < source.size:
        more, reach = signatures().everywhere(source, reach)
        hits += more
    return hits


def _timed(action: Callable[[], object]) -> float:
    begun = time.process_time()
    action()
    return time.process_time() - begun


def _child(command: list[str]) -> float:
    import resource  # noqa: PLC0415

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _each(image: Path) -> None:
    import hyperscan  # noqa: PLC0415

    flash = image.read_bytes()[: 32 << 20]
    inputs = {"0x00": bytes(SCAN_CHUNK), "0xFF": b"\xff" * SCAN_CHUNK, "image": flash}
    rows = []
    for name, pattern in signatures().searches():
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=[pattern], ids=[0], elements=1, flags=[hyperscan.HS_FLAG_DOTALL])
        matches = [0]

        def count(*_match: object, matches: list[int] = matches) -> None:
            matches[0] += 1

        speeds = []
        for data in inputs.values():
            matches[0] = 0
            seconds = _timed(lambda data=data, database=database: database.scan(data, match_event_handler=count))  # type: ignore[misc]
            speeds.append(len(data) / max(seconds, 1e-6) / 1e6)
        rows.append((min(speeds), name, speeds, matches[0], pattern))
    for _, name, speeds, hits, pattern in sorted(rows)[:30]:
        each = "  ".join(f"{label} {speed:6.0f}" for label, speed in zip(inputs, speeds, strict=True))
        print(f"  {name:20} MB/s: {each}   {hits:6} hits   {pattern[:60]!r}")


if __name__ == "__main__":
    sys.exit(main())
