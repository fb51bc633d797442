"""Which services answer from the network by default, and which components they are made of.

A component is used by a service when it is its program, or a library that the program needs (DT_NEEDED, over all steps).
What a program loads at run time by name is not seen.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import NamedTuple

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Component, Device, Service

_PROGRAMS = {  # programs whose name is not their project's
    "openssh": ("sshd",),
    "samba": ("smbd", "nmbd"),
    "ppp": ("pppd",),
    "net-snmp": ("snmpd",),
    "bluez": ("bluetoothd",),
    "avahi": ("avahi-daemon",),
    "minidlna": ("minidlnad",),
    "ntp": ("ntpd",),
    "http_server": ("httpd", "apache2"),
    "strongswan": ("charon", "starter", "ipsec"),
    "goahead": ("goahead", "webs"),
    "bind": ("named",),
    "transmission": ("transmission-daemon",),
}
_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/usr/lib32")
# The kernel, C libraries, and programs of many parts: that a service needs them does not say that it reaches the weak part.
_EVERYWHERE = frozenset({"linux_kernel", "glibc", "uclibc", "uclibc-ng", "musl", "gcc", "busybox", "toybox"})
_FILES = 256  # libraries followed of one program


class Exposed(NamedTuple):
    """A service that is started by default and may be reached, with the files of the image that its program is made of."""

    service: Service
    files: frozenset[str]
    listens: str  # "tcp/443", empty where no port is known

    @property
    def told(self) -> str:
        """In words for a finding."""
        port = f" and answers on {self.listens}" if self.listens else ""
        return f"{self.service.name} is started by default ({self.service.started_by}){port}"


def exposure(firmware: Firmware, device: Device) -> list[Exposed]:
    """Every such service, those with a known port first."""
    roots = {fs.label: fs for fs in firmware.filesystems}
    listening: dict[tuple[str, str], list[str]] = {}
    for each in device.listeners:
        if each.reachable_from != "local" and each.port is not None:
            listening.setdefault((each.root, each.service), []).append(f"{each.protocol}/{each.port}")
    found: list[Exposed] = []
    for service in device.services:
        if service.enabled != "yes" or service.reachable in ("no", "loopback") or service.reachable_from == "local":
            continue
        root = roots.get(service.root)
        files = _files(root, service.program) if root is not None and service.program else frozenset({service.program})
        ports = ", ".join(dict.fromkeys(listening.get((service.root, service.name), ())))
        found.append(Exposed(service, files, ports))
    return sorted(found, key=lambda each: not each.listens)


def _files(root: FileSystem, program: str) -> frozenset[str]:
    """The program and the libraries it needs, as the paths of their files."""
    found: set[str] = {program}
    todo = [program]
    while todo and len(found) < _FILES:
        node = root.resolve(todo.pop())
        facts = root.facts_of(node) if node is not None else None
        if node is None or facts is None:
            continue
        found.add(node.path)
        for name in facts.elf.needed if facts.elf is not None else ():
            library = next((held for each in _DIRECTORIES if (held := root.resolve(f"{each}/{name}")) is not None), None)
            if library is not None and library.path not in found:
                found.add(library.path)
                todo.append(library.path)
    return frozenset(found)


def using(component: Component, exposed: Sequence[Exposed]) -> Exposed | None:
    """The first service that is made of a component; what every program is made of tells nothing of one."""
    if component.name in _EVERYWHERE:
        return None
    names = _PROGRAMS.get(component.name, (component.name,))
    places = {each.location.path for each in component.evidence}
    programs = {path for path in places if posixpath.basename(path) in names}  # of two copies, the one that is started counts
    for each in exposed:
        named = posixpath.basename(each.service.program) in names
        if places & each.files or (named and not programs):
            return each
    return None
