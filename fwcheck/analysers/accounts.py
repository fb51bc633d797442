"""Accounts whose password every unit of the product shares, or that have none.

It proves what the shipped files say. It cannot see what a factory step, a set-up page of a closed program or a cloud service
replaces before the first login; rules that depend on that are concerns, or say so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import mask, rules_of
from fwcheck.device.accounts import Origin, origin
from fwcheck.device.firmware import Firmware
from fwcheck.device.hashes import is_outdated
from fwcheck.device.ways_in import Ways, ways_in
from fwcheck.model import Account, Device, Evidence, Finding, Location, Severity

RULES = rules_of(__name__)
_EMPTY = RULES["ACC-001"]
_CRACKED = RULES["ACC-002"]
_FIXED = RULES["ACC-003"]
_HIDDEN = RULES["ACC-004"]
_WEAK = RULES["ACC-005"]

_SCHEMES = {
    "des": "DES crypt",
    "md5": "MD5 crypt",
    "sha256": "SHA-256 crypt",
    "sha512": "SHA-512 crypt",
    "bcrypt": "bcrypt",
    "yescrypt": "yescrypt",
    "other": "no salted crypt scheme",
}
_NAMED = _SCHEMES | {"other": "a scheme of its own"}  # salted or not: the finding is that it is fixed
_BY_ORIGIN: dict[Origin, Literal["certain", "firm", "tentative"]] = {"live": "certain", "seed": "firm", "copy": "tentative"}
_BY_SCRIPT = re.compile(r" (?:set by \w+|given to passwd|put in by sed|is removed by sed)$|^passwd -d ")
_SHELL_UNKNOWN = " The image holds no passwd line for it, or not the shell that this names."
_COPY = " Nothing in the image was seen to use this file."


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on the accounts that the image ships."""
    return once(_findings(firmware, device))


def _findings(firmware: Firmware, device: Device) -> Iterator[Finding]:
    known: dict[Account, Origin] = {}
    origins: dict[tuple[str, str], Origin] = {}
    for account in device.accounts:
        if account.password in ("empty", "hash"):
            used = _is_system(account) or _server_runs(account, device)
            file = account.root, account.file
            if file not in origins:
                origins[file] = origin(firmware, account)
            known[account] = origins[file] if used else "copy"
    for account, source in known.items():
        if account.password == "empty" and account.login is not False:
            yield _empty(account, source, ways_in(firmware, device, account))
        elif account.password == "hash" and (account.login is not False or not account.shell):
            ways = ways_in(firmware, device, account)
            yield _cracked(account, source, ways) if account.cracked else _fixed(account, source, ways)
    yield from _further(known, {(each.root, each.file) for each in device.accounts if each.name == "root" and each.uid == 0})
    yield from _weak(known)


def _is_system(account: Account) -> bool:
    """Whether the account is one of the system's, not of a web or file server."""
    if account.uid is not None or "shadow" in account.file:
        return True
    return bool(account.evidence and _BY_SCRIPT.search(account.evidence[0].text))


def _server_runs(account: Account, device: Device) -> bool:
    """Whether the server that reads a password file of its own may run: by its name in the path, else any of its kind."""
    kinds: tuple[str, ...] = ("http", "https", "ubus", "rtsp")
    if "smb" in account.file or "mosquitto" in account.file:
        kinds = ("smb", "netbios") if "smb" in account.file else ("mqtt", "mqtts")
    servers = [each for each in device.services if each.protocol in kinds and each.present and each.enabled != "no"]
    named = ("boa", "lighttpd", "nginx", "mini_httpd", "thttpd", "goahead", "uhttpd", "rpcd")
    name = next((each for each in named if each in account.file), "httpd" if account.file.endswith("httpd.conf") else "")
    return any(not name or name == each.program.rsplit("/", 1)[-1] or name == each.name for each in servers)


def _place(account: Account) -> tuple[Evidence, tuple[Evidence, ...]]:
    where = account.evidence[0] if account.evidence else Evidence(location=Location(path=account.file))
    return where, account.evidence[1:]


