"""The Known Exploited Vulnerabilities catalogue of CISA; a work of the US government, public domain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fwcheck.vulnerabilities.sources.facts import AsOf, Exploited, text_of

FILE = "kev.json.xz"


def read(sources: Path) -> Iterator[Exploited | AsOf]:
    """One fact per CVE, with the date on which the catalogue took it up."""
    catalogue = json.loads(text_of(sources / FILE))
    yield AsOf("CISA KEV", str(catalogue.get("dateReleased", ""))[:10])
    for each in catalogue.get("vulnerabilities", []):
        yield Exploited(str(each["cveID"]), str(each["dateAdded"]))
