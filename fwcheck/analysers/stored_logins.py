"""Logins and secrets that settings and scripts carry, where no password file holds them.

It proves that a value of this name stands in the shipped settings. Which of several settings files is loaded, and whether a
closed program replaces the value, is seldom visible: a violation needs a factory file, a name people log in with, and a server.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import mask, rules_of
from fwcheck.device._derived_passwords import derived_passwords
from fwcheck.device._service_secrets import boot_passwords, service_secrets
from fwcheck.device.crack import crack
from fwcheck.device.firmware import Firmware
from fwcheck.device.hashes import guess_cost
from fwcheck.device.stored_logins import StoredLogin, stored_logins
from fwcheck.model import Device, Finding, Severity

RULES = rules_of(__name__)
_DERIVED = RULES["ACC-011"]
_STORED = RULES["ACC-015"]
_EMPTY = RULES["ACC-016"]
_SECRET = RULES["ACC-017"]
_BOOT = RULES["ACC-018"]

_SERVERS = frozenset({"http", "https", "telnet", "ssh", "ftp", "rtsp", "onvif"})
_CHEAP = 10  # nominal microseconds of a plain digest: many words cost next to nothing
_COSTLY = 400_000  # nominal microseconds for all others, besides what the accounts take


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on logins and secrets in settings and scripts."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    yield from _logins(firmware, device)
    yield from _computed(firmware)
    yield from _services(firmware, device)
    for name, where, guess in boot_passwords(firmware):
        yield _BOOT.finding(
            where,
            f"boot loader password: {name}",
            title=f"The boot loader's prompt opens with a fixed password ({name})",
            confidence="firm" if guess else "tentative",
            secret=guess,
            explanation=_BOOT.explanation + (f" Found: {mask(guess)}." if guess else ""),
        )


# --------------------------------------------------------------------------- logins in settings


def _logins(firmware: Firmware, device: Device) -> Iterator[Finding]:
    known = {(each.root, each.file) for each in device.accounts}
    groups: dict[tuple[str, str], list[StoredLogin]] = defaultdict(list)
    for login in stored_logins(firmware):
        place = login.where.location
        if (" › ".join(place.chain), place.path) not in known:
            groups[login.name.lower(), login.secret].append(login)
    opened = _opened(groups)
    served = any(
        each.protocol in _SERVERS and each.present and each.enabled != "no" and each.reachable != "loopback"
        for each in device.services
    )
    for (_, secret), held in groups.items():
        held.sort(key=lambda each: not each.factory)
        yield _empty(held) if held[0].state == "empty" else _fixed(held, opened.get(secret, ""), served=served)


def _opened(groups: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What a few hashes open with: plain digests with many words, others with the few that are tried first."""
    cheap: dict[str, list[str]] = defaultdict(list)
    costly: dict[str, list[str]] = defaultdict(list)
    for name, secret in groups:
        cost = guess_cost(secret) if secret else None
        if cost is not None:
            (cheap if cost <= _CHEAP else costly)[secret].append(name)
    return {**crack(dict(islice(costly.items(), 4)), budget=_COSTLY), **crack(dict(islice(cheap.items(), 8)))}


def _fixed(held: list[StoredLogin], found: str, *, served: bool) -> Finding:
    first = held[0]
    plain = first.secret if first.state == "plain" else found
    easy = first.listed or bool(found)
    verdict: Literal["violation", "concern"] = "violation" if first.factory and served and plain else "concern"
    return _STORED.finding(
        first.where,
        f"stored login: {first.name}",
        title=f"Factory settings carry the login {first.name} with a "
        + ("password that is among the first to be tried" if easy else "fixed password" if plain else "fixed password hash"),
        severity=Severity.CRITICAL if easy and verdict == "violation" else Severity.HIGH if plain else Severity.MEDIUM,
        verdict=verdict,
        confidence="firm" if first.factory else "tentative",
        witnesses=tuple(each.where for each in held[1:]),
        secret=plain or first.secret,
        explanation=_STORED.explanation
        + (f" Found: {mask(plain)}." if plain else " The password itself was not found.")
        + ("" if served else " No server that would take it was seen to start by default."),
    )


def _empty(held: list[StoredLogin]) -> Finding:
    first = held[0]
    return _EMPTY.finding(
        first.where,
        f"empty stored login: {first.name}",
        title=f"Factory settings carry the login {first.name} without a password",
        witnesses=tuple(each.where for each in held[1:]),
    )


# --------------------------------------------------------------------------- scripts, services


def _computed(firmware: Firmware) -> Iterator[Finding]:
    for fs in firmware.roots():
        for found in derived_passwords(fs):
            serial = found.source == "serial number"
            yield _DERIVED.finding(
                found.where,
                f"derived password: {posixpath.basename(found.where.location.path)}",
                title=f"A password is computed from the {found.source} of the device",
                verdict="concern" if serial else "violation",
                severity=Severity.MEDIUM if serial else Severity.HIGH,
                witnesses=found.steps,
            )


def _services(firmware: Firmware, device: Device) -> Iterator[Finding]:
    for fs in firmware.roots():
        for secret in service_secrets(fs):
            states = {each.enabled for each in device.services if each.present and re.search(secret.programs, each.name)}
            running = "yes" in states or "unknown" in states
            yield _SECRET.finding(
                secret.where,
                f"service secret: {secret.what}",
                title=f"{secret.what} is the same in all units",
                severity=Severity.MEDIUM if running else Severity.LOW,
                confidence="firm" if running else "tentative",
                secret=secret.value,
                verdict="concern" if running else "info",
            )
