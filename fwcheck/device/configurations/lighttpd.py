"""lighttpd. Source: the lighttpd wiki, "Configuration File Syntax", ``mod_openssl``, ``mod_auth``.

Conditions open blocks; ``$SERVER["socket"] == "[address]:port"`` opens a socket of its own. ``include`` is followed,
``include_shell`` runs a program and is not.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from fwcheck.device import configuration
from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Includes, Reading, Start, host_of, include, number, split_address
from fwcheck.device.configurations.tls import server_notes

NAMES = ("lighttpd",)
_SOCKET = re.compile(r'\$SERVER\["socket"\]\s*==\s*"([^"]{1,80})"')
_ENABLED = "/etc/lighttpd/conf-enabled/*.conf"
_SETTING_LIMIT = 20_000


class _Row(NamedTuple):
    setting: Setting
    socket: str  # the socket block it stands in, "" outside


def read(start: Start) -> Reading:
    """Sockets with and without TLS, authentication and TLS settings."""
    rows: list[_Row] = []
    path = next(iter(start.option("-f")), start.first("/etc/lighttpd/lighttpd.conf", "/etc/lighttpd.conf"))
    _collect(start, path, "", rows, Includes())
    host = next((each.value for each, _ in rows if each.key == "server.bind"), ANY)
    engines = {socket: _truth(each) for each, socket in rows if each.key == "ssl.engine"}
    bounds = []
    for each, socket in rows:
        if each.key == "server.port" and (port := number(each.value)) and not socket:
            bounds.append(Bound(port, "tcp", host_of(host), each, tls=engines.get("", False)))
        elif each.key == "socket":
            address, port = split_address(each.value)
            tls = engines.get(each.value, engines.get("", False))
            bounds.append(Bound(port or 80, "tcp", address, each, tls=tls))
    if rows and not any(each.setting.key == "server.port" for each in rows):
        bounds.insert(0, Bound(80, "tcp", host_of(host), tls=engines.get("", False)))
    settings = [each for each, _ in rows]
    used = any(engines.values())
    asks = next((each for each in settings if each.key == "auth.require"), None)
    client = next((each for each in settings if each.key == "ssl.verifyclient.enforce" and _truth(each)), None)
    user = next((each.value for each in settings if each.key == "server.username"), "")
    redirect = any(each.key == "url.redirect" and "https" in each.value for each in settings)
    plain = any(not each.tls for each in bounds) and not redirect
    return Reading(
        tuple(bounds),
        authentication="certificate" if client and used else "password" if asks else "unknown",
        encryption="optional" if used and plain else "tls" if used else "none" if rows else "unknown",
        user=user,
        notes=tuple(server_notes(settings)) if used else (),
        decided_by=tuple(each for each in (client if used else asks, *_engine(settings)) if each is not None)[:4],
    )


def _truth(setting: Setting) -> bool:
    return setting.value.strip('" ').lower() == "enable"


def _engine(settings: list[Setting]) -> list[Setting]:
    return [each for each in settings if each.key == "ssl.engine"]


def _collect(start: Start, path: str, socket: str, rows: list[_Row], includes: Includes) -> None:
    """Settings of a file with the socket block they stand in, in order."""
    stack: list[str] = []
    at = socket
    for line, row in configuration.lines(start.disk, path):
        text = row
        if len(rows) > _SETTING_LIMIT:
            return
        if found := _SOCKET.search(text):
            rows.append(_Row(Setting("socket", found.group(1), path, line, text), at))
            stack.append(at)
            at = found.group(1)
            text = row[found.end() :].partition("{")[2]
        elif text.endswith("{") or re.match(r"(\}\s*)?(else\b|\$\w+\[)", text):
            stack += [at] * text.count("{")
        key, equals, value = text.partition("=")
        key = key.strip(" +:{}")
        if text.startswith("include"):
            # Debian's helper lists the enabled modules; no other program's output is known.
            pattern = _ENABLED if "include-conf-enabled" in text else text[8:].strip().strip('"') if text[7:8] == " " else ""
            for name in includes.follow(start.files(include(posixpath.dirname(path), pattern)) if pattern else []):
                _collect(start, name, at, rows, includes)
        elif equals and re.fullmatch(r"[a-z][\w.-]*", key):
            rows.append(_Row(Setting(key, value.strip(" =>}").strip("\"'"), path, line, text), at))
        for _ in range(text.count("}")):
            if stack:
                at = stack.pop()
