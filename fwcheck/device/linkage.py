"""Which component is linked to which, and which started service runs which, from DT_NEEDED and where the files lie.

What is linked is loaded into the process; whether its code is ever reached is open. Libraries loaded by name at run time (dlopen)
are not seen. A name is looked up as the dynamic linker would: in the file system of the program, by base name or SONAME.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Component, ComponentUse, Listener, Service

_LIBRARIES = 256  # that one program is followed through
_USES = 64  # shown of one component
_Place = tuple[tuple[str, ...], str]  # chain and path of a file


def with_uses(
    firmware: Firmware, components: Iterable[Component], services: Iterable[Service], listeners: Iterable[Listener]
) -> tuple[Component, ...]:
    """The same components with ``used_by`` and ``depends_on`` filled in."""
    parts = tuple(components)
    holders: dict[_Place, list[int]] = {}
    for index, component in enumerate(parts):
        for place in {(each.location.chain, each.location.path) for each in component.evidence}:
            holders.setdefault(place, []).append(index)
    links = {fs.chain: _Links(fs) for fs in firmware.filesystems}
    uses: dict[int, dict[ComponentUse, None]] = {}
    for use, places in _running(firmware, links, services, {each.service for each in listeners}):
        for place in places:
            for index in holders.get(place, ()):
                uses.setdefault(index, {})[msgspec.structs.replace(use, through=place[1])] = None
    return tuple(
        msgspec.structs.replace(
            component,
            used_by=tuple(sorted(uses.get(index, ()), key=_weight))[:_USES],
            depends_on=_depends(component, index, parts, links, holders),
        )
        for index, component in enumerate(parts)
    )


def _weight(use: ComponentUse) -> tuple[bool, bool, str, str]:
    return (not use.listens, use.started != "yes", use.service, use.through)


def _running(
    firmware: Firmware, links: Mapping[tuple[str, ...], _Links], services: Iterable[Service], ports: set[str]
) -> Iterator[tuple[ComponentUse, tuple[_Place, ...]]]:
    """Each service that is or may be started, with its program and every library that program is linked to."""
    roots = {root.label: root for root in firmware.filesystems}
    for service in services:
        root = roots.get(service.root)
        if root is None or service.enabled == "no" or not service.program:
            continue
        node = root.resolve(service.program)
        if node is None and (other := firmware.elsewhere(root, service.program)) is not None:
            root, node = other
        if node is None:
            continue
        use = ComponentUse(
            service=service.name,
            program=node.path,
            started="yes" if service.enabled == "yes" else "unknown",
            listens=service.name in ports and service.reachable != "loopback",
        )
        yield use, ((root.chain, node.path), *((root.chain, path) for path in links[root.chain].closure(node.path)))


def _depends(
    component: Component,
    index: int,
    parts: tuple[Component, ...],
    links: Mapping[tuple[str, ...], _Links],
    holders: Mapping[_Place, list[int]],
) -> tuple[str, ...]:
    """Package URLs of the components that files of this one are linked to directly."""
    found: set[str] = set()
    for each in component.evidence:
        chain, path = each.location.chain, each.location.path
        for library in links[chain].direct(path) if chain in links else ():
            found |= {parts[other].purl or "" for other in holders.get((chain, library), ()) if other != index}
    return tuple(sorted(found - {"", component.purl or ""}))[:_LIBRARIES]


class _Links:
    """Libraries of one file system by name; what a file is linked to is looked up once."""

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs
        self._direct: dict[str, tuple[str, ...]] = {}
        self._closure: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, str] | None = None

    def direct(self, path: str) -> tuple[str, ...]:
        """Paths of the libraries that the file at ``path`` needs, as far as they are here."""
        if path not in self._direct:
            facts = self._fs.facts(path)
            elf = facts.elf if facts is not None else None
            names = self._by_name() if elf is not None and elf.needed else {}
            needed = elf.needed[:_LIBRARIES] if elf is not None else ()
            self._direct[path] = tuple(
                dict.fromkeys(names[base] for name in needed if (base := posixpath.basename(name)) in names)
            )
        return self._direct[path]

    def closure(self, path: str) -> tuple[str, ...]:
        """Paths of all libraries that are loaded with the program at ``path``."""
        if path not in self._closure:
            seen: dict[str, None] = {}
            todo = list(self.direct(path))
            while todo and len(seen) < _LIBRARIES:
                library = todo.pop(0)
                if library not in seen:
                    seen[library] = None
                    todo += self.direct(library)
            self._closure[path] = tuple(seen)
        return self._closure[path]

    def _by_name(self) -> dict[str, str]:
        if self._names is None:
            self._names = {}
            for path, node in self._fs.nodes.items():
                if ".so" not in path:
                    continue
                target = self._fs.resolve(path)
                if target is not None and target.path != "/":
                    self._names.setdefault(posixpath.basename(path), target.path)
                    facts = self._fs.facts_of(node)
                    if facts is not None and facts.elf is not None and facts.elf.soname:
                        self._names.setdefault(facts.elf.soname, target.path)
        return self._names
