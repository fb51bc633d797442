"""curl's own table of vulnerabilities: first and last affected release of each, and how severe the project holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fwcheck.vulnerabilities.cvss import severity_word
from fwcheck.vulnerabilities.sources.facts import Affected, Score, text_of

FILE = "curl-vulnerabilities.pm.txt.xz"
_SEVERITY = 12  # column of it
_ROW = re.compile(r'^\s*"(.*)",?\s*$')


def read(sources: Path) -> Iterator[Affected | Score]:
    """One range per row: ``page|first|last|name|CVE|...``."""
    for line in text_of(sources / FILE).splitlines():
        row = _ROW.match(line)
        cells = row[1].split("|") if row else []
        if len(cells) > 5 and re.match(r"^CVE-\d{4}-\d+$", cells[4]) and cells[1] and cells[2]:
            yield Affected("curl", cells[4], cells[1], True, cells[2], True, "curl")
            if len(cells) > _SEVERITY and (word := severity_word(cells[_SEVERITY])):
                yield Score(cells[4], word, "curl")