def _empty(account: Account, source: Origin, ways: Ways) -> Finding:
    """ACC-001. An SSH server refuses empty passwords unless it is told otherwise (ACC-007), so SSH alone opens nothing."""
    where, witnesses = _place(account)
    network = tuple(each for each in ways.network if each != "ssh")
    sure: Literal["certain", "firm", "tentative"] = _BY_ORIGIN[source]
    if account.login is None or source == "copy":
        sure = "tentative"
    elif not network and sure == "certain":
        sure = "firm"
    return _EMPTY.finding(
        where,
        f"empty password: {account.name}",
        title=f"Account {account.name} has no password",
        severity=Severity.CRITICAL if account.uid == 0 and source != "copy" and not ways.closed else Severity.HIGH,
        verdict="concern" if sure == "tentative" or ways.closed else "violation",
        confidence=sure,
        criteria=("S1.1-02", "S1.1-01") if network else ("S1.1-02",),
        witnesses=witnesses,
        explanation=_EMPTY.explanation
        + ways._replace(network=network).sentence()
        + (_COPY if source == "copy" else "")
        + (_SHELL_UNKNOWN if account.login is None else ""),
    )


def _cracked(account: Account, source: Origin, ways: Ways) -> Finding:
    where, witnesses = _place(account)
    sure = _BY_ORIGIN[source]
    closed = ways.closed and _is_system(account)
    if sure == "certain" and _is_system(account) and not ways.network:
        sure = "firm"
    return _CRACKED.finding(
        where,
        f"known password: {account.name}",
        title=f"Account {account.name} has a fixed password that a short word list finds",
        severity=Severity.CRITICAL if source != "copy" and not closed else Severity.HIGH,
        verdict="violation" if source != "copy" and not closed else "concern",
        confidence=sure,
        witnesses=witnesses,
        secret=account.plain,
        explanation=f"{_CRACKED.explanation} Found: {mask(account.plain)}."
        + (ways.sentence() if _is_system(account) else "")
        + (_COPY if source == "copy" else ""),
    )


def _fixed(account: Account, source: Origin, ways: Ways) -> Finding:
    where, witnesses = _place(account)
    return _FIXED.finding(
        where,
        f"fixed password: {account.name}",
        title=f"Account {account.name} has a fixed password hash ({_NAMED.get(account.scheme or 'other', '')})",
        severity=Severity.HIGH if source != "copy" and not ways.closed else Severity.MEDIUM,
        confidence="firm" if source != "copy" else "tentative",
        witnesses=witnesses,
        explanation=_FIXED.explanation + (ways.sentence() if _is_system(account) else "") + (_COPY if source == "copy" else ""),
    )


def _further(known: dict[Account, Origin], with_root: set[tuple[str, str]]) -> Iterator[Finding]:
    """ACC-004: every open account with user id 0 beside root, locked or not, or beside the first one where none is called root.

    ``with_root``: the files (file system, path) that hold an account called root.
    """
    together: dict[tuple[str, str], list[Account]] = defaultdict(list)
    for account, source in known.items():
        if account.uid == 0 and account.login and source != "copy":
            together[account.root, account.file].append(account)
    for file, held in together.items():
        first = next((each for each in held if each.name == "root"), None if file in with_root else held[0])
        for account in held:
            if account.name not in ("root", first.name if first is not None else ""):
                proof = sorted(account.evidence, key=lambda each: "passwd" not in each.location.path)  # the user id stands there
                where, *witnesses = proof or [_place(account)[0]]
                yield _HIDDEN.finding(
                    where,
                    f"further root account: {account.name}",
                    title=f"Account {account.name} has the rights of root beside {first.name if first is not None else 'root'}",
                    witnesses=(*witnesses, *(first.evidence[:1] if first is not None else ())),
                )


def _weak(known: dict[Account, Origin]) -> Iterator[Finding]:
    """ACC-005, once per file and scheme."""
    together: dict[tuple[str, str, str], list[Account]] = defaultdict(list)
    for account, source in known.items():
        if account.scheme in _SCHEMES and is_outdated(account.secret) and source != "copy" and account.evidence:
            together[account.root, account.file, account.scheme].append(account)
    for (_, _, scheme), held in together.items():
        names = ", ".join(sorted({each.name for each in held})[:8])
        yield _WEAK.finding(
            held[0].evidence[0],
            f"weak password hash: {scheme}",
            title=f"Passwords stored under {_SCHEMES[scheme]}: {names}",
            witnesses=tuple(each.evidence[0] for each in held[1:]),
        )
