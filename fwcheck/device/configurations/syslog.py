"""System logs and clocks that may listen.

Sources: rsyslog.conf(5) with imudp and imtcp, syslog-ng.conf(5), busybox syslogd, sysklogd(8); ntp.conf(5), chrony.conf(5),
``ntpd --help`` of busybox, ntpd.conf(5) of OpenNTPD.
"""

from __future__ import annotations

import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, first, host_of, include, last, number

NAMES = ("syslogd", "rsyslogd", "syslog-ng", "ntpd", "chronyd", "openntpd")
_INPUT = re.compile(r'input\(\s*type\s*=\s*"im(udp|tcp|relp)"[^)]{0,400}?port\s*=\s*"(\d{1,5})"', re.IGNORECASE)
_OLD_INPUT = {"$udpserverrun": "udp", "$inputtcpserverrun": "tcp"}
_NG_SOURCE = re.compile(r"\b(udp6?|tcp6?|network|syslog)\s*\(([^;]{0,400})")


def read(start: Start) -> Reading:
    """Ports for messages or time of others; none where the configuration names none."""
    if start.name == "rsyslogd":
        return _rsyslog(start)
    if start.name == "syslog-ng":
        return _syslog_ng(start)
    if start.name == "syslogd":
        opened = start.flag("r") and not start.option("-R")
        return Reading((Bound(514, "udp"),) if opened else (), closed=not opened)
    return _chrony(start) if start.name == "chronyd" else _ntp(start)


def _rsyslog(start: Start) -> Reading:
    path = next(iter(start.option("-f")), "/etc/rsyslog.conf")
    settings = start.keywords(path)
    for each in [each for each in settings if each.key == "$includeconfig"][:16]:
        settings += [row for name in start.files(include("/etc", each.value)) for row in start.keywords(name)]
    bounds, notes = [], []
    for each in settings[:20_000]:
        if (kind := _OLD_INPUT.get(each.key)) and (port := number(each.value)):
            bounds.append(Bound(port, kind, ANY, each))
        elif (found := _INPUT.search(each.text[:2000])) and (port := number(found.group(2))):
            bounds.append(Bound(port, "udp" if found.group(1).lower() == "udp" else "tcp", ANY, each))
        elif re.match(r"\S+\s+@@?[\w.\[-]", each.text) or "omfwd" in each.text:
            notes.append(Note("log-forward", each))
    return Reading(tuple(bounds[:16]), closed=not bounds, authentication="none" if bounds else "unknown", notes=tuple(notes[:4]))


def _syslog_ng(start: Start) -> Reading:
    bounds = []
    inside = False
    for each in start.keywords(next(iter(start.option("-f", "--cfgfile")), "/etc/syslog-ng/syslog-ng.conf"))[:20_000]:
        inside = (inside or each.text.startswith("source")) and not re.match(r"(destination|filter|log|options)\b", each.text)
        found = _NG_SOURCE.search(each.text[:2000]) if inside else None
        if found:
            port = re.search(r"port\s*\(\s*[\"']?(\d{1,5})", found.group(2))
            host = re.search(r"\bip\s*\(\s*[\"']?([\w.:]+)", found.group(2))
            tcp = "tcp" in found.group(1) or (found.group(1) in ("network", "syslog") and "udp" not in found.group(2))
            bounds.append(
                Bound(
                    number(port.group(1)) if port else 514, "tcp" if tcp else "udp", host_of(host.group(1)) if host else ANY, each
                )
            )
    return Reading(tuple(bounds[:16]), closed=not bounds, authentication="none" if bounds else "unknown")


def _chrony(start: Start) -> Reading:
    path = next(iter(start.option("-f")), start.first("/etc/chrony/chrony.conf", "/etc/chrony.conf"))
    settings = start.keywords(path)
    for each in [each for each in settings if each.key == "confdir"][:4]:
        settings += (
            [row for name in start.files(f"{each.value.split()[0]}/*.conf") for row in start.keywords(name)] if each.value else []
        )
    allow, port = first(settings, "allow"), last(settings, "port")
    opened = number(port.value) if port is not None else 123
    serves = allow is not None and opened is not None
    return Reading(
        (Bound(opened, "udp", ANY, allow),) if serves else (), closed=bool(settings) and not serves, authentication="none"
    )


def _ntp(start: Start) -> Reading:
    box = start.found is not None and "box" in start.found.node.path.rsplit("/", 1)[-1]
    if box:
        card = next(iter(start.option("-I")), "")
        return Reading(
            (Bound(123, "udp", interface=card),) if start.flag("l") else (), closed=not start.flag("l"), authentication="none"
        )
    named = start.option("-c", "-f")
    settings: list[Setting] = []
    for path in named or ["/etc/ntp.conf", "/etc/ntpsec/ntp.conf", "/etc/openntpd/ntpd.conf", "/etc/ntpd.conf"]:
        settings += start.keywords(path)
    if "openntpd" in "".join(named) or start.name == "openntpd":
        listen = first(settings, "listen")
        return Reading((Bound(123, "udp", ANY, listen),) if listen else (), closed=listen is None, authentication="none")
    refuse = next(
        (each for each in settings if each.key == "restrict" and "default" in each.value and "ignore" in each.value), None
    )
    bounds = (Bound(123, "udp", ANY, refuse),) if settings and refuse is None else ()
    return Reading(bounds, closed=bool(settings) and refuse is not None, authentication="none")
