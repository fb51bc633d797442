"""Daemons whose configuration says little more than an address.

Sources: gpsd(8), motion(1), mpd.conf(5), zabbix_agentd.conf and nrpe.cfg as shipped, squid.conf(5), tinyproxy.conf(5).
"""

from __future__ import annotations

from typing import NamedTuple

from fwcheck.device.configurations.reading import ANY, Bound, Reading, Start, host_of, last, number, off, on, split_address

NAMES = ("gpsd", "motion", "mpd", "zabbix_agentd", "zabbix_agent2", "nrpe", "squid", "tinyproxy")


class _Shape(NamedTuple):
    paths: tuple[str, ...]
    assigned: bool  # "key = value", else "key value"
    port: str
    host: str
    usual: int


_SHAPES = {
    "motion": _Shape(("/etc/motion/motion.conf", "/etc/motion.conf"), False, "webcontrol_port", "", 8080),
    "mpd": _Shape(("/etc/mpd.conf",), False, "port", "bind_to_address", 6600),
    "zabbix_agentd": _Shape(("/etc/zabbix/zabbix_agentd.conf", "/etc/zabbix_agentd.conf"), True, "listenport", "listenip", 10050),
    "zabbix_agent2": _Shape(("/etc/zabbix/zabbix_agent2.conf",), True, "listenport", "listenip", 10050),
    "nrpe": _Shape(("/etc/nagios/nrpe.cfg", "/etc/nrpe.cfg"), True, "server_port", "server_address", 5666),
    "squid": _Shape(("/etc/squid/squid.conf",), False, "http_port", "", 3128),
    "tinyproxy": _Shape(("/etc/tinyproxy/tinyproxy.conf", "/etc/tinyproxy.conf"), False, "port", "listen", 8888),
}


def read(start: Start) -> Reading:
    """The address that the configuration names."""
    if start.name == "gpsd":
        return Reading((Bound(2947, "tcp", ANY if start.flag("G") else "127.0.0.1"),), authentication="none", encryption="none")
    shape = _SHAPES[start.name]
    path = next(iter(start.option("-c", "-f", "--config")), start.first(*shape.paths))
    settings = (start.assignments if shape.assigned else start.keywords)(path)
    if not settings:
        return Reading()
    port, host = last(settings, shape.port), last(settings, shape.host)
    named, opened = split_address(port.value.split()[0]) if port is not None and port.value else (ANY, None)
    address = host_of(host.value.split(",")[0]) if host is not None and host.value else named
    if start.name == "motion":
        local = last(settings, "webcontrol_localhost")
        if port is None or not number(port.value):
            return Reading(closed=True)
        address = ANY if local is not None and off(local.value) else "127.0.0.1"
    if address.startswith("/"):
        return Reading(closed=True)
    asks = last(settings, "basicauth", "auth_param", "password")
    tls = last(settings, "tlsaccept", "webcontrol_tls")
    return Reading(
        (Bound(opened or shape.usual, "tcp", address, port or host),),
        authentication="password" if asks is not None else "unknown",
        encryption="tls" if tls is not None and (on(tls.value) or "psk" in tls.value or "cert" in tls.value) else "unknown",
    )
