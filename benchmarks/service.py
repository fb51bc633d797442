"""What an image costs the service: a fresh process for each, as it once was, against a child of a process with everything loaded.

    python benchmarks/service.py [IMAGE ...] [--runs N]

Processor seconds, medians of runs taken in turn; other work on the machine changes wall time and hardly these.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fwcheck.service.children import Children
from fwcheck.service.context import Context
from fwcheck.service.jobs import Job
from fwcheck.service.runner import Runner
from fwcheck.service.settings import Settings, Strictness
from fwcheck.service.storage import image_key
from fwcheck.service.tables import Image, Product, Scan

ROOT = Path(__file__).parents[1]
SAMPLES = [ROOT / "samples" / "router-repaired.bin", ROOT / "samples" / "planted" / "debug-backdoor.bin"]
FRESH = """
import sys
from pathlib import Path
from fwcheck.pipeline import Options, scan
from fwcheck.reports.json import render
render(scan(Path(sys.argv[1]), Options(jobs=2, cache=Path(sys.argv[2]))))
"""
TICK = os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path, default=SAMPLES)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fwcheck-bench-") as name:
        work = Path(name)
        cache = work / "cache"
        made = Children(str(cache), None)
        start = child(made, options.images[0].resolve(), work, "on")
        print(f"start of the process with everything loaded, and one scan: {start:.2f} s, {memory(made):.0f} MiB")
        for path in options.images:
            measure(path.resolve(), made, work, cache, options.runs)
        made.close()
        for path in options.images:
            whole(path.resolve(), work / path.name, 4 * options.runs)
    return 0


def measure(path: Path, made: Children, work: Path, cache: Path, runs: int) -> None:
    child(made, path, work, "on")
    rows = [(fresh(path, cache), child(made, path, work, "off"), child(made, path, work, "on")) for _ in range(runs)]
    before, off, on = (statistics.median(row[at] for row in rows) for at in range(3))
    ratio = statistics.median(row[0] / max(row[2], 1 / TICK) for row in rows)
    print(f"{path.name} ({path.stat().st_size >> 10} KiB): a fresh process {before:.2f} s, a forked child {off:.2f} s,", end=" ")
    print(f"in the sandbox {on:.2f} s; {ratio:.1f} times less")


def fresh(path: Path, cache: Path) -> float:
    before = spent(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", FRESH, str(path), str(cache)], check=True, env=environment)
    return spent(resource.RUSAGE_CHILDREN) - before


def child(made: Children, path: Path, work: Path, sandbox: Strictness) -> float:
    """Of the child and all processes that it started, and of forking it."""
    before = of_process(made.pid) if made.pid is not None else 0.0
    with tempfile.TemporaryDirectory(dir=work) as folder, (work / "errors").open("wb") as errors:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size, cache = path.stat().st_size, made.cache
        job = Job(image=str(path), folder=folder, name=path.name, size=size, sha256=digest, cache=cache, sandbox=sandbox)
        begun = made.start(job, errors.fileno())
        os.set_blocking(begun.output, True)
        said = b""
        while piece := os.read(begun.output, 1 << 16):
            said += piece
        status = begun.end()
        if status or b'"end":"report"' not in said:
            raise SystemExit(f"{path.name} was not read: {status} {said[-300:]!r} {(work / 'errors').read_text()}")
    return of_process(made.pid) - before


def of_process(pid: int | None) -> float:
    """Processor seconds of a process and of its children that have ended: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


def memory(made: Children) -> float:
    """MiB that the process would give back if it were not there."""
    lines = Path(f"/proc/{made.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def spent(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def whole(path: Path, folder: Path, count: int) -> None:
    """Everything that a worker does, from the claim to the report in the store; images that differ in their last bytes."""
    context = Context(Settings(data=folder))
    context.database.migrate()
    runner = Runner(context.settings, context.database, context.store, context.queue)
    (folder / "images").mkdir(exist_ok=True)
    with context.database.write() as session:
        product = Product(name="p")
        session.add(product)
        session.flush()
        for number in range(count):
            content = path.read_bytes() + number.to_bytes(4, "little") * 16
            digest = hashlib.sha256(content).hexdigest()
            (folder / image_key(digest)).write_bytes(content)
            session.add_all([Image(sha256=digest, size=len(content))])
            session.flush()
            session.add(Scan(product_id=product.id, image_sha256=digest, image_name="i", version=str(number)))
    begun, before, own = time.perf_counter(), spent(resource.RUSAGE_CHILDREN), spent(resource.RUSAGE_SELF)
    while (held := context.queue.claim("bench")) is not None:
        if runner.run(held) != "report":
            raise SystemExit(f"{path.name} was not read")
    wall = time.perf_counter() - begun
    runner.close()
    children, worker = spent(resource.RUSAGE_CHILDREN) - before, spent(resource.RUSAGE_SELF) - own
    context.close()
    shutil.rmtree(folder)
    each, mine = (children + worker) / count, worker / count
    print(f"{path.name}: {count} scans by one worker from nothing: {each:.2f} s each, {mine:.2f} s of them its own;", end=" ")
    print(f"wall {wall / count:.2f} s each")


if __name__ == "__main__":
    sys.exit(main())
