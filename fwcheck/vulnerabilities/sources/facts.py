"""What every reader yields, and the archives they read from."""

from __future__ import annotations

import io
import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Affected(NamedTuple):
    """Versions of a component that a CVE affects; an empty bound is open."""

    component: str
    cve: str
    start: str
    start_included: bool
    end: str
    end_included: bool
    source: str
    condition: str = ""  # what must be there beside it, as applicability.py writes it


class Elsewhere(NamedTuple):
    """A CVE restricted to systems no firmware here runs (Windows, macOS): nobody else's range stands in."""

    component: str
    cve: str
    source: str


class Score(NamedTuple):
    """The CVSS base score of a CVE, or where its source gives none, the severity in words ("low" to "critical")."""

    cve: str
    score: float | str
    source: str = ""


class Likely(NamedTuple):
    """The probability that a CVE is exploited within 30 days (EPSS)."""

    cve: str
    probability: float


class Place(NamedTuple):
    """A source file that a kernel CVE is about."""

    cve: str
    path: str


class Exploited(NamedTuple):
    """A CVE known to be exploited, since the ISO date on which the catalogue took it up."""

    cve: str
    since: str


class Release(NamedTuple):
    """A version of a component and the ISO date on which it was released."""

    component: str
    version: str
    date: str


class Ending(NamedTuple):
    """The ISO date on which upstream support of a branch ends."""

    component: str
    branch: str
    ended: str
    source: str


class AsOf(NamedTuple):
    """The ISO date that a publisher's data carries: what came later is not in it."""

    source: str
    date: str


Fact = Affected | Elsewhere | Score | Exploited | Likely | Place | Release | Ending | AsOf


# Neither a commit (34e41a031fd7) nor a date (2024-06-01): numbers, a letter or two, a mark of the release.
_VERSION = re.compile(r"^\d{1,8}(\.\d{1,10}){0,5}[a-z]{0,2}([-._]?(rc|p|pre|alpha|beta|dev|devel|test|patch)[-.]?\d{0,6})?$")


def is_version(text: str) -> bool:
    """Whether a text is a version that can be compared."""
    return _VERSION.match(text.lower()) is not None


_FOREIGN = re.compile(
    r"^(windows|win(32|64)|microsoft|mac[ _]?os\w*|os ?x|ios|ipados|tvos|watchos|freebsd|netbsd|openbsd|solaris|aix|z/?os)\b",
    re.IGNORECASE,
)


def foreign(platform: str) -> bool:
    """Whether the name of a platform is one that embedded Linux and microcontroller firmware never is."""
    return _FOREIGN.match(platform.strip()) is not None


def branch_start(version: str) -> str:
    """The branch of a version: its numbers but the last, at most two. 8.1.28 gives 8.1, 2.90 gives 2, 1.0.2k gives 1.0."""
    numbers = re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0])
    return ".".join(numbers[: min(2, max(1, len(numbers) - 1))]) or version


def json_members(archive: Path, suffix: str = ".json") -> Iterator[tuple[str, Any]]:
    """The JSON files of a tar archive (.tar.xz, .tar.zst) in archive order, by name. Members that are no JSON are passed over."""
    with _opened(archive) as tar:
        for member in tar:
            if not member.isfile() or not member.name.endswith(suffix):
                continue
            held = tar.extractfile(member)
            if held is None:
                continue
            try:
                yield member.name, json.loads(held.read())
            except ValueError:
                continue


def _opened(archive: Path) -> tarfile.TarFile:
    if archive.name.endswith(".zst"):
        import zstandard  # noqa: PLC0415  # only this reader needs it

        raw = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive.read_bytes()))
        return tarfile.open(fileobj=raw, mode="r|")
    return tarfile.open(archive)


def text_of(path: Path) -> str:
    """A text file, unpacked when its name ends in .xz."""
    raw = path.read_bytes()
    return (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8", "replace")
