"""uhttpd, with LuCI and rpcd behind it. Sources: uhttpd's usage, OpenWrt ``/etc/config/uhttpd``, rpcd's ACL files.

The init script turns the configuration into arguments, so the arguments count first. LuCI and the ubus prefix ask rpcd for a
session, whose password is the one of ``/etc/config/rpcd`` (``$p$root``: that of the system).
"""

from __future__ import annotations

import json

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import Bound, Note, Reading, Start, split_address

NAMES = ("uhttpd",)
_ACL = "/usr/share/rpcd/acl.d"
_TEXT_LIMIT = 1 << 18


def read(start: Start) -> Reading:
    """Addresses with and without TLS, whether something asks for a login, and what rpcd grants without one."""
    found = [
        Bound(port, "tcp", host, tls=names == "-s")
        for names in ("-p", "-s")
        for text in start.option(names)
        for host, port in [split_address(text)]
        if port is not None
    ]
    if not found:
        for each in start.uci("uhttpd"):
            if each.key in ("listen_http", "listen_https"):
                host, port = split_address(each.value)
                found.append(Bound(port, "tcp", host, each, tls=each.key == "listen_https"))
    luci = start.disk.exists("/www/cgi-bin/luci") or start.disk.exists("/usr/lib/lua/luci")
    plain, tls = any(not each.tls for each in found), any(each.tls for each in found)
    redirects = start.flag("q") and tls
    return Reading(
        tuple(dict.fromkeys(found)),
        authentication="password" if luci else "unknown",
        encryption="optional" if plain and tls and not redirects else "tls" if tls else "none",
        notes=tuple(_granted(start)),
    )


def _granted(start: Start) -> list[Note]:
    """Write access that an ACL gives to callers without a session."""
    notes = []
    for path in sorted(start.disk.children(_ACL) or [])[:128]:
        text = start.disk.text(path) or ""
        if not path.endswith(".json") or "unauthenticated" not in text or len(text) > _TEXT_LIMIT:
            continue
        try:
            held = json.loads(text)
        except (ValueError, RecursionError):
            continue
        group = held.get("unauthenticated") if isinstance(held, dict) else None
        write = group.get("write") if isinstance(group, dict) else None
        if isinstance(write, dict) and any(write.values()):
            line = next((at for at, row in enumerate(text.splitlines(), 1) if '"write"' in row), 1)
            shown = json.dumps(write)[:160]
            notes.append(Note("unauthenticated-write", Setting("write", shown, path, line, f'"write": {shown}')))
    return notes[:4]
