"""VPN servers. Sources: openvpn(8), xl2tpd.conf(5), pptpd.conf(5), wg(8) and wg-quick(8)."""

from __future__ import annotations

import posixpath

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import (
    ANY,
    Authentication,
    Bound,
    Note,
    Reading,
    Start,
    host_of,
    is_local,
    last,
    number,
)

NAMES = ("openvpn", "xl2tpd", "l2tpd", "pptpd", "wg-quick")
_WEAK = ("none", "null", "des-cbc", "bf-cbc", "rc2-cbc", "des-ede3-cbc")


def read(start: Start) -> Reading:
    """Ports of a server; a client opens none."""
    if start.name == "openvpn":
        return _openvpn(start)
    if start.name == "wg-quick":
        return _wireguard(start)
    return _pptpd(start) if start.name == "pptpd" else _xl2tpd(start)


def _openvpn(start: Start) -> Reading:
    path = next(iter(start.option("--config")), next((word for word in start.words if word.endswith((".conf", ".ovpn"))), ""))
    top = next(iter(start.option("--cd")), "/etc/openvpn")
    settings = start.keywords(path if path.startswith("/") else posixpath.join(top, path)) if path else []
    words = start.words
    for at, word in enumerate(words):
        if word.startswith("--"):
            value = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("--") else ""
            settings.append(Setting(word[2:], value, "", 0, f"{word} {value}"))
    management = last(settings, "management")
    bounds = []
    if management is not None and len(parts := management.value.split()) >= 2 and (port := number(parts[1])):
        bounds.append(Bound(port, "tcp", host_of(parts[0]), management))
    if last(settings, "client", "tls-client", "remote", "nobind") is not None:
        return Reading(tuple(bounds), closed=not bounds, authentication="none" if bounds else "unknown")
    if not settings:
        return Reading()
    port_, proto, host = last(settings, "port", "lport"), last(settings, "proto"), last(settings, "local")
    opened = (number(port_.value) if port_ is not None else None) or 1194
    tcp = proto is not None and proto.value.startswith("tcp")
    bounds.insert(0, Bound(opened, "tcp" if tcp else "udp", host_of(host.value) if host is not None else ANY, port_ or proto))
    without = last(settings, "client-cert-not-required", "verify-client-cert")
    optional = without is not None and (without.key.startswith("client") or without.value in ("none", "optional"))
    asks: Authentication = "password" if optional else "certificate" if last(settings, "ca", "server", "tls-server") else "key"
    cipher = last(settings, "cipher", "data-ciphers")
    weak = cipher is not None and any(name in _WEAK for name in cipher.value.lower().split(":"))
    notes = [Note("weak-cipher", cipher, cipher.value if cipher else "")] if weak else []
    notes += [Note("open-management", management) for each in bounds[1:] if management and not is_local(each.address)]
    return Reading(
        tuple(bounds),
        authentication=asks,
        encryption="tls",
        notes=tuple(notes),
        decided_by=(without,) if without is not None else (),
    )


def _xl2tpd(start: Start) -> Reading:
    settings = start.assignments(next(iter(start.option("-c")), "/etc/xl2tpd/xl2tpd.conf"))
    if settings and not any(each.section.startswith("lns") for each in settings):
        return Reading(closed=True)
    host, port = last(settings, "listen-addr"), last(settings, "port")
    opened = (number(port.value) if port is not None else None) or 1701
    return Reading(
        (Bound(opened, "udp", host_of(host.value) if host is not None else ANY, host or port),),
        authentication="password",
        encryption="none",
    )


def _pptpd(start: Start) -> Reading:
    settings = start.keywords(next(iter(start.option("-c", "--conf")), "/etc/pptpd.conf"))
    host = last(settings, "listen")
    bounds = (Bound(1723, "tcp", host_of(host.value), host),) if host is not None else ()
    # MS-CHAPv2 and MPPE, all there is, are broken: openwall, "Divide and Conquer: Cracking MS-CHAPv2" (2012).
    return Reading(bounds, authentication="password", encryption="none", notes=(Note("old-protocol", None, "PPTP"),))


def _wireguard(start: Start) -> Reading:
    name = start.words[1] if len(start.words) > 1 and start.words[0] == "up" else ""
    settings = start.assignments(name if name.startswith("/") else f"/etc/wireguard/{name}.conf") if name else []
    port = last(settings, "listenport")
    bound = (Bound(number(port.value), "udp", ANY, port),) if port is not None and number(port.value) else ()
    return Reading(bound, closed=not bound, authentication="key", encryption="tls")
