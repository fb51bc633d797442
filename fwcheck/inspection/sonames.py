"""Releases that stand alone in a library: a bare ``1.0.18`` says whose it is by the name that the linker recorded.

The entries of ``sonames.toml`` tie a recorded name (DT_SONAME, gABI chapter 5) to its project and to the shape of its releases.
A file with two different strings of that shape says nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources

import msgspec

from fwcheck.model import BannerHit, ElfFacts

_FILE = "sonames.toml"
# Compilers lay a string right behind a table, so that one byte of a number may look like a letter in front of it.
_BEFORE = rb"[^\x20-\x7e][\x20-\x2d/:-~]?"


class _Library(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``sonames.toml``; see its head for the fields."""

    component: str
    soname: str
    version: str
    tail: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    library: tuple[_Library, ...]


def table_bytes() -> bytes:
    """The data file as stored: it is part of the inspector's version."""
    return resources.files("fwcheck.inspection").joinpath(_FILE).read_bytes()


@cache
def libraries() -> tuple[tuple[str, re.Pattern[str], re.Pattern[bytes]], ...]:
    """Component, recorded name and the string to look for, of each entry."""
    rows = msgspec.convert(tomllib.loads(table_bytes().decode()), _File).library
    return tuple(
        (
            row.component,
            re.compile(rf"(?:{row.soname})$"),
            re.compile(_BEFORE + rb"(?P<version>" + row.version.encode() + rb")(?:" + row.tail.encode() + rb")?\x00"),
        )
        for row in rows
    )


def read(content: bytes, elf: ElfFacts | None, known: frozenset[str]) -> Iterator[BannerHit]:
    """The release of the library itself, where no banner (``known``: components that have one) tells it already."""
    if elf is None or not elf.soname:
        return
    for component, soname, shape in libraries():
        if component in known or not soname.match(elf.soname):
            continue
        first: dict[str, re.Match[bytes]] = {}
        for match in shape.finditer(content):
            first.setdefault(match["version"].decode("latin-1"), match)
            if len(first) > 1:
                break
        if len(first) == 1:
            ((version, match),) = first.items()
            text = f"{elf.soname}: {version}"
            yield BannerHit(
                component=component,
                version=version,
                offset=match.start("version"),
                text=text[:120],
                pattern=f"soname-{component}",
            )
