"""Versions that stand in names: of shared libraries, of module and plug-in directories.

A library's file name holds its project's version only where the project's build puts it there; each entry of
``library_names.toml`` says how. Numbers of the binary interface (``libssl.so.1.0.0``, ``libcurl.so.4.3.0``) are none and are not
listed, except where the project publishes which release came with which number.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

Confidence = Literal["certain", "firm", "tentative"]


class Named(NamedTuple):
    """A component version read from a name."""

    component: str
    version: str
    confidence: Confidence


class _Library(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``library_names.toml``; see its head for the fields."""

    component: str
    pattern: str
    version: str = "{1}"
    reading: Literal["plain", "libtool", "packed"] = "plain"
    releases: dict[str, str] = {}
    confidence: Confidence = "firm"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    library: tuple[_Library, ...]


_KERNEL = re.compile(r"^([2-7]\.\d{1,2}(?:\.\d{1,3}){0,2}(?:-rc\d{1,2})?)(.*)$")
# Debian, Ubuntu and their like number the interface, not the release: 6.1.0-50-armmp, 5.15.0-91-generic.
_INTERFACE = re.compile(r"^\d+\.\d+\.0-\d+(?:[.-]|$)")
# Bundling tools put a piece of a hash into the name: liblzma-f444c404.so.5.2.2.
_BUNDLED = re.compile(r"-[0-9a-f]{8}(?=[.-])")


@cache
def _libraries() -> tuple[tuple[_Library, re.Pattern[str]], ...]:
    text = resources.files("fwcheck.device").joinpath("library_names.toml").read_text(encoding="utf-8")
    entries = msgspec.convert(tomllib.loads(text), _File).library
    return tuple((entry, re.compile(rf"^(?:{entry.pattern})$")) for entry in entries)


def library(name: str) -> Named | None:
    """What the base name of a shared library says, None when it says nothing of a release."""
    name = _BUNDLED.sub("", name[:200])
    for entry, pattern in _libraries():
        if (match := pattern.match(name)) and (version := _version(entry, match)):
            return Named(entry.component, version, entry.confidence)
    return None


def _version(entry: _Library, match: re.Match[str]) -> str | None:
    if entry.releases:
        return entry.releases.get(match[1])
    parts = [match[0], *(part or "" for part in match.groups())]
    if entry.reading == "libtool":  # 100 x minor + micro, less the age of the interface, which stands behind it
        parts[1] = f"{int(parts[1]) // 100}.{int(parts[1]) % 100 + int(parts[2])}"
    elif entry.reading == "packed":
        parts[1] = f"{int(parts[1]) // 10_000}.{int(parts[1]) // 100 % 100}.{int(parts[1]) % 100}"
    return entry.version.format(*parts)


def kernel_release(release: str) -> str | None:
    """The upstream version in a kernel release (``uname -r``, module directory, vermagic); None when it holds none."""
    words = release.split()
    match = _KERNEL.match(words[0]) if words else None
    return match[1] if match and not _INTERFACE.match(words[0]) else None
