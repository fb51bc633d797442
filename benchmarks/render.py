"""How long it takes to render every format of a report with many findings, in process time (the machine may be shared).

usage: python benchmarks/render.py [--findings N] [--runs N]

The findings are those of the insecure sample, repeated at other places. Prints seconds and bytes of each format: the median of
the runs, and the first, which pays for imports and tables.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fwcheck.analysers.rule import fingerprint  # noqa: E402
from fwcheck.model import Finding, Report  # noqa: E402
from fwcheck.pipeline import Options, scan  # noqa: E402
from fwcheck.reports.registry import FORMATS  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    report = large(options.findings)
    total = 0.0
    print(f"{len(report.findings)} findings")
    for name, each in FORMATS.items():
        taken = []
        content: str | bytes = ""
        for _ in range(options.runs + 1):
            begun = time.process_time()
            content = each.render(report)
            taken.append(time.process_time() - begun)
        median = statistics.median(taken[1:])
        total += median
        print(f"{name:28} {median:7.3f} s   first {taken[0]:6.3f} s   {len(content):>10,} bytes")
    print(f"{'all':28} {total:7.3f} s")
    return 0


def large(count: int) -> Report:
    """The report of the insecure sample with its findings over and over, at other places and of other causes."""
    report = scan(ROOT / "samples" / "router-insecure.bin", Options(jobs=1))
    adverse = [each for each in report.findings if each.verdict in {"violation", "concern"}]
    found = tuple(_again(adverse[number % len(adverse)], number) for number in range(count))
    return msgspec.structs.replace(report, findings=found)


def _again(finding: Finding, number: int) -> Finding:
    where = finding.location
    path = f"/usr/lib/module{number % 97}/{number}{where.path}" if where.path.startswith("/") else where.path
    cause = f"{finding.cause} {number}"
    changed = {"location": msgspec.structs.replace(where, path=path), "cause": cause}
    return msgspec.structs.replace(finding, **changed, fingerprint=fingerprint(finding.rule, where, cause))


if __name__ == "__main__":
    sys.exit(main())
