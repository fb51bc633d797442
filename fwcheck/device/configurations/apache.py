"""Apache HTTP Server.

Source: httpd.apache.org, directives Listen, Include, IfModule, SSLEngine, SSLProtocol, AuthType, SSLVerifyClient, User.
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import (
    ANY,
    Bound,
    Includes,
    Note,
    Reading,
    Start,
    host_of,
    include,
    number,
    split_address,
)
from fwcheck.device.configurations.tls import server_notes

NAMES = ("apache2", "apache", "httpd2")
_SETTING_LIMIT = 20_000


def read(start: Start) -> Reading:
    """Listen lines, TLS, authentication."""
    path = next(
        iter(start.option("-f")),
        start.first(
            "/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/etc/apache/httpd.conf", "/etc/apache2/httpd.conf"
        ),
    )
    settings: list[Setting] = []
    _collect(start, path, settings, Includes())
    engine = next((each for each in settings if each.key == "sslengine" and each.value.lower() == "on"), None)
    bounds = [_bound(each, tls=engine is not None) for each in settings if each.key == "listen"]
    asks = next((each for each in settings if each.key == "authtype" and each.value.lower() in ("basic", "digest", "form")), None)
    client = next((each for each in settings if each.key == "sslverifyclient" and each.value.lower() == "require"), None)
    user = next((each.value for each in settings if each.key == "user"), "")
    used = any(each.tls for each in bounds)
    moves = any(each.key in ("redirect", "rewriterule", "redirectpermanent") and "https://" in each.value for each in settings)
    plain = any(not each.tls for each in bounds) and not moves
    return Reading(
        tuple(each for each in bounds if each.port),
        authentication="certificate" if client else "password" if asks else "unknown",
        encryption="optional" if used and plain else "tls" if used else "none" if bounds else "unknown",
        user="" if "$" in user else user,
        notes=tuple(server_notes(settings) if used else ()) + _listing(settings),
        decided_by=tuple(each for each in (client, asks, engine) if each is not None),
    )


def _listing(settings: list[Setting]) -> tuple[Note, ...]:
    return tuple(
        Note("directory-listing", each)
        for each in settings
        if each.key == "options" and re.search(r"(?<!-)\bIndexes\b", each.value)
    )[:2]


def _bound(each: Setting, *, tls: bool) -> Bound:
    words = each.value.split()
    target = words[0] if words else ""
    if port := number(target):
        host = ANY
    else:
        host, port = split_address(target)
    secure = "https" in words[1:] or (tls and port in (443, 8443, 4443))
    return Bound(port, "tcp", host_of(host), each, tls=secure)


def _collect(start: Start, path: str, into: list[Setting], includes: Includes) -> None:
    """Directives in order, included files in their place; ``<IfModule !x>`` blocks count only for modules that are absent."""
    skip = 0
    for each in start.keywords(path):
        if len(into) > _SETTING_LIMIT:
            return
        if opened := re.match(r"<ifmodule\b\s*(\S*?)>", each.text, re.IGNORECASE):
            known = _loaded(opened.group(1).lstrip("!"), into)
            skip += 1 if skip or known == opened.group(1).startswith("!") else 0
            continue
        if each.text.lower().startswith("</ifmodule"):
            skip = max(skip - 1, 0)
            continue
        if skip:
            continue
        if each.key in ("include", "includeoptional"):
            for name in includes.follow(start.files(include(_top(path), each.value.strip('"')))):
                _collect(start, name, into, includes)
        elif not each.key.startswith("<"):
            into.append(each)


def _loaded(module: str, settings: list[Setting]) -> bool:
    """Whether a module is loaded by a line so far; one without such a line may be compiled in, mod_ssl and mod_gnutls are not."""
    name = module.removeprefix("mod_").removesuffix(".c").removesuffix("_module")
    return any(each.key == "loadmodule" and each.value.split("_module")[0] == name for each in settings)


def _top(path: str) -> str:
    """The server root that relative includes refer to."""
    for top in ("/etc/apache2", "/etc/httpd"):
        if path.startswith(top):
            return top
    return posixpath.dirname(path)
