"""How much of a scan is saved by the cache: the same image again, and a build in which few files changed.

usage: python benchmarks/again.py [--tree DIR,DIR] [--changed PERCENT] [--runs N] [--compression xz]

Builds a SquashFS image of the trees (150 MB at most) and one in which so many percent of the files have another byte at their
end, then times, each in a process of its own: the first scan (empty cache), the second of the same image, and the first of
the changed build with the cache of the first. Prints medians of wall and processor time, and ratios of the same run.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 150 << 20
LARGEST = 12 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", default="/etc,/usr/sbin,/usr/bin")
    parser.add_argument("--changed", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compression", default="xz")
    options = parser.parse_args()
    fast = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fwcheck-bench-", dir=fast) as name:
        work = Path(name)
        files = copied(work / "root", [Path(each) for each in options.tree.split(",")])
        first = packed(work, "first.bin", options.compression)
        step = max(1, round(100 / options.changed))
        changed = files[::step]
        for path in changed:
            with path.open("ab") as file:
                file.write(b"\n")
        second = packed(work, "second.bin", options.compression)
        size = first.stat().st_size >> 20
        print(f"{len(files)} files, {size} MiB packed; {len(changed)} files changed ({100 * len(changed) / len(files):.1f} %)")
        rows = [measured(work, first, second) for _ in range(options.runs)]
    for place, what in enumerate(("first scan", "the same image again", "the changed build")):
        wall, spent = (statistics.median(row[place][at] for row in rows) for at in (0, 1))
        share = statistics.median(row[place][1] / row[0][1] for row in rows)
        print(f"{what:22} wall {wall:6.2f} s   processor {spent:6.2f} s   {100 * share:5.1f} % of the first")
    return 0


def copied(root: Path, trees: list[Path]) -> list[Path]:
    """Regular files of the trees under ``root``, up to the limit."""
    found, total = [], 0
    for tree in trees:
        for path in sorted(tree.rglob("*")):
            if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                continue
            size = path.stat().st_size
            if size > LARGEST or total + size > LIMIT:
                continue
            place = root / path.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
            place.chmod(0o755)
            total += size
            found.append(place)
    return found


def packed(work: Path, name: str, compression: str) -> Path:
    image = work / name
    command = ["mksquashfs", str(work / "root"), str(image), "-comp", compression, "-noappend", "-all-root", "-no-progress"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"})
    return image


def measured(work: Path, first: Path, second: Path) -> list[tuple[float, float]]:
    """Wall and processor seconds of the three scans."""
    cache = work / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    scan(first, work / "warm")  # the tables of the patterns are made once per installation: not what is measured here
    cache.mkdir(mode=0o700)
    for table in (work / "warm").glob("*.db"):
        shutil.copy(table, cache)
    return [scan(image, cache) for image in (first, first, second)]


def scan(image: Path, cache: Path) -> tuple[float, float]:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "fwcheck", "scan", str(image), "--cache", str(cache), "--quiet", "--format", "json"]
    # As installed: the modules are compiled once, by the scan that is not measured.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(cache.parent / "code")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun, spent


if __name__ == "__main__":
    sys.exit(main())
