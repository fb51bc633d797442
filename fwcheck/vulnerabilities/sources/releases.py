"""Release and end-of-life dates per project (the data behind endoflife.date; MIT) and OpenSSL's own calendar."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fwcheck.vulnerabilities.sources.facts import AsOf, Ending, Release, json_members

FILE = "endoflife-release-data.tar.xz"
_DATE = re.compile(r"^(19|20)\d\d-\d\d-\d\d$")


def read(sources: Path, calendars: Mapping[str, str]) -> Iterator[Release | Ending | AsOf]:
    """Releases and endings; ``calendars`` maps the name of a calendar to a component."""
    newest = ""
    for name, record in json_members(sources / FILE):
        component = calendars.get(name.rsplit("/", 1)[-1].removesuffix(".json"))
        if component is None or not isinstance(record, dict):
            continue
        for version in record.get("versions", {}).values():
            if _DATE.match(str(version.get("date", ""))):
                yield Release(component, str(version["name"]), str(version["date"]))
                newest = max(newest, str(version["date"]))
        for branch in record.get("releases", {}).values():
            if _DATE.match(str(branch.get("eol", ""))):
                yield Ending(component, str(branch["name"]), str(branch["eol"]), "endoflife.date")
    yield AsOf("endoflife.date", newest)
