"""Seconds and megabytes of the vulnerability knowledge: importing whole feeds, and matching 300 components.

Use: ``python benchmarks/knowledge.py [RECORDS]``. The feeds are made here, in the form and at the size of the published ones: a
year of NVD (2024 has about 40,000 records and 170 MB; a twentieth is about components of the catalogue), OSV's Debian archive
(40,000 records), the EPSS table (280,000 rows), the KEV catalogue (1,500 entries) and a year of CSAF documents of one vendor
(2,000). Each is imported twice: the second import has to change nothing.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
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


def osv(records: int) -> bytes:
    """An ecosystem's archive: one file for each record."""
    chance, packages = random.Random(3), [package for product in products().values() for package in product.packages]
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(records):
            name = f"DEBIAN-CVE-2031-{number + 1000}"
            ours = chance.random() < 0.2
            package = chance.choice(packages) if ours else f"package{chance.randrange(9999)}"
            events = [{"introduced": "0"}, {"fixed": f"{chance.randrange(9)}.{chance.randrange(40)}-{chance.randrange(1, 9)}"}]
            affected = [
                {
                    "package": {
                        "ecosystem": f"Debian:{release}",
                        "name": package,
                        "purl": f"pkg:deb/debian/{package}?arch=source",
                    },
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                    "versions": [f"{chance.randrange(9)}.{minor}-1" for minor in range(20)],
                    "ecosystem_specific": {"urgency": chance.choice(["not yet assigned", "low", "medium", "high"])},
                }
                for release in range(11, 15)
            ]
            record = {"id": name, "modified": "2031-02-01T00:00:00Z", "upstream": [name[7:]], "affected": affected,
                      "details": " ".join(chance.choices(_WORDS, k=60)), "schema_version": "1.7.0"}  # fmt: skip
            archive.writestr(f"{name}.json", json.dumps(record))
    return raw.getvalue()


def epss(rows: int) -> bytes:
    """The table of one day."""
    chance, held = random.Random(4), io.StringIO()
    held.write("#model_version:v2025.03.14,score_date:2031-02-01T12:55:00Z\n")
    table = csv.writer(held)
    table.writerow(("cve", "epss", "percentile"))
    table.writerows((f"CVE-2031-{number + 1000}", f"{chance.random():.5f}", f"{chance.random():.5f}") for number in range(rows))
    return gzip.compress(held.getvalue().encode(), 5)


def kev(entries: int) -> bytes:
    """The catalogue as JSON."""
    fields = ("vendorProject", "product", "vulnerabilityName", "shortDescription", "requiredAction", "notes")
    listed = [
        {
            "cveID": f"CVE-2031-{number + 1000}",
            "dateAdded": "2031-01-15",
            "dueDate": "2031-02-05",
            "knownRansomwareCampaignUse": "Unknown",
            "cwes": ["CWE-787"],
            **dict.fromkeys(fields, "words of the catalogue " * 5),
        }
        for number in range(entries)
    ]
    head = {"title": "CISA Catalog of Known Exploited Vulnerabilities", "catalogVersion": "2031.02.01", "count": entries}
    return json.dumps({**head, "dateReleased": "2031-02-01T15:00:00.0Z", "vulnerabilities": listed}).encode()


def csaf(documents: int) -> bytes:
    """VEX documents of one vendor in a zip, each about one CVE in some components of its products."""
    chance, names = random.Random(5), sorted(products())
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(documents):
            held = [f"CSAFPID-{index}" for index in range(20)]
            branches = [
                {
                    "category": "product_version",
                    "name": each,
                    "product": {
                        "product_id": each,
                        "name": each,
                        "product_identification_helper": {
                            "purl": f"pkg:generic/{chance.choice(names)}@{chance.randrange(9)}.{index}"
                        },
                    },
                }
                for index, each in enumerate(held)
            ]
            document = {
                "document": {
                    "category": "csaf_vex",
                    "csaf_version": "2.0",
                    "title": "words " * 20,
                    "publisher": {"name": "Vendor"},
                    "tracking": {"id": f"V-{number}", "current_release_date": "2031-02-01T00:00:00Z"},
                },
                "product_tree": {"branches": [{"category": "vendor", "name": "Vendor", "branches": branches}]},
                "vulnerabilities": [
                    {
                        "cve": f"CVE-2031-{number + 1000}",
                        "notes": [{"category": "description", "text": "words " * 80}],
                        "product_status": {"known_not_affected": held[:15], "fixed": held[15:]},
                        "flags": [{"label": "vulnerable_code_not_present", "product_ids": held[:15]}],
                    }
                ],
            }
            archive.writestr(f"{number}.json", json.dumps(document))
    return raw.getvalue()


_MADE = {
    "nvd.json.gz": lambda records: gzip.compress(json.dumps(feed(records), indent=2).encode(), 5),
    "osv.zip": lambda records: osv(records * 4 // 3),
    "epss.csv.gz": lambda records: epss(records * 28 // 3),
    "kev.json": lambda records: kev(records // 20),
    "csaf.zip": lambda records: csaf(records // 15),
}


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    if len(sys.argv) > 2:
        target = Path(sys.argv[2])
        target.write_bytes(_MADE[target.name](records))
        return
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "own.sqlite"
        for name in _MADE:
            path = Path(directory) / name
            # In a process of its own: a child's peak begins with the size of its parent.
            subprocess.run([sys.executable, __file__, str(records), str(path)], check=True)
            for turn in ("first", "second"):
                before = target.read_bytes() if target.exists() else b""
                begin = time.monotonic()
                command = [sys.executable, "-c", _IMPORT, str(target), str(path)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
                peak = int(told[-1]) >> 10
                same = "changed nothing" if target.read_bytes() == before else told[0]
                print(f"{name:12} {turn:6} {time.monotonic() - begin:5.1f} s, at most {peak} MB: {same}", flush=True)
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
