"""Remote management, printing, containers and name servers.

Sources: ``/etc/config/easycwmp``, ``freecwmp`` and ``cwmp`` of OpenWrt packages (Broadband Forum TR-069); cupsd.conf(5),
p910nd(8); dockerd(8); named.conf(5), unbound.conf(5).
"""

from __future__ import annotations

import json
import re
from itertools import repeat

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, host_of, is_local, last, number, split_address

NAMES = ("cwmpd", "easycwmpd", "freecwmpd", "icwmpd", "cwmp", "cupsd", "p910nd", "dockerd", "named", "unbound")
_PACKAGES = ("easycwmp", "freecwmp", "cwmp", "icwmp", "tr069", "cwmpd")
_LISTEN_ON = re.compile(r"listen-on(-v6)?\s*(?:port\s+(\d{1,5}))?\s*\{([^}]{0,400})\}")


def read(start: Start) -> Reading:
    """Ports and settings of these daemons."""
    if start.name == "cupsd":
        return _cups(start)
    if start.name == "p910nd":
        digit = next((word for word in start.words if re.fullmatch(r"[0-9]", word)), "0")
        return Reading(
            (Bound(9100 + int(digit), "tcp", next(iter(start.option("-i")), ANY)),), authentication="none", encryption="none"
        )
    if start.name == "dockerd":
        return _docker(start)
    if start.name in ("named", "unbound"):
        return _names(start)
    return _cwmp(start)


def _cwmp(start: Start) -> Reading:
    """The connection request port with its login, and how the client reaches its server."""
    settings = [each for package in _PACKAGES for each in start.uci(package)]
    port = last([each for each in settings if each.section.startswith(("local", "cpe"))], "port")
    notes = []
    for each in settings:
        if each.key == "password" and each.value:
            notes.append(Note("constant-credential", each._replace(text=f"option {each.key} '******'"), each.section))
        elif each.key == "url" and each.value.startswith("http://"):
            notes.append(Note("plain-server", each, each.value))
    asks = any(each.key == "password" and each.value and each.section.startswith(("local", "cpe")) for each in settings)
    return Reading(
        (Bound(number(port.value), "tcp", ANY, port),) if port is not None and number(port.value) else (),
        authentication="password" if asks else "unknown",
        notes=tuple(notes[:4]),
    )


def _cups(start: Start) -> Reading:
    """``Listen localhost:631``, ``Port 631`` (every address), ``Listen /run/cups.sock``."""
    settings = start.keywords(next(iter(start.option("-c")), "/etc/cups/cupsd.conf"))
    bounds = []
    for each in settings:
        if each.key in ("listen", "ssllisten") and not each.value.startswith("/"):
            host, port = split_address(each.value) if ":" in each.value else (host_of(each.value), 631)
            bounds.append(Bound(port or 631, "tcp", host, each, tls=each.key == "ssllisten"))
        elif each.key in ("port", "sslport") and (port := number(each.value)):
            bounds.append(Bound(port, "tcp", ANY, each, tls=each.key == "sslport"))
    kind = last(settings, "defaultauthtype")
    none = kind is not None and kind.value.lower() == "none"
    return Reading(
        tuple(bounds),
        closed=bool(settings) and not bounds,
        authentication="none" if none else "password" if settings else "unknown",
        encryption="optional" if settings else "unknown",
    )


def _docker(start: Start) -> Reading:
    """``-H tcp://address:port`` or "hosts" of daemon.json; without ``tlsverify`` whoever connects is root."""
    path = next(iter(start.option("--config-file")), "/etc/docker/daemon.json")
    text = start.disk.text(path) or ""
    try:
        held = json.loads(text) if "hosts" in text and len(text) < 1 << 18 else {}
    except (ValueError, RecursionError):
        held = {}
    listed = held.get("hosts") if isinstance(held, dict) else None
    row = next((number_ for number_, line in enumerate(text.splitlines(), 1) if "hosts" in line), 1)
    found: list[tuple[str, Setting | None]] = list(zip(start.option("-H", "--host"), repeat(None), strict=False))
    bounds = []
    setting = Setting("hosts", str(listed)[:120], path, row, f'"hosts": {str(listed)[:120]}')
    found += [(each, setting) for each in (listed if isinstance(listed, list) else []) if isinstance(each, str)]
    for target, where in found[:32]:
        if target.startswith("tcp://"):
            host, port = split_address(target[6:])
            bounds.append(Bound(port or 2375, "tcp", host, where))
    checked = start.has("--tlsverify") or (isinstance(held, dict) and held.get("tlsverify") is True)
    wide = any(not is_local(each.address) for each in bounds)
    return Reading(
        tuple(each._replace(tls=checked) for each in bounds),
        closed=not bounds,
        authentication="certificate" if checked else "none" if bounds else "unknown",
        encryption="tls" if checked else "none" if bounds else "unknown",
        notes=(Note("no-password", bounds[0].setting, "docker"),) if wide and not checked else (),
    )


def _names(start: Start) -> Reading:
    bounds = []
    if start.name == "unbound":
        settings = start.keywords(next(iter(start.option("-c")), "/etc/unbound/unbound.conf"))
        for each in [each for each in settings if each.key.startswith("include")][:8]:
            settings += [row for name in start.files(each.value.strip("\"'")) for row in start.keywords(name)]
        listed = [each for each in settings if each.key == "interface:"]
        # Without an interface line it answers the loopback interface alone.
        hosts: list[tuple[str, Setting | None]] = []
        hosts.extend((host_of(each.value.split("@")[0]), each) for each in listed)
        hosts = hosts or ([("127.0.0.1", None)] if settings else [])
        bounds = [Bound(53, kind, host, each) for host, each in hosts[:16] for kind in ("udp", "tcp")]
        return Reading(tuple(bounds), authentication="none", encryption="none")
    for path in dict.fromkeys([*start.option("-c"), "/etc/bind/named.conf.options", "/etc/bind/named.conf", "/etc/named.conf"]):
        text = (start.disk.text(path) or "")[: 1 << 18]
        for found in _LISTEN_ON.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            setting = Setting("listen-on", found.group(3).strip(), path, line, " ".join(found.group(0).split())[:200])
            if text[: found.start()].rsplit("\n", 1)[-1].lstrip().startswith(("//", "#")):
                continue
            names = [name.strip() for name in found.group(3).split(";") if name.strip() and name.strip() != "none"]
            port = number(found.group(2) or "53")
            bounds += [Bound(port, kind, host_of(name), setting) for name in names[:8] for kind in ("udp", "tcp")]
    return Reading(tuple(bounds), authentication="none", encryption="none")
