"""Listeners: the ports that the started services open, from their arguments and configuration files.

A service that may be started counts too; one that is not started has no listeners. What neither arguments nor configuration
say is the daemon's default (``daemons.toml``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fwcheck.device import configuration
from fwcheck.device.configuration import Setting
from fwcheck.device.daemons import Daemon, daemon_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Evidence, Listener, Service

_ANY = "0.0.0.0"  # noqa: S104 -- an address found in images, nothing is bound here
_PORT_LIMIT = 32


class Bound(NamedTuple):
    """A port with its address and, when a configuration file says so, where."""

    port: int | None
    transport: str = "tcp"
    address: str = _ANY
    setting: Setting | None = None


def listeners(firmware: Firmware, services: Iterable[Service]) -> tuple[Listener, ...]:
    """The listeners of every service that is or may be enabled, in the order of the services."""
    roots = {root.label: root for root in firmware.filesystems}
    found: dict[tuple[int | None, str, str, str, str], Listener] = {}
    for service in services:
        daemon = daemon_of(service.name)
        root = roots.get(service.root)
        if service.enabled == "no" or not service.started_by or root is None:
            continue
        if daemon is None and not _port_argument(service.arguments):
            continue
        for bound in ports_of(root, service, daemon)[: _PORT_LIMIT**2]:
            listener = _listener(root, service, bound)
            found.setdefault((bound.port, bound.transport, bound.address, service.name, service.root), listener)
    return tuple(found.values())


def _listener(root: FileSystem, service: Service, bound: Bound) -> Listener:
    proof: tuple[Evidence, ...] = service.evidence[:2]
    if bound.setting is not None:
        proof = (root.evidence(bound.setting.path, bound.setting.text, line=bound.setting.line), *proof)
    return Listener(port=bound.port, protocol=bound.transport, address=bound.address, service=service.name, evidence=proof)


def ports_of(root: FileSystem, service: Service, daemon: Daemon | None) -> list[Bound]:
    """What one service opens."""
    words = service.arguments.split()
    reader = _READERS.get(service.name) or (_READERS.get(daemon.name) if daemon else None)
    found = reader(root, words) if reader else []
    if not found:
        found = _from_arguments(words, daemon)
    if not found and daemon is not None:
        found = [Bound(int(port.split("/")[1]), port.split("/")[0]) for port in daemon.ports]
    if service.reachable == "loopback":
        found = [bound._replace(address="127.0.0.1") for bound in found]
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) < 6 and 0 < int(text) < 65536 else None


def _port_argument(arguments: str) -> bool:
    return re.search(r"(?:^|\s)(?:-p|--port|--listen)[= ]?\d{2,5}(?:\s|$)", arguments) is not None


def split_address(text: str) -> tuple[str, int | None]:
    """``address:port``, ``[v6]:port``, ``*:port``, ``port``."""
    host, _, port = text.strip().rpartition(":")
    host = host.strip("[]")
    return (_ANY if host in ("", "*", "0.0.0.0", "::") else host), _number(port)  # noqa: S104 -- as above


def _option(words: list[str], *names: str) -> list[str]:
    values = []
    for at, word in enumerate(words):
        for name in names:
            if word == name and at + 1 < len(words):
                values.append(words[at + 1])
            elif word.startswith(name) and len(word) > len(name) and (not name.startswith("--") or word[len(name)] == "="):
                values.append(word[len(name) :].lstrip("="))
    return values


def _from_arguments(words: list[str], daemon: Daemon | None) -> list[Bound]:
    transport = daemon.ports[0].split("/")[0] if daemon and daemon.ports else "tcp"
    address = next(iter(_option(words, "-b", "--bind", "--address")), _ANY) if daemon and daemon.protocol == "telnet" else _ANY
    address = split_address(address)[0] if ":" in address else address
    found = []
    for text in _option(words, "-p", "--port"):
        host, port = split_address(text)
        if port is not None:
            found.append(Bound(port, transport, host if host != _ANY else address))
    if not found and address != _ANY and daemon and daemon.ports:
        found = [Bound(int(daemon.ports[0].split("/")[1]), transport, address)]
    return found


def _dropbear(_root: FileSystem, words: list[str]) -> list[Bound]:
    return [Bound(port, "tcp", host) for text in _option(words, "-p") for host, port in [split_address(text)] if port is not None]


def _sshd(root: FileSystem, words: list[str]) -> list[Bound]:
    ports = [Bound(port) for text in _option(words, "-p") if (port := _number(text))]
    settings = configuration.keywords(root, next(iter(_option(words, "-f")), "/etc/ssh/sshd_config"))
    ports = ports or [Bound(port, setting=each) for each in settings if each.key == "port" and (port := _number(each.value))]
    ports = list({bound.port: bound for bound in ports}.values())[:_PORT_LIMIT]
    hosts = list({each.value: each for each in settings if each.key == "listenaddress"}.values())[:_PORT_LIMIT]
    if not hosts:
        return ports
    bounds = []
    for each in hosts:
        host, port = split_address(each.value) if re.search(r"\]:\d+$|^[^:]+:\d+$", each.value) else (each.value, None)
        bounds += [Bound(port or bound.port, "tcp", host, each) for bound in ports or [Bound(22)]]
    return bounds


def _uhttpd(root: FileSystem, words: list[str]) -> list[Bound]:
    found = [
        Bound(port, "tcp", host)
        for text in _option(words, "-p", "-s")
        for host, port in [split_address(text)]
        if port is not None
    ]
    if found:
        return found
    for each in configuration.uci(root, "uhttpd"):
        if each.key in ("listen_http", "listen_https"):
            host, port = split_address(each.value)
            found.append(Bound(port, "tcp", host, each))
    return list(dict.fromkeys(found))


def _lighttpd(root: FileSystem, words: list[str]) -> list[Bound]:
    settings = configuration.assignments(root, next(iter(_option(words, "-f")), "/etc/lighttpd/lighttpd.conf"))
    host = next((each.value for each in settings if each.key == "server.bind"), _ANY)
    found = [Bound(port, "tcp", host, each) for each in settings if each.key == "server.port" and (port := _number(each.value))]
    for each in settings:
        if match := re.search(r'\$SERVER\["socket"\]\s*==\s*"([^"]+)"', each.text):
            address, port = split_address(match.group(1))
            found.append(Bound(port, "tcp", address, each))
    return found


def _nginx(root: FileSystem, words: list[str]) -> list[Bound]:
    found = []
    for path in (
        next(iter(_option(words, "-c")), "/etc/nginx/nginx.conf"),
        *configuration.files(root, "/etc/nginx/conf.d", ".conf"),
    ):
        for each in configuration.keywords(root, path):
            if each.key == "listen":
                host, port = split_address(each.value.split()[0].rstrip(";")) if each.value else ("", None)
                found.append(Bound(port, "tcp", host, each))
    return found


def _boa(root: FileSystem, words: list[str]) -> list[Bound]:
    top = next(iter(_option(words, "-c")), "/etc/boa")
    found = [Bound(port) for text in _option(words, "-p") if (port := _number(text))]
    for path in (f"{top}/boa.conf", "/etc/boa.conf", "/etc/boa/boa.conf"):
        found = found or [
            Bound(port, setting=each)
            for each in configuration.keywords(root, path)
            if each.key == "port" and (port := _number(each.value))
        ]
    return found


def _mini_httpd(root: FileSystem, words: list[str]) -> list[Bound]:
    for path in (*_option(words, "-C"), "/etc/mini_httpd.conf", "/etc/thttpd.conf", "/etc/thttpd/thttpd.conf"):
        for each in configuration.assignments(root, path):
            if each.key == "port" and (port := _number(each.value)):
                return [Bound(port, setting=each)]
    return []


def _dnsmasq(root: FileSystem, words: list[str]) -> list[Bound]:
    settings = [*configuration.assignments(root, next(iter(_option(words, "-C", "--conf-file")), "/etc/dnsmasq.conf"))]
    ports = _option(words, "-p", "--port") + [each.value for each in settings if each.key == "port"]
    dns = _number(ports[0]) if ports else 53
    found = [Bound(dns, "udp"), Bound(dns, "tcp")] if dns else []
    leases = any(word.startswith(("-F", "--dhcp-range")) for word in words) or any(each.key == "dhcp-range" for each in settings)
    leases = leases or any(each.key == "interface" for each in configuration.uci(root, "dhcp"))
    return [*found, Bound(67, "udp")] if leases else found


def _vsftpd(root: FileSystem, words: list[str]) -> list[Bound]:
    path = next((word for word in words if word.startswith("/")), "/etc/vsftpd.conf")
    settings = configuration.assignments(root, path)
    host = next((each.value for each in settings if each.key == "listen_address"), _ANY)
    return [Bound(port, "tcp", host, each) for each in settings if each.key == "listen_port" and (port := _number(each.value))]


def _snmpd(_root: FileSystem, words: list[str]) -> list[Bound]:
    for word in words:
        if found := re.fullmatch(r"(?:(udp|tcp)6?:)?(?:([\w.:\[\]]+):)?(\d{2,5})", word):
            return [Bound(int(found.group(3)), found.group(1) or "udp", found.group(2) or _ANY)]
    return []


def _mosquitto(root: FileSystem, words: list[str]) -> list[Bound]:
    found = []
    for each in configuration.keywords(root, next(iter(_option(words, "-c")), "/etc/mosquitto/mosquitto.conf")):
        if each.key in ("listener", "port"):
            parts = each.value.split()
            port = _number(parts[0]) if parts else None
            found.append(Bound(port, "tcp", parts[1] if len(parts) > 1 else _ANY, each))
    return found


def _upnp(root: FileSystem, _words: list[str]) -> list[Bound]:
    ports = [
        each
        for each in (*configuration.uci(root, "upnpd"), *configuration.assignments(root, "/etc/miniupnpd.conf"))
        if each.key == "port"
    ]
    return [Bound(1900, "udp"), *(Bound(port, setting=each) for each in ports[:1] if (port := _number(each.value)))]


def _smbd(root: FileSystem, _words: list[str]) -> list[Bound]:
    settings = configuration.assignments(root, "/etc/samba/smb.conf")
    return [
        Bound(port, setting=each)
        for each in settings
        if each.key == "smb ports"
        for text in each.value.split()
        if (port := _number(text))
    ]


_READERS: dict[str, Callable[[FileSystem, list[str]], list[Bound]]] = {
    "dropbear": _dropbear,
    "sshd": _sshd,
    "uhttpd": _uhttpd,
    "lighttpd": _lighttpd,
    "nginx": _nginx,
    "boa": _boa,
    "mini_httpd": _mini_httpd,
    "thttpd": _mini_httpd,
    "dnsmasq": _dnsmasq,
    "vsftpd": _vsftpd,
    "snmpd": _snmpd,
    "mosquitto": _mosquitto,
    "miniupnpd": _upnp,
    "smbd": _smbd,
}
