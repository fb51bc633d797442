"""SSH servers. Sources: dropbear(8), sshd_config(5).

OpenSSH keeps the first value of a keyword, and a ``Match`` block ends what holds for everybody. A password is asked for unless
PasswordAuthentication is off and no PAM conversation is left.
"""

from __future__ import annotations

import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import (
    Bound,
    Includes,
    Note,
    Reading,
    Start,
    first,
    host_of,
    include,
    number,
    split_address,
)

NAMES = ("dropbear", "sshd")
_PORT_LIMIT = 32
_SWITCH = re.compile(r"-[EFabmwsgBRijktyzqv]*")


def read(start: Start) -> Reading:
    """Ports and authentication of dropbear or sshd."""
    return _dropbear(start) if "dropbear" in start.name else _sshd(start)


def _dropbear(start: Start) -> Reading:
    switches = "".join(word[1:] for word in start.words if _SWITCH.fullmatch(word))
    interface = next(iter(start.option("-l")), "")
    bounds = [
        Bound(port, "tcp", host, interface=interface)
        for text in start.option("-p")
        for host, port in [split_address(text)]
        if port is not None
    ]
    if interface and not bounds:
        bounds = [Bound(22, interface=interface)]
    notes = [Note("empty-password")] if "B" in switches else []
    return Reading(
        tuple(bounds),
        authentication="key" if "s" in switches else "password",
        encryption="ssh",
        notes=tuple(notes),
    )


def _sshd(start: Start) -> Reading:
    path = next(iter(start.option("-f")), start.first("/etc/ssh/sshd_config", "/etc/sshd_config", "/etc/openssh/sshd_config"))
    settings = _global(start, path, Includes())
    given = [Setting(key.lower(), value, "", 0, "") for text in start.option("-o") for key, _, value in [text.partition("=")]]
    settings = given + settings
    ports = [Bound(port) for text in start.option("-p") if (port := number(text))]
    ports = ports or [
        Bound(port, setting=each if each.path else None)
        for each in settings
        if each.key == "port" and (port := number(each.value))
    ]
    ports = list({bound.port: bound for bound in ports}.values())[:_PORT_LIMIT]
    hosts = list({each.value: each for each in settings if each.key == "listenaddress"}.values())[:_PORT_LIMIT]
    bounds = ports
    if hosts:
        bounds = []
        for each in hosts:
            words = each.value.split()
            named = bool(words) and re.search(r"\]:\d+$|^[^:]+:\d+$", words[0])
            host, port = split_address(words[0]) if named else (host_of(words[0]) if words else "", None)
            bounds += [Bound(port or bound.port, "tcp", host, each) for bound in ports or [Bound(22)]]
    password, talk = first(settings, "passwordauthentication"), first(settings, *_TALK)
    pam = first(settings, "usepam")
    closed = password is not None and password.value.lower() == "no"
    closed = closed and ((talk is not None and talk.value.lower() == "no") or pam is None or pam.value.lower() != "yes")
    empty = first(settings, "permitemptypasswords")
    notes = [Note("empty-password", empty)] if empty is not None and empty.value.lower() == "yes" else []
    notes += _weak(settings)
    return Reading(
        tuple(bounds),
        authentication="key" if closed else "password",
        encryption="ssh",
        notes=tuple(notes),
        decided_by=tuple(each for each in (password, talk if closed else None) if each is not None and each.path),
    )


# Algorithms that are withdrawn or broken: RFC 8758 (arcfour), RFC 9142 (key exchange), RFC 6151 (MD5), and 64-bit blocks.
_ALGORITHMS = {
    "ciphers": re.compile(r"(?i)none|3des-cbc|des-cbc.*|arcfour.*|blowfish-cbc|cast128-cbc|idea-cbc"),
    "macs": re.compile(r"(?i)none|hmac-md5.*|hmac-sha1-96.*|hmac-ripemd160.*"),
    "kexalgorithms": re.compile(r"(?i)diffie-hellman-group1-sha1|diffie-hellman-group-exchange-sha1|rsa1024-sha1"),
    "hostkeyalgorithms": re.compile(r"(?i)ssh-dss.*"),
    "pubkeyacceptedalgorithms": re.compile(r"(?i)ssh-dss.*"),
    "pubkeyacceptedkeytypes": re.compile(r"(?i)ssh-dss.*"),
}


def _weak(settings: list[Setting]) -> list[Note]:
    """Withdrawn algorithms that lists allow; ``-`` in front of a list takes them away, ``+`` and ``^`` add to the default."""
    notes = []
    for key, shape in _ALGORITHMS.items():
        each = first(settings, key)
        if each is None or each.value.startswith("-"):
            continue
        names = [name for name in each.value.lstrip("+^").split(",") if shape.fullmatch(name.strip())]
        if names:
            notes.append(Note("weak-crypto", each, ", ".join(names[:4])))
    version = first(settings, "protocol")
    if version is not None and "1" in version.value.replace(" ", "").split(","):
        notes.append(Note("weak-crypto", version, "SSH protocol 1"))
    return notes


_TALK = ("kbdinteractiveauthentication", "challengeresponseauthentication")


def _global(start: Start, path: str, includes: Includes) -> list[Setting]:
    """The keywords in front of the first Match block, included files in their place."""
    found: list[Setting] = []
    for each in start.keywords(path):
        if each.key == "match":
            break
        key, value = each.key, each.value
        if "=" in key:
            key, _, value = each.text.partition("=")
        if key == "include":
            for pattern in value.split():
                for name in includes.follow(start.files(include("/etc/ssh", pattern))):
                    found += _global(start, name, includes)
            continue
        found.append(each._replace(key=key.strip().lower(), value=value.strip().strip('"')))
    return found
