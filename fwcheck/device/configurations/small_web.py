"""Small web servers: busybox httpd, boa, mini_httpd, thttpd, monkey, hiawatha, GoAhead.

Sources: ``httpd --help`` and the comment at the head of busybox ``networking/httpd.c``; boa.conf as shipped; mini_httpd(8);
thttpd(8); Monkey's ``monkey.conf``; hiawatha(1); GoAhead's ``route.txt``.

What a vendor's CGI program asks for is not in these files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from fwcheck.device.configurations.reading import (
    ANY,
    Bound,
    Reading,
    Start,
    host_of,
    last,
    number,
    off,
    on,
    split_address,
)
from fwcheck.device.configurations.tls import server_notes

NAMES = ("httpd", "boa", "mini_httpd", "thttpd", "micro_httpd", "monkey", "hiawatha", "goahead", "goahead-webs", "webs")


def read(start: Start) -> Reading:
    """Address, TLS, and whether the server itself asks for a password."""
    return _READERS.get(start.name, _busybox)(start)


def _busybox(start: Start) -> Reading:
    """``/path:user:password`` protects a path; any other program called httpd has the options alone."""
    found = [
        Bound(port, "tcp", host)
        for text in start.option("-p", "--port")
        for host, port in [split_address(text)]
        if port is not None
    ]
    user = next(iter(start.option("-u")), "").split(":")[0]
    if not _is_applet(start, "httpd"):
        return Reading(tuple(found))
    home = next(iter(start.option("-h")), "")
    path = next(iter(start.option("-c")), "/etc/httpd.conf")
    rows = start.assignments(path if path.startswith("/") else posixpath.join(home or "/", path))
    guarded = [each._replace(text=re.sub(r"(:[^:]*:).*", r"\1******", each.text)) for each in rows if each.text.startswith("/")]
    return Reading(
        tuple(found),
        authentication="password" if any(each.text.startswith("/:") for each in guarded) else "unknown",
        encryption="none",
        user=user,
        decided_by=tuple(guarded[:2]),
    )


def _is_applet(start: Start, name: str) -> bool:
    for top in ("/usr/sbin", "/sbin", "/usr/bin", "/bin"):
        if start.disk.root.resolve(f"{top}/{name}", follow=False) is not None:
            node = start.disk.root.resolve(f"{top}/{name}")
            return node is not None and "box" in posixpath.basename(node.path)
    return False


def _boa(start: Start) -> Reading:
    top = next(iter(start.option("-c")), "")
    given = [Bound(opened) for text in start.option("-p") if (opened := number(text))]
    paths = [f"{top}/boa.conf"] if top else []
    paths += [*start.option("-f"), "/etc/boa/boa.conf", "/etc/boa.conf", "/etc_ro/boa.conf"]
    settings = next((held for path in paths if (held := start.keywords(path))), [])
    host = last(settings, "listen")
    port = last(settings, "port")
    bounds = given or (
        [Bound(number(port.value), "tcp", host_of(host.value) if host else ANY, port)] if port and number(port.value) else []
    )
    asks = last(settings, "auth")
    tls = last(settings, "sslport", "ssl_port", "sslkeyfile")
    user = last(settings, "user")
    return Reading(
        tuple(bounds),
        authentication="password" if asks else "unknown",
        encryption="optional" if tls else "none" if settings else "unknown",
        user=user.value if user else "",
        decided_by=tuple(each for each in (asks, tls) if each),
    )


def _mini_httpd(start: Start) -> Reading:
    """mini_httpd and thttpd: ``key=value`` lines, or the same as options."""
    paths = [*start.option("-C"), "/etc/mini_httpd.conf", "/etc/mini-httpd.conf", "/etc/thttpd.conf", "/etc/thttpd/thttpd.conf"]
    settings = next((held for path in paths if (held := start.assignments(path))), [])
    port = last(settings, "port")
    host = last(settings, "host")
    address = host_of(next(iter(start.option("-h")), host.value if host else ANY))
    secure = last(settings, "ssl")
    tls = start.has("-S") or (secure is not None and not off(secure.value))
    given = next((found for text in start.option("-p") if (found := number(text))), None)
    usual = 443 if tls else 80
    opened = given or (number(port.value) if port else None)
    bounds = (Bound(opened or usual, "tcp", address, None if given else port, tls=tls),) if opened or host or tls else ()
    user = last(settings, "user")
    return Reading(
        bounds,
        encryption="tls" if tls else "none",
        user=next(iter(start.option("-u")), user.value if user else ""),
        notes=tuple(server_notes(settings)),
        decided_by=(secure,) if secure else (),
    )


def _monkey(start: Start) -> Reading:
    top = next(iter(start.option("-c", "--configdir", "--confdir")), "/etc/monkey")
    settings = start.keywords(f"{top}/monkey.conf")
    bounds = []
    for each in settings:
        if each.key in ("listen", "port"):
            words = each.value.split()
            host, port = split_address(words[0]) if words else (ANY, None)
            tls = any("tls" in word or "ssl" in word for word in words[1:])
            bounds += [Bound(port, "tcp", host, each, tls=tls)] if port else []
    user = last(settings, "user")
    return Reading(tuple(bounds), user=user.value if user else "", encryption="none" if settings else "unknown")


def _hiawatha(start: Start) -> Reading:
    """``Binding { Port = 443; TLScertFile = ...; Interface = ... }``."""
    top = next(iter(start.option("-c")), "/etc/hiawatha")
    settings = start.assignments(f"{top}/hiawatha.conf")
    bounds: list[Bound] = []
    for each in settings:
        if each.key == "port" and (port := number(each.value)):
            bounds.append(Bound(port, "tcp", ANY, each, tls=False))
        elif each.key in ("tlscertfile", "sslcertfile") and bounds:
            bounds[-1] = bounds[-1]._replace(tls=True)
        elif each.key == "interface" and bounds:
            bounds[-1] = bounds[-1]._replace(address=host_of(each.value))
    used = any(each.tls for each in bounds)
    client = last(settings, "requiretlsclientcert", "tlsclientcafile", "requiredca")
    asks = last(settings, "passwordfile")
    moves = last(settings, "requiretls", "requiressl")
    plain = any(not each.tls for each in bounds) and not (moves is not None and on(moves.value.split(",")[0]))
    return Reading(
        tuple(bounds),
        authentication="certificate" if client else "password" if asks else "unknown",
        encryption="optional" if used and plain else "tls" if used else "none" if bounds else "unknown",
        notes=tuple(server_notes(settings)),
        decided_by=tuple(each for each in (client, asks, moves) if each),
    )


def _goahead(start: Start) -> Reading:
    """Endpoints are the last arguments; ``route.txt`` says which paths ask for a login."""
    bounds = []
    for word in start.words:
        found = re.fullmatch(r"(?:(https?)://)?([\w.*-]*|\[[0-9a-fA-F:]+\]):(\d{2,5})", word)
        if found and (port := number(found.group(3))):
            bounds.append(Bound(port, "tcp", host_of(found.group(2)), tls=found.group(1) == "https"))
    path = next(iter(start.option("--route")), start.first("/etc/route.txt", "/etc_ro/route.txt", "/etc/goahead/route.txt"))
    routes = [each for each in start.keywords(path) if each.key == "route"]
    asks = next((each for each in routes if re.search(r"\bauth=(?:basic|digest|form)\b", each.text)), None)
    tls = any(each.tls for each in bounds)
    return Reading(
        tuple(bounds),
        authentication="password" if asks else "unknown",
        encryption="optional" if tls and any(not each.tls for each in bounds) else "tls" if tls else "unknown",
        decided_by=(asks,) if asks else (),
    )


_READERS: dict[str, Callable[[Start], Reading]] = {
    "boa": _boa,
    "mini_httpd": _mini_httpd,
    "thttpd": _mini_httpd,
    "monkey": _monkey,
    "hiawatha": _hiawatha,
    "goahead": _goahead,
    "goahead-webs": _goahead,
    "webs": _goahead,
}
