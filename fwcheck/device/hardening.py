"""How the programs that the device starts were built: stack, addresses, relocations, stack protector, and their libraries'.

Sources: ELF gABI and GNU extensions (PT_GNU_STACK, PT_GNU_RELRO, DF_BIND_NOW), read by inspection; here they only meet services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fwcheck.device.daemons import daemon_of
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import ElfFacts, Listener, ProgramHardening, Service

_LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/system/lib", "/system/lib64")
_LIMIT = 256


def hardening(firmware: Firmware, services: Iterable[Service], listeners: Iterable[Listener]) -> tuple[ProgramHardening, ...]:
    """A row for each program that is or may be started, those that listen and those that surely start first."""
    ports = {each.service for each in listeners}
    roots = {root.label: root for root in firmware.filesystems}
    rows: dict[tuple[str, str], ProgramHardening] = {}
    for service in services:
        root = roots.get(service.root)
        if root is None or service.enabled == "no" or not service.program or not service.started_by:
            continue
        found = _elf(firmware, root, service.program)
        if found is not None:
            row = _row(root, service, found, listens=_listens(service, found[1], ports))
            held = rows.get((row.program, row.root))
            if held is None or (row.started == "yes" and held.started != "yes"):
                rows[(row.program, row.root)] = row
    return tuple(sorted(rows.values(), key=lambda row: (not row.listens, row.started != "yes", row.root, row.program))[:_LIMIT])


def _elf(firmware: Firmware, root: FileSystem, path: str) -> tuple[str, ElfFacts] | None:
    """The program behind a path (busybox behind an applet), in this root or where it would be mounted."""
    node = root.resolve(path)
    facts = root.facts_of(node) if node is not None else None
    if node is None and (other := firmware.elsewhere(root, path)) is not None:
        node, facts = other[1], other[0].facts_of(other[1])
    return (node.path, facts.elf) if node is not None and facts is not None and facts.elf is not None else None


def _listens(service: Service, elf: ElfFacts, ports: set[str]) -> bool:
    """Whether it takes data from the network: a known listener, or a program that binds and reads from sockets."""
    daemon = daemon_of(service.name)
    if service.name in ports:
        return service.reachable != "loopback"
    if daemon is not None:
        return bool(daemon.ports)
    return "bind" in elf.imports and ("listen" in elf.imports or "recvfrom" in elf.imports)


def _row(root: FileSystem, service: Service, found: tuple[str, ElfFacts], *, listens: bool) -> ProgramHardening:
    path, elf = found
    libraries = list(_libraries(root, elf))
    return ProgramHardening(
        program=path,
        service=service.name,
        started="yes" if service.enabled == "yes" else "unknown",
        listens=listens,
        user=service.user,
        nx=elf.nx,
        pie=elf.pie if elf.type in ("executable", "shared") else None,
        relro=elf.relro,
        canary=elf.canary,
        fortify=elf.fortify,
        libraries=len(libraries),
        weak_libraries=sum(each.canary is False or each.nx is False for each in libraries),
        root=root.label,
    )


def _libraries(root: FileSystem, elf: ElfFacts) -> Iterator[ElfFacts]:
    for name in elf.needed[:64]:
        for directory in _LIBRARIES if "/" not in name else ():
            facts = root.facts(f"{directory}/{name}")
            if facts is not None and facts.elf is not None:
                yield facts.elf
                break
