"""What starts what: the services of the device as a tree under the scripts and programs that start them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from fwcheck.model import Device, Evidence, Listener, Service

_LINE = re.compile(r":\d+$")
_Place = tuple[str, int | None]  # path and line
MOST = 150  # services of a drawing
_REACH = ("wan", "lan", "unknown", "local")


class Port(NamedTuple):
    """An open port and from where it can be reached."""

    name: str  # "tcp/23"
    address: str
    reach: str


class Started(NamedTuple):
    """A service with its ports and the services that it starts itself."""

    service: Service
    ports: tuple[Port, ...]
    starts: tuple[Started, ...]


class Starter(NamedTuple):
    """A script or unit and what it starts; the name is empty where nothing says what does."""

    name: str
    starts: tuple[Started, ...]


def graph(device: Device) -> tuple[Starter, ...]:
    """What the device starts or may start, in the order of its services; what is certainly not started is left out."""
    services = [each for each in device.services if each.enabled != "no"]
    by_program = {each.program: number for number, each in reversed(list(enumerate(services))) if each.program}
    parents = [by_program.get(_LINE.sub("", each.started_by), -1) for each in services]
    parents = [-1 if _circular(number, parents) else parent for number, parent in enumerate(parents)]
    children: dict[int, list[int]] = {}
    for number, parent in enumerate(parents):
        children.setdefault(parent, []).append(number)
    ports = _ports(device.listeners)

    def started(number: int) -> Started:
        service = services[number]
        opened = _own(service, ports.get((service.root, service.name), ()))
        return Started(service, opened, tuple(started(each) for each in children.get(number, ())))

    starters: dict[str, list[Started]] = {}
    for number in children.get(-1, ()):
        starters.setdefault(_LINE.sub("", services[number].started_by), []).append(started(number))
    return tuple(Starter(name, tuple(held)) for name, held in sorted(starters.items(), key=lambda each: not each[0]))


def bounded(device: Device, most: int = MOST) -> tuple[Device, int]:
    """The device with so many services as can be taken in, and how many are left out: those that open ports are kept first."""
    services = [number for number, each in enumerate(device.services) if each.enabled != "no"]
    if len(services) <= most:
        return device, 0
    open_to = {(each.root, each.service) for each in device.listeners}

    def silent(number: int) -> bool:
        return (device.services[number].root, device.services[number].name) not in open_to

    kept = sorted(sorted(services, key=silent)[:most])
    return msgspec.structs.replace(device, services=tuple(device.services[each] for each in kept)), len(services) - most


def reaches(device: Device) -> list[tuple[str, int]]:
    """How many ports can be reached from where, the widest first."""
    ports = {(each.root, each.service, each.protocol, each.port, each.reachable_from) for each in device.listeners}
    return [(reach, count) for reach in _REACH if (count := sum(port[-1] == reach for port in ports))]


def idle(device: Device) -> list[Service]:
    """Services that are in the image and are not started."""
    return [each for each in device.services if each.enabled == "no"]


def loose(device: Device) -> list[Listener]:
    """Ports of services that the device model does not list."""
    names = {(each.root, each.name) for each in device.services}
    return [each for each in device.listeners if (each.root, each.service) not in names]


def _circular(number: int, parents: Sequence[int]) -> bool:
    at, steps = parents[number], 0
    while at != -1:
        if at == number or steps > 32:  # nobody nests programs so deep
            return True
        at, steps = parents[at], steps + 1
    return False


def _ports(listeners: Sequence[Listener]) -> dict[tuple[str, str], list[tuple[Port, frozenset[_Place]]]]:
    """The ports of each name, widest reach first, with the places that speak for them."""
    held: dict[tuple[str, str], dict[Port, frozenset[_Place]]] = {}
    for each in sorted(listeners, key=lambda one: _REACH.index(one.reachable_from)):
        port = Port(f"{each.protocol}/{'?' if each.port is None else each.port}", each.address, each.reachable_from)
        same = held.setdefault((each.root, each.service), {})
        same[port] = same.get(port, frozenset()) | _places(each.evidence)
    return {key: list(ports.items()) for key, ports in held.items()}


def _own(service: Service, ports: Sequence[tuple[Port, frozenset[_Place]]]) -> tuple[Port, ...]:
    """Of the ports of its name those that its own start speaks for, where some do: a program may be started more than once."""
    places = _places(service.evidence)
    return tuple(port for port, said in ports if said & places) or tuple(port for port, _ in ports)


def _places(evidence: Sequence[Evidence]) -> frozenset[_Place]:
    return frozenset((each.location.path, each.location.line) for each in evidence if each.location.line is not None)
