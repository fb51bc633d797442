"""Release and end-of-life dates per project (the data behind endoflife.date; MIT) and OpenSSL's own calendar."""

from __future__ import annotations

import datetime as dt
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fwcheck.vulnerabilities.sources.facts import AsOf, Ending, Release, json_members

FILE = "endoflife-release-data.tar.xz"
OPENSSL = "openssl-cve5.tar.xz"
_DATE = re.compile(r"^(199\d|20\d\d)-\d\d-\d\d$")  # a day before the nineties is a placeholder


def read(sources: Path, calendars: Mapping[str, Sequence[str]]) -> Iterator[Release | Ending | AsOf]:
    """Releases and endings; ``calendars`` maps the name of a calendar to components."""
    newest = ""
    for name, record in json_members(sources / FILE):
        named = calendars.get(name.rsplit("/", 1)[-1].removesuffix(".json"), ())
        for component in named if isinstance(record, dict) else ():
            for fact in record_facts(component, record):
                newest = max(newest, fact.date) if isinstance(fact, Release) else newest
                yield fact
    yield AsOf("endoflife.date", newest)


def record_facts(component: str, record: Mapping[str, Any]) -> Iterator[Release | Ending]:
    """The releases and endings of one calendar."""
    for version in record.get("versions", {}).values():
        if _DATE.match(str(version.get("date", ""))):
            yield Release(component, str(version["name"]), str(version["date"]))
    for branch in record.get("releases", {}).values():
        if _DATE.match(str(branch.get("eol", ""))):
            yield Ending(component, str(branch["name"]), str(branch["eol"]), "endoflife.date")


def openssl(sources: Path) -> Iterator[Ending]:
    """OpenSSL's own calendar (``data.json``): the end of each branch, where the day is given (``14 Mar 2025``)."""
    with tarfile.open(sources / OPENSSL) as tar:
        for member in tar:
            held = tar.extractfile(member) if member.name.rsplit("/", 1)[-1] == "data.json" else None
            branches = json.loads(held.read()) if held is not None else {}
            for branch, dates in sorted(branches.items()):
                try:
                    ended = dt.datetime.strptime(str(dates.get("eol", "")), "%d %b %Y").replace(tzinfo=dt.UTC).date()
                except ValueError:
                    continue
                yield Ending("openssl", str(branch), ended.isoformat(), "OpenSSL")
