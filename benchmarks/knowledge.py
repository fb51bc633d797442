"""Seconds and megabytes of the vulnerability knowledge: importing a year of NVD, and matching 300 components.

Use: ``python benchmarks/knowledge.py [RECORDS]``. The feed is made here, in the form and at the size of NVD's yearly files (the
year 2024 has about 40,000 records and 170 MB); a twentieth of the records are about components of the catalogue.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fwcheck.device.products import products
from fwcheck.model import Component
from fwcheck.vulnerabilities.annotate import annotate
from fwcheck.vulnerabilities.database import Knowledge

# The command, and its own peak: that of all children together would be the one that makes the feed.
_IMPORT = """
import resource, sys
from fwcheck.cli.main import main
main(["db", "import", "--database", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_WORDS = (
    "buffer",
    "overflow",
    "allows",
    "remote",
    "attackers",
    "to",
    "execute",
    "code",
    "via",
    "a",
    "crafted",
    "request",
    "before",
)


def feed(records: int, seed: int = 1) -> dict[str, Any]:
    """A feed of so many records."""
    chance = random.Random(seed)
    pairs = [pair for product in products().values() for pair in product.cpe]
    held = [_record(chance, number, pairs) for number in range(records)]
    head = {"resultsPerPage": records, "startIndex": 0, "totalResults": records, "format": "NVD_CVE", "version": "2.0"}
    return {**head, "timestamp": "2026-10-01T03:00:02.410", "vulnerabilities": held}


def _record(chance: random.Random, number: int, pairs: list[str]) -> dict[str, Any]:
    text = " ".join(chance.choices(_WORDS, k=60))
    ours = chance.random() < 0.05
    pair = chance.choice(pairs) if ours else f"vendor{chance.randrange(9999)}:product{chance.randrange(9999)}"
    matches = [
        {
            "vulnerable": True,
            "criteria": f"cpe:2.3:a:{pair}:*:*:*:*:*:*:*:*",
            "versionStartIncluding": f"{major}.0",
            "versionEndExcluding": f"{major}.{chance.randrange(1, 40)}",
            "matchCriteriaId": f"{chance.getrandbits(128):032X}",
        }
        for major in range(chance.randrange(1, 6))
    ]
    score = chance.randrange(20, 100) / 10
    vector = {"version": "3.1", "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "baseScore": score}
    metric = {"source": "nvd@nist.gov", "type": "Primary", "cvssData": vector, "exploitabilityScore": 3.9, "impactScore": 5.9}
    links = [{"url": f"https://example.org/{chance.getrandbits(64)}", "source": "x", "tags": ["Patch"]} for _ in range(8)]
    return {
        "cve": {
            "id": f"CVE-2031-{number + 1000}",
            "sourceIdentifier": "cve@example.org",
            "published": "2031-01-01T00:00:00.000",
            "lastModified": "2031-02-01T00:00:00.000",
            "vulnStatus": "Analyzed",
            "descriptions": [{"lang": "en", "value": text}, {"lang": "es", "value": text}],
            "metrics": {"cvssMetricV31": [metric] * 2, "cvssMetricV2": [metric]},
            "weaknesses": [{"source": "x", "type": "Primary", "description": [{"lang": "en", "value": "CWE-787"}]}] * 2,
            "configurations": [{"nodes": [{"operator": "OR", "negate": False, "cpeMatch": matches}]}],
            "references": links,
        }
    }


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    if len(sys.argv) > 2:
        raw = json.dumps(feed(records), indent=2).encode()
        Path(sys.argv[2]).write_bytes(gzip.compress(raw, 5))
        print(f"{records} records, {len(raw) >> 20} MB")
        return
    with tempfile.TemporaryDirectory() as directory:
        path, target = Path(directory) / "nvd.json.gz", Path(directory) / "own.sqlite"
        # In a process of its own: a child's peak begins with the size of its parent.
        subprocess.run([sys.executable, __file__, str(records), str(path)], check=True)
        for name in ("first import", "second import"):
            begin = time.monotonic()
            command = [sys.executable, "-c", _IMPORT, str(target), str(path)]
            told, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[::2]
            print(f"{name}: {time.monotonic() - begin:.1f} s, at most {int(peak) >> 10} MB: {told}")
        _matching(Knowledge.open(target))
    _matching(Knowledge.open(None))


def _matching(knowledge: Knowledge) -> None:
    chance = random.Random(2)
    names = [name for name in knowledge.components() if ":" not in name and "/" not in name]
    parts = [Component(name=names[n % len(names)], version=f"{chance.randrange(9)}.{chance.randrange(30)}") for n in range(298)]
    parts += [Component(name="linux_kernel", version=version) for version in ("4.4.92", "5.10.30")]
    begin = time.process_time()
    found = annotate(parts, knowledge)
    hits = sum(len(each.vulnerabilities) for each in found)
    print(f"matching {len(parts)} components: {time.process_time() - begin:.2f} s, {hits} vulnerabilities")


if __name__ == "__main__":
    main()
