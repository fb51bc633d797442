"""Listeners: the ports that the started services open, from their arguments and configuration files.

A service that may be started counts too; one that is not started has no listeners. What neither arguments nor configuration
say is the daemon's default (``daemons.toml``). The readers of configurations are in ``configurations/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from fwcheck.device.configurations.reading import Bound, is_local, option, split_address
from fwcheck.device.daemons import Daemon, daemon_of
from fwcheck.device.firewall.reach import Reach, Sides, answer, sides, widest
from fwcheck.device.firmware import Firmware
from fwcheck.device.services import Started, started
from fwcheck.model import Evidence, Listener, Service

_PORT_LIMIT = 1024


def listeners(firmware: Firmware, services: Iterable[Service]) -> tuple[Listener, ...]:
    """The listeners of every service that is or may be enabled, in the order of the services."""
    known = {each.service: each for each in started(firmware)}
    found: dict[tuple[int | None, str, str, str, str, str], Listener] = {}
    for service in services:
        one = known.get(service)
        held = sides(firmware).get(service.root)
        if service.enabled == "no" or not service.started_by or one is None or one.start is None:
            continue
        daemon = daemon_of(service.name)
        if daemon is None and not (one.start.opened or one.reading.bounds or _port_argument(service.arguments)):
            continue
        for bound in ports_of(one, daemon)[:_PORT_LIMIT]:
            key = (bound.port, bound.transport, bound.address, bound.interface, service.name, service.root)
            found.setdefault(key, _listener(one, bound, held))
    return tuple(found.values())


def with_reach(services: Iterable[Service], open_ports: Iterable[Listener]) -> tuple[Service, ...]:
    """The services with the widest network that one of their listeners can be reached from."""
    found: dict[tuple[str, str], list[Reach]] = {}
    for each in open_ports:
        found.setdefault((each.service, each.root), []).append(each.reachable_from)
    return tuple(
        msgspec.structs.replace(service, reachable_from=widest(found[service.name, service.root]))
        if service.enabled != "no" and (service.name, service.root) in found
        else service
        for service in services
    )


def _listener(one: Started, bound: Bound, held: Sides | None) -> Listener:
    proof: tuple[Evidence, ...] = one.service.evidence[:2]
    shown = one.start.shown(bound.setting) if one.start is not None and bound.setting is not None else None
    who = answer(held, bound.transport, bound.port, bound.address, bound.interface)
    return Listener(
        port=bound.port,
        protocol=bound.transport,
        address=bound.address,
        service=one.service.name,
        interface=bound.interface,
        tls=bound.tls,
        root=one.service.root,
        reachable_from=who.reach,
        decided_by=who.evidence,
        evidence=tuple(dict.fromkeys((shown, *proof) if shown is not None else proof)),
    )


def ports_of(one: Started, daemon: Daemon | None) -> list[Bound]:
    """What one started service opens."""
    start = one.start
    if start is not None and start.opened:
        return list(start.opened)
    if start is None or one.reading.closed:
        return []
    found = list(one.reading.bounds) or _from_arguments(start.words, daemon)
    if not found and daemon is not None:
        found = [Bound(int(port.split("/")[1]), port.split("/")[0]) for port in daemon.ports]
    if one.service.reachable == "loopback":
        found = [bound if is_local(bound.address) else bound._replace(address="127.0.0.1") for bound in found]
    return found


def _port_argument(arguments: str) -> bool:
    return re.search(r"(?:^|\s)(?:-p|--port|--listen)[= ]?\d{2,5}(?:\s|$)", arguments) is not None


def _from_arguments(words: tuple[str, ...], daemon: Daemon | None) -> list[Bound]:
    transport = daemon.ports[0].split("/")[0] if daemon and daemon.ports else "tcp"
    found = []
    for text in option(words, "-p", "--port"):
        host, port = split_address(text)
        if port is not None:
            found.append(Bound(port, transport, host))
    return found
