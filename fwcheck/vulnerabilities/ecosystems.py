"""How package managers count versions: Debian, Alpine, RPM, and semantic versions; and what a package URL is kept under.

Debian Policy 5.6.12 (deb-version(7)); apk-tools ``apk_version.c`` as its manual describes it; rpm-version(7); Semantic Versioning
2.0.0, item 11. Each gives a key: the key of a version is less than that of a later one. Any text can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from fwcheck.vulnerabilities import versions

_PURL = re.compile(r"^pkg:(?P<kind>[a-z]+)/(?P<name>[^@?#]+)(?:@(?P<version>[^?#]*))?(?:\?(?P<more>[^#]*))?$")
_PARTS = re.compile(r"(\D*)(\d*)")
_APK = re.compile(r"^(?P<numbers>\d+(?:\.\d+)*)(?P<letter>[a-z]?)(?P<marks>(?:_[a-z]+\d*)*)(?:-r(?P<revision>\d+))?$")
_APK_MARKS = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
_RPM = re.compile(r"\d+|[A-Za-z]+|~|\^")
_SEMVER = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+.*)?$")
_LIMIT = 128  # characters that are compared
_DIGITS = 18

Key = tuple[Any, ...]


def _number(text: str) -> int:
    return int(text[:_DIGITS] or 0)


def _split(version: str) -> tuple[int, str, str]:
    """Epoch, version of the project, revision of the package."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return _number(epoch), upstream if dash else rest, revision if dash else ""


def debian(version: str) -> Key:
    """``1:2.36.1-8+deb11u1``: words and numbers in turn; ``~`` sorts before the end, letters before other signs."""
    epoch, upstream, revision = _split(version[:_LIMIT])
    return epoch, _debian_part(upstream), _debian_part(revision or "0")


def _debian_part(text: str) -> Key:
    parts: list[Any] = []
    for words, digits in _PARTS.findall(text):
        parts += [(*(_rank(char) for char in words), 0), _number(digits)]
    return tuple(parts)


def _rank(char: str) -> int:
    return -1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256


def alpine(version: str) -> Key:
    """``1.2.3b_rc1-r4``."""
    found = _APK.match(version[:_LIMIT])
    if found is None:
        return (versions.key(version), "", (), 0)
    numbers = tuple((3, _number(each), "") for each in found["numbers"].split("."))
    marks = tuple((_APK_MARKS.get(word, 0), _number(digits)) for word, digits in re.findall(r"_([a-z]+)(\d*)", found["marks"]))
    return (numbers, found["letter"], (*marks, (0, 0)), _number(found["revision"] or "0"))


def rpm(version: str) -> Key:
    """``2:1.0.2k-25.el7_9``: numbers after letters, ``~`` before the end and ``^`` right after it."""
    epoch, upstream, release = _split(version[:_LIMIT])
    return epoch, _rpm_part(upstream), _rpm_part(release)


def _rpm_part(text: str) -> Key:
    order = {"~": (-1, 0, ""), "^": (1, 0, "")}
    tokens = _RPM.findall(text)
    parts = [order.get(each) or ((3, _number(each), "") if each.isdigit() else (2, 0, each)) for each in tokens]
    return (*parts, (0, 0, ""))


def semantic(version: str) -> Key:
    """``1.0.0-rc.1``: a release after what came before it."""
    found = _SEMVER.match(version[:_LIMIT])
    if found is None:
        return (0, versions.key(version))
    numbers = tuple(_number(each or "") for each in found.groups()[:3])
    if found[4] is None:
        return (1, numbers, (1,))
    marks = tuple((0, _number(each), "") if each.isdigit() else (1, 0, each) for each in found[4].split("."))
    return (1, numbers, (0, marks))


_ORDERS: dict[str, Callable[[str], Key]] = {
    "deb": debian, "apk": alpine, "rpm": rpm, "npm": semantic, "golang": semantic, "cargo": semantic, "composer": semantic,
}  # fmt: skip


@lru_cache(maxsize=65536)
def key(system: str, version: str) -> Key:
    """What versions of a package system are sorted by; of a system that is not known, as upstream projects count."""
    return _ORDERS.get(system, versions.key)(version)


def within(system: str, version: str, first: str, last: str, inclusive: int) -> bool:
    """Whether a version lies in a range; ``inclusive``: bit 0 the first, bit 1 the last; an empty bound is open."""
    own = key(system, version)
    if first and (own < key(system, first) or (own == key(system, first) and not inclusive & 1)):
        return False
    return not last or own < key(system, last) or (own == key(system, last) and bool(inclusive & 2))


def keys(purl: str | None) -> list[str]:
    """What the package of a package URL may be kept under: ``deb:debian:11/openssl``, ``npm/jquery``."""
    found = _PURL.match(purl or "")
    if found is None:
        return []
    namespace, _, name = unquote(found["name"]).rpartition("/")
    if found["kind"] not in ("deb", "apk"):
        return [f"{found['kind']}/{f'{namespace}/' if namespace else ''}{name}"]
    more = dict(part.split("=", 1) for part in (found["more"] or "").split("&") if "=" in part)
    release = re.search(r"(\d+(?:\.\d+)?)", more.get("distro", ""))
    if release is None:
        return []
    number = release[1].split(".")[0] if namespace == "debian" else release[1]
    return [f"{found['kind']}:{namespace}:{number}/{name}"]


def identity(purl: str) -> tuple[str, str, str] | None:
    """Kind, name and version of a package URL; the version empty where it gives none."""
    found = _PURL.match(purl)
    return (found["kind"], unquote(found["name"]).rpartition("/")[2].lower(), unquote(found["version"] or "")) if found else None
