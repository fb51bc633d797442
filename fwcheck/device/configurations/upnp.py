"""UPnP: miniupnpd and the media server minidlna.

Sources: miniupnpd.conf as shipped, OpenWrt ``/etc/config/upnpd``, minidlna.conf(5).
With secure mode off, any host may have ports mapped to any other host. minidlna serves its files to everybody by design.
"""

from __future__ import annotations

from fwcheck.device.configurations.reading import Bound, Note, Reading, Start, last, number, off, on

NAMES = ("miniupnpd", "upnpd", "minidlna", "minidlnad", "minidlna.exe")


def read(start: Start) -> Reading:
    """Ports and the settings that widen what anybody may do."""
    return _minidlna(start) if "dlna" in start.name else _miniupnpd(start)


def _miniupnpd(start: Start) -> Reading:
    named = next(iter(start.option("-f")), start.first("/etc/miniupnpd.conf", "/etc/miniupnpd/miniupnpd.conf"))
    settings = [*start.uci("upnpd"), *start.assignments(named)]
    port = last(settings, "port", "http_port")
    given = next((found for text in start.option("-p") if (found := number(text))), None)
    bounds = [Bound(1900, "udp")]
    if given or (port is not None and number(port.value)):
        bounds.append(Bound(given or number(port.value if port else ""), setting=None if given else port))
    secure = last(settings, "secure_mode")
    notes = []
    if secure is not None and off(secure.value):
        notes.append(Note("insecure-mode", secure))
    pcp = last(settings, "pcp_allow_thirdparty")
    if pcp is not None and on(pcp.value):
        notes.append(Note("insecure-mode", pcp))
    return Reading(
        tuple(bounds),
        authentication="none",
        encryption="none",
        notes=tuple(notes),
        decided_by=tuple(each for each in (secure,) if each is not None),
    )


def _minidlna(start: Start) -> Reading:
    named = next(iter(start.option("-f")), start.first("/etc/minidlna.conf", "/var/etc/minidlna.conf"))
    settings = [*start.uci("minidlna"), *start.assignments(named)]
    port = last(settings, "port")
    card = last(settings, "network_interface")
    given = next((found for text in start.option("-p") if (found := number(text))), None)
    http = given or (number(port.value) if port is not None else None) or 8200
    names = [name.strip() for name in card.value.split(",") if name.strip()] if card is not None else []
    interfaces = names if names and all(name.replace("-", "").replace(".", "").isalnum() for name in names) else [""]
    bounds = [
        bound
        for name in interfaces[:8]
        for bound in (
            Bound(http, setting=None if given else port, interface=name),
            Bound(1900, "udp", setting=card, interface=name),
        )
    ]
    wide = last(settings, "wide_links")
    return Reading(
        tuple(bounds),
        authentication="none",
        encryption="none",
        notes=(Note("anonymous-read", wide, "wide_links"),) if wide is not None and on(wide.value) else (),
    )
