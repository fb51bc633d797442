"""Passwords and hidden switches that stand in the code of programs: constants that are compared where somebody logs in.

It proves that the code compares with a constant, or starts a remote shell. Whether the code is reached, and what the comparison
decides, it cannot see: what it tells is to be looked at with the source. Programs of well-known projects are passed over where
their own words (names of users, of options) would look like passwords.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import mask, rules_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import CallFact, Device, Evidence, Facts, Finding, Node, Severity

RULES = rules_of(__name__)
_HASH, _PAIR, _KNOWN = RULES["ACC-030"], RULES["ACC-031"], RULES["ACC-032"]
_SWITCH, _SHELL = RULES["DBG-020"], RULES["DBG-021"]

_COMPARES = frozenset({"strcmp", "strncmp", "strcasecmp", "strncasecmp", "memcmp", "bcmp"})
_RUNS = frozenset({"system", "popen", "execl", "execlp", "execle", "execv", "execvp", "execve"})
# crypt(3) of glibc, musl and uClibc: a method, a salt and a hash; the old form has no sign of its own and is not told.
_CRYPT = re.compile(
    r"\$(?:1|2[abxy]?|5|6|y)\$[^$\s]{0,64}(?:\$[^$\s]{0,64})?\$[./A-Za-z0-9]{22,100}|\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"
)
_USERS = frozenset({
    "admin", "Admin", "root", "administrator", "Administrator", "support", "supervisor", "superuser", "superadmin",
    "telecomadmin", "useradmin", "operator", "guest", "service", "engineer", "factory", "debug", "tech", "system",
})  # fmt: skip
_PASSWORDS = frozenset(
    {"admin", "password", "1234", "12345", "123456", "1234567", "12345678", "888888", "666666", "root", "guest"}
)
# Words of protocols and settings that stand beside user names without being secrets.
_WORD = re.compile(
    r"[a-z_-]+|[A-Z_-]+|[A-Z][a-z]+|[\W\d_]{0,5}|.*[\s%=/:,<>;].*|\d{1,3}(?:\.\d+)*|(?i:wpa|wep|psk|aes|tkip|utf|http|tls|ssl|md5|sha|ipv).*"
)
_NEAR = 0x90  # bytes of code between two comparisons that belong together
_MOST_CONSTANTS = 4  # of one function: more of them are a table of words
_REMOTE = re.compile(
    r"(?:^|[\s;&|/])(?=(?P<program>\w+))(?:(?:utelnetd|telnetd)(?=$|[\s;&|])|(?:nc|netcat)\s[^;&|]*(?:-l[^;&|]*-e|-e)\s*/bin/\S*sh\b)"
)
_FOLDERS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_STOPS = re.compile(r"kill|pidof|\bps\b|grep|\brm\b|stop|which|chmod|\bcp\b|\bmv\b|ln -s|\becho\b")
# Programs that start such daemons because that is what they are for.
_STARTERS = re.compile(
    r"busybox|init|procd|systemd\S*|inetd|xinetd|telnetd|utelnetd|toybox|monit|openrc\S*|start-stop-daemon|in\.telnetd"
)
_FOREIGN = re.compile(
    r"busybox|toybox|dropbear\S*|ssh\S*|sshd|login|su|sudo|passwd|vsftpd|proftpd|pure-ftpd|smbd|nmbd|winbindd|lighttpd|nginx|mosquitto\S*"
    r"|hostapd|wpa_\S+|openssl|curl|wget|snmpd|openvpn|pppd|dnsmasq|avahi-\S+|systemd\S*|udev\S*|php\S*|python\S*|perl\S*|lua\S*|mysql\S*"
    r"|postgres|sqlite3|samba\S*|chage|useradd|usermod|group\w+|newgrp|cron\S*|at|gdb\S*|strace|tcpdump|bash|dash|zsh|git\S*|nmap|radvd"
)
_BACKDOORS = {  # constant to where it is described
    "xmlset_roodkcableoj28840ybtide": "CVE-2013-6026, user agent that needs no password",
    "w302r_mfg": "CVE-2013-7434 and the like, command service of Tenda",
    "FGTAbc11*xy+Qqz27": "CVE-2016-1909, SSH log-in of FortiOS",
    "<<< %s(un='%s') = %u": "CVE-2015-7755, log-in of ScreenOS",
    "PrOw!aN_fXp": "CVE-2020-29583, account of Zyxel",
}


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:  # noqa: ARG001  # the signature of all
    """Findings on what programs compare log-ins with."""
    return once(_findings(firmware))


def _findings(firmware: Firmware) -> Iterator[Finding]:
    for root in firmware.filesystems:
        for node, facts in root.files():
            if facts.calls and facts.elf is not None:
                yield from _program(firmware, root, node, facts)


def _program(firmware: Firmware, root: FileSystem, node: Node, facts: Facts) -> Iterator[Finding]:
    name = posixpath.basename(node.path)
    foreign = _FOREIGN.fullmatch(name) is not None
    compared = [(call, text) for call in facts.calls if call.function in _COMPARES for text in _texts(call)]
    yield from _known(root, node, compared)
    if not foreign:
        yield from _hashes(root, node, facts, compared)
        yield from _pairs(root, node, compared)
    if not _STARTERS.fullmatch(name) and not foreign:
        yield from _shells(firmware, root, node, facts, compared)


def _texts(call: CallFact) -> list[str]:
    return [each for each in call.arguments if isinstance(each, str)]


def _evidence(root: FileSystem, node: Node, call: CallFact, *, secret: str = "") -> Evidence:
    shown = ", ".join("…" if each is None else f'"{each}"' if isinstance(each, str) else str(each) for each in call.arguments)
    shown = re.sub(r"(?:, …)+$", ", …", shown)
    if secret:
        shown = shown.replace(secret, mask(secret))
    where = f" in {call.caller}" if call.caller else ""
    return root.evidence(node.path, f"{call.function}({shown}){where}", offset=call.offset)


def _known(root: FileSystem, node: Node, compared: list[tuple[CallFact, str]]) -> Iterator[Finding]:
    for call, text in compared:
        told = _BACKDOORS.get(text)
        if told:
            yield _KNOWN.finding(
                _evidence(root, node, call),
                f"{node.path} {text}",
                title=f"{posixpath.basename(node.path)} holds a known back door ({told})",
            )


def _hashes(root: FileSystem, node: Node, facts: Facts, compared: list[tuple[CallFact, str]]) -> Iterator[Finding]:
    hashing = [(call, text) for call in facts.calls if call.function in ("crypt", "crypt_r") for text in _texts(call)]
    for call, text in [*compared, *hashing]:
        if _CRYPT.fullmatch(text):
            yield _HASH.finding(_evidence(root, node, call, secret=text), f"{node.path} {text[:3]} {call.function}", secret=text)


def _pairs(root: FileSystem, node: Node, compared: list[tuple[CallFact, str]]) -> Iterator[Finding]:
    """A user name and a password compared one soon after the other, in a function that compares with little else."""
    functions: dict[int, list[tuple[CallFact, str]]] = defaultdict(list)
    for call, text in compared:
        if call.within is not None and call.function != "memcmp" and text:
            functions[call.within].append((call, text))
    for calls in functions.values():
        if not 2 <= len(calls) <= _MOST_CONSTANTS:
            continue
        for first, user in calls:
            if user not in _USERS:
                continue
            for second, word in calls:
                near = second is not first and abs(second.offset - first.offset) <= _NEAR
                if near and word not in _USERS - {user} and _is_password(word):
                    yield _PAIR.finding(
                        _evidence(root, node, second, secret=word),
                        f"{node.path} {user}",
                        title=f"{posixpath.basename(node.path)} compares with the user name {user} and a constant password",
                        witnesses=(_evidence(root, node, first),),
                        secret=word,
                    )
                    break


def _is_password(word: str) -> bool:
    return word in _PASSWORDS or (5 <= len(word) <= 32 and not _WORD.fullmatch(word) and not _CRYPT.fullmatch(word))


def _shells(
    firmware: Firmware, root: FileSystem, node: Node, facts: Facts, compared: list[tuple[CallFact, str]]
) -> Iterator[Finding]:
    """Commands that start a remote shell; behind a comparison with a word that nobody guesses they look like a back door."""
    for call in facts.calls:
        command = next((text for text in _texts(call) if _REMOTE.search(text) and not _STOPS.search(text)), None)
        if command is None or call.function in _COMPARES or not _runs(call.function):
            continue
        before = [
            (each, text)
            for each, text in compared
            if each.within is not None
            and each.within == call.within
            and 0 < call.offset - each.offset < 2 * _NEAR
            and _is_secret(text)
        ]
        if before:
            nearest, _ = max(before, key=lambda each: each[0].offset)
            yield _SWITCH.finding(
                _evidence(root, node, call), f"{node.path} {command.split()[0]}", witnesses=(_evidence(root, node, nearest),)
            )
        else:
            yield _shell(firmware, node, _evidence(root, node, call), command)


def _shell(firmware: Firmware, node: Node, where: Evidence, command: str) -> Finding:
    """A call that nothing guards; one of a program that an image with a root file system lacks comes to nothing as shipped."""
    found = _REMOTE.search(command)
    name = found["program"] if found is not None else ""
    if "busybox " in command:  # an applet needs no link when it is called so
        name = "busybox"
    path = next((word for word in command.split() if word.startswith("/") and word.endswith(f"/{name}")), "")
    places = (path,) if path else tuple(f"{folder}/{name}" for folder in _FOLDERS)
    rooted = any(fs.is_root for fs in firmware.filesystems)
    there = not rooted or any(fs.exists(each) for fs in firmware.filesystems for each in places)
    caller = posixpath.basename(node.path)
    return _SHELL.finding(
        where,
        f"{node.path} {command.split(maxsplit=1)[0]}",
        title=f"{caller} can start a telnet service or a remote shell"
        if there
        else f"{caller} calls {name}, which is not in the image",
        severity=Severity.MEDIUM if there else Severity.LOW,
        verdict="concern" if there else "info",
    )


def _runs(function: str) -> bool:
    return function in _RUNS or not function.startswith(
        ("nvram", "fopen", "open", "access", "unlink", "chmod", "mknod", "setenv", "get")
    )


def _is_secret(text: str) -> bool:
    return len(text) >= 8 and not _WORD.fullmatch(text)
