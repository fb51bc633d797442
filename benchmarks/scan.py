"""How long a whole scan takes, against the floor and against peers, measured in one run.

usage: python benchmarks/scan.py [--trees DIR,DIR] [--compressions xz,gzip,zstd] [--runs N] [--image FILE ...]

Builds one SquashFS image per compression from the folders of --trees (150 MB at most, programs and libraries as a root file
system holds them), then times in turn, run by
run, so that noise hits all alike:

  unsquashfs   writing the same file system out to a tmpfs where there is one (two processors)      = the floor of a tool
  decode       reading and decompressing every block once, in one process, nothing else            = the floor of one core
  scan         fwcheck scan, everything, no cache
  unblob       its extraction alone, where it is installed with sasquatch

It prints medians, ratios of the same run, and the peak memory of all processes of a scan together.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

LIMIT = 150 << 20
LARGEST = 12 << 20
PROGRAM = [sys.executable, "-m", "fwcheck"]
START_UP = 0.6  # seconds granted to start-up in the stated target
TARGETS = {"xz": 1.6, "gzip": 3.0, "zstd": 3.0}


def main() -> int:
    options = _options()
    fast = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fwcheck-bench-", dir=fast) as name:
        work = Path(name)
        images = [Path(each) for each in options.image]
        if not images:
            trees = [Path(each) for each in options.trees.split(",")]
            images = [_build(work, trees, compression) for compression in options.compressions.split(",")]
        for image in images:
            _measure(image, work, options.runs)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", default="/etc,/usr/sbin,/usr/bin,/usr/lib/x86_64-linux-gnu,/usr/lib/aarch64-linux-gnu")
    parser.add_argument("--compressions", default="xz,gzip,zstd")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image", nargs="*", default=[])
    return parser.parse_args()


def _build(work: Path, trees: list[Path], compression: str) -> Path:
    """One image of at most LIMIT bytes of files, taken from ``trees`` in sorted order."""
    image = work / f"{compression}.squashfs"
    chosen = work / "chosen"
    if not chosen.exists():
        size = 0
        for path in (each for tree in trees for each in sorted(tree.rglob("*"))):
            if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                continue
            length = path.stat().st_size
            if length > LARGEST:
                continue  # no firmware holds such a library
            size += length
            if size > LIMIT:
                break
            target = chosen / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
        shutil.copytree(chosen, work / "copy", symlinks=False)
    quiet = ["-noappend", "-no-progress", "-all-root", "-quiet", "-no-xattrs"]
    _call(["mksquashfs", str(work / "copy"), str(image), "-comp", compression, "-b", "131072", *quiet])
    return image


def _measure(image: Path, work: Path, runs: int) -> None:
    contestants: dict[str, Callable[[], float]] = {}
    if shutil.which("unsquashfs"):
        tool = ["unsquashfs", "-q", "-n", "-p", "2", "-d", str(work / "out"), str(image)]
        contestants["unsquashfs"] = lambda: _extract(tool, work / "out")
    contestants["decode"] = lambda: _time([sys.executable, str(Path(__file__).with_name("decode.py")), str(image)])
    contestants["scan"] = lambda: _time([*PROGRAM, "scan", str(image), "--format", "json", "--no-cache"], {0, 1, 3})
    if shutil.which("unblob") and shutil.which("sasquatch"):
        unblob = ["unblob", "-q", "-p", "2", "-e", str(work / "unblob"), str(image)]
        contestants["unblob"] = lambda: _extract(unblob, work / "unblob")
    rows: dict[str, list[float]] = {name: [] for name in contestants}
    for each in contestants.values():
        each()  # warm-up
    for _ in range(runs):
        for name, each in contestants.items():
            rows[name].append(each())
    print(f"\n{image.name}: {image.stat().st_size / 1e6:.1f} MB packed, {runs} runs")
    base = rows.get("unsquashfs") or rows["decode"]
    for name, seconds in rows.items():
        ratios = [mine / floor for mine, floor in zip(seconds, base, strict=True)]
        print(f"  {name:10} median {statistics.median(seconds):7.3f} s   min {min(seconds):7.3f}   max {max(seconds):7.3f}   "
              f"ratio {statistics.median(ratios):5.2f}")  # fmt: skip
    target = TARGETS.get(image.stem)
    if target and "unsquashfs" in rows:
        over = [(scan - START_UP) / floor for scan, floor in zip(rows["scan"], rows["unsquashfs"], strict=True)]
        print(f"  scan less {START_UP} s of start-up, over unsquashfs: {statistics.median(over):.2f} (target {target})")
    peak = _peak([*PROGRAM, "scan", str(image), "--format", "json", "--no-cache"])
    print(f"  peak memory of a scan, all processes: {peak / 1e6:.0f} MB")


def _time(command: list[str], allowed: frozenset[int] | set[int] = frozenset({0})) -> float:
    begun = time.perf_counter()
    _call(command, allowed)
    return time.perf_counter() - begun


def _extract(command: list[str], out: Path) -> float:
    shutil.rmtree(out, ignore_errors=True)
    seconds = _time(command, {0, 1, 2})
    shutil.rmtree(out, ignore_errors=True)
    return seconds


def _call(command: list[str], allowed: frozenset[int] | set[int] = frozenset({0})) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode not in allowed:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr[-300:].decode(errors='replace')}")


def _peak(command: list[str]) -> int:
    """The largest sum of proportional set sizes of a command and its children, in bytes: shared pages count once."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    best = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal best
        while not stop.wait(0.01):
            best = max(best, sum(_pss(pid) for pid in _family(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    stop.set()
    watcher.join()
    return best


def _family(root: int) -> list[int]:
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            todo += [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except (OSError, ValueError):
            continue
    return found


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
