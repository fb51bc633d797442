"""What part of a program a CVE is about (``origins.toml``): older releases, and programs without the part, do not have it."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec

from fwcheck.model import Component, Vulnerability
from fwcheck.vulnerabilities.belief import Range
from fwcheck.vulnerabilities.versions import compare


class _Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    component: str
    ids: tuple[str, ...]
    source: str
    since: str = ""
    applets: tuple[str, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    origin: tuple[_Origin, ...]


@cache
def origins() -> tuple[_Origin, ...]:
    """The entries of ``origins.toml``."""
    text = resources.files("fwcheck.vulnerabilities").joinpath("origins.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).origin


@cache
def _since() -> dict[tuple[str, str], str]:
    return {(each.component, cve): each.since for each in origins() for cve in each.ids if each.since}


@cache
def _applets() -> dict[tuple[str, str], tuple[str, ...]]:
    return {(each.component, cve): each.applets for each in origins() for cve in each.ids if each.applets}


def begun(component: str, cve: str, ranges: list[Range]) -> list[Range]:
    """The ranges without releases that are older than the part."""
    since = _since().get((component, cve))
    if since is None:
        return ranges
    late = [each for each in ranges if not each.last or compare(each.last, since) > 0]
    return [
        each if each.first and compare(each.first, since) >= 0 else each._replace(first=since, inclusive=each.inclusive | 1)
        for each in late
    ]


def built(vulnerability: Vulnerability, component: Component) -> Vulnerability:
    """The same, set aside when the program was built without every part that has it."""
    applets = _applets().get((component.name, vulnerability.id), ())
    if component.parts is None or not applets or not set(applets).isdisjoint(component.parts):
        return vulnerability
    reason = f"the program has no applet {' or '.join(applets)}"
    return msgspec.structs.replace(vulnerability, status="not_affected", reason=reason, ground="absent")
