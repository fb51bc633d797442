"""Accounts that become root without a password: sudoers, doas.conf, and su under PAM.

It proves what the files say of accounts that exist in the image. Sources: sudoers(5), doas.conf(5), pam_wheel(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device import _pam
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.ways_in import members_of
from fwcheck.model import Account, Device, Evidence, Finding, Severity

RULES = rules_of(__name__)
_ROOT = RULES["ACC-014"]

_SUDOERS = ("/etc/sudoers", "/usr/etc/sudoers", "/usr/local/etc/sudoers")
_DOAS = ("/etc/doas.conf", "/usr/local/etc/doas.conf")
_MOST_LINES = 1024
_MOST_FILES = 32
# Commands that give a shell or write any file, whatever they were meant for.
_SHELLS = re.compile(
    r"(?:^|/)(?:ALL|\*|(?:ba|da|a|k|z)?sh|busybox|su|env|vi|vim|nano|less|more|man|awk|gawk|find|tar|dd|cp|mv|tee|perl|python\S*|lua|php"
    r"|chmod|chown|passwd|chpasswd|mount|systemctl|apt|apt-get|dpkg|opkg|pip3?)(?:\s|$)"
)


class _Grant(NamedTuple):
    who: str  # a name, or "%group"
    what: str
    where: Evidence


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on accounts that need no password to become root."""
    return once(finding for fs in firmware.roots() for finding in _of(fs, device))


def _of(fs: FileSystem, device: Device) -> Iterator[Finding]:
    accounts = [each for each in device.accounts if each.root == fs.label]
    for grant in (*_sudo(fs), *_doas(fs), *_wheel(fs)):
        held = [each for each in _meant(fs, grant.who, accounts) if each.uid != 0]
        usable = [each for each in held if each.password in ("hash", "empty") and each.login is not False]
        known = [each for each in usable if each.cracked or each.password == "empty"]
        if not held and not grant.who.startswith("ALL"):
            continue  # no such account in the image: nobody can use it
        name = grant.who.removeprefix("%")
        yield _ROOT.finding(
            grant.where,
            f"root without password: {grant.who}",
            title=f"{'Members of ' if grant.who.startswith('%') else ''}{name} may become root without a password ({grant.what})",
            severity=Severity.HIGH if known else Severity.MEDIUM if usable else Severity.LOW,
            verdict="concern" if usable else "info",
            confidence="firm" if usable else "tentative",
            witnesses=tuple(each.evidence[0] for each in (known or usable) if each.evidence)[:4],
        )


def _meant(fs: FileSystem, who: str, accounts: list[Account]) -> list[Account]:
    if who == "ALL":
        return accounts
    if not who.startswith("%"):
        return [each for each in accounts if who in (each.name, f"#{each.uid}")]
    members = members_of(fs, who[1:])
    return [each for each in accounts if each.name in members or each.name == who[1:]]


# --------------------------------------------------------------------------- sudo


def _sudo(fs: FileSystem) -> Iterator[_Grant]:
    for path in _SUDOERS:
        if fs.text(path) is not None:
            yield from _sudoers(fs, [path])
            return


def _sudoers(fs: FileSystem, todo: list[str]) -> Iterator[_Grant]:
    """The file and what it includes; files of a directory with a dot or a tilde at the end are passed over."""
    seen: set[str] = set()
    aliases: dict[str, list[str]] = {}
    while todo and len(seen) < _MOST_FILES:
        path = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        text = re.sub(r"\\\n\s*", " ", (fs.text(path) or "")[:256_000])
        for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
            if included := re.match(r"\s*[@#]include(dir)?\s+(\S+)", line):
                nodes = [node.path for node in fs.children(included[2])] if included[1] and fs.exists(included[2]) else []
                todo += [node for node in nodes if not re.search(r"\.|~$", node.rsplit("/", 1)[-1])] or (
                    [] if included[1] else [included[2]]
                )
            elif alias := re.match(r"\s*User_Alias\s+([A-Z][A-Z0-9_]*)\s*=\s*(.+)", line):
                aliases[alias[1]] = [name.strip() for name in alias[2].split(",")][:64]
            elif grant := re.match(r"\s*(?!Defaults|#)([%\w.#-][\w.%@-]*(?:\s*,\s*[%\w.-]+)*)\s+[\w.,-]+\s*=\s*(.+)", line):
                yield from _granted(fs.evidence(path, line, line=number), grant[1], grant[2], aliases)


def _granted(where: Evidence, users: str, rest: str, aliases: dict[str, list[str]]) -> Iterator[_Grant]:
    """The commands behind NOPASSWD, which holds until PASSWD, when one of them is as good as a shell and runs as root."""
    if (runas := re.match(r"\(([^)]*)\)", rest)) and not re.search(r"\b(?:ALL|root)\b", runas[1]):
        return
    _, found, free = rest.partition("NOPASSWD:")
    commands = [each.strip() for each in re.split(r"\bPASSWD:", free)[0].split(",")]
    powerful = next((each for each in commands if _SHELLS.search(re.sub(r"^(?:[A-Z]+:\s*)+", "", each))), None)
    if not found or powerful is None:
        return
    for user in users.split(",")[:64]:
        for name in aliases.get(user.strip(), [user.strip()]):
            yield _Grant(name, f"sudo {powerful[:40]}", where)


# --------------------------------------------------------------------------- doas, su


def _doas(fs: FileSystem) -> Iterator[_Grant]:
    for path in _DOAS:
        for number, line in enumerate((fs.text(path) or "").splitlines()[:_MOST_LINES], 1):
            words = line.partition("#")[0].split()
            if not words or words[0] != "permit" or "nopass" not in words or ("as" in words and "root" not in words):
                continue
            command = words[words.index("cmd") + 1] if "cmd" in words[:-1] else "ALL"
            who = next(
                (w for w in words[1:] if w not in ("nopass", "keepenv", "nolog", "persist") and "{" not in w and "=" not in w), ""
            )
            if who and _SHELLS.search(command):
                yield _Grant(
                    f"%{who[1:]}" if who.startswith(":") else who, f"doas {command[:40]}", fs.evidence(path, line, line=number)
                )


def _wheel(fs: FileSystem) -> Iterator[_Grant]:
    """pam_wheel with ``trust``: members of the group become root by su without a password."""
    for rule in _pam.stack(fs, "su") if "su" in _pam.services(fs) else ():
        if rule.module == "wheel" and "trust" in rule.arguments:
            named = next((word[6:] for word in rule.arguments if word.startswith("group=")), "wheel")
            yield _Grant(f"%{named}", "su", fs.evidence(rule.path, rule.text, line=rule.line))
        elif rule.module == "permit" and rule.control in ("required", "requisite", "sufficient"):
            opens = _pam.opens_without_password(fs, "su")
            if opens is not None:
                yield _Grant("ALL", "su", fs.evidence(opens.path, opens.text, line=opens.line))
            return
