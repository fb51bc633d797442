"""systemd's unit files: found by priority of their directories, read with drop-ins, aliases, templates and masks.

Source: systemd.unit(5), systemd.syntax(7).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from fwcheck.device._disk import Disk
from fwcheck.device.shell.tree import UNKNOWN

DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_PULLS = ("Wants", "Requires", "Requisite", "BindsTo", "Upholds")
_TEXT_LIMIT = 1 << 18
_ROW_LIMIT = 1 << 14
_ROWS_LIMIT = 8192
_DROP_IN_LIMIT = 64


@dataclass(slots=True)
class Unit:
    """One unit file with its drop-ins: section and key to (value, path, line) entries."""

    name: str
    path: str
    entries: dict[tuple[str, str], list[tuple[str, str, int]]] = field(default_factory=dict)

    def values(self, section: str, key: str) -> list[tuple[str, str, int]]:
        """The assignments in order; an empty one resets what stands before it."""
        held = self.entries.get((section, key), [])
        last = max((index for index, entry in enumerate(held) if entry[0] == ""), default=-1)
        return held[last + 1 :]

    def value(self, section: str, key: str) -> str:
        """The last assignment, "" without one."""
        held = self.values(section, key)
        return held[-1][0] if held else ""

    def true(self, section: str, key: str) -> bool:
        """Whether a boolean is set and true."""
        return self.value(section, key).lower() in ("1", "yes", "true", "on", "y", "t")

    @property
    def installs(self) -> bool:
        """Whether the unit says how it is enabled."""
        return any(section == "Install" for section, _ in self.entries)


class _Index:
    """The unit directories of one disk, listed once."""

    def __init__(self, disk: Disk) -> None:
        self.paths: dict[str, list[str]] = {}  # name to paths, the one with the highest priority first
        self.units: dict[str, Unit | None] = {}
        for directory in DIRECTORIES:
            if disk.find(directory) is not None:
                for path in disk.children(directory) or []:
                    self.paths.setdefault(posixpath.basename(path), []).append(path)


_INDEXES: WeakKeyDictionary[Disk, _Index] = WeakKeyDictionary()


def _index(disk: Disk) -> _Index:
    if disk not in _INDEXES:
        _INDEXES[disk] = _Index(disk)
    return _INDEXES[disk]


def names(disk: Disk) -> list[str]:
    """The names of all units in the unit directories."""
    return sorted(name for name in _index(disk).paths if not name.endswith((".d", ".wants", ".requires", ".upholds")))


def template_of(name: str) -> str:
    """``getty@tty1.service`` is made of ``getty@.service``; other names are their own."""
    return re.sub(r"@[^@]*\.(?=[a-z]+$)", "@.", name)


def load(disk: Disk, name: str) -> Unit | None:
    """A unit with its drop-ins; None when it is missing or masked."""
    index = _index(disk)
    if name not in index.units:
        index.units[name] = _load(disk, index, name)
    return index.units[name]


def _load(disk: Disk, index: _Index, name: str) -> Unit | None:
    for candidate in dict.fromkeys((name, template_of(name))):
        for path in index.paths.get(candidate, ()):
            if masked(disk, path):
                return None
            text = disk.text(path)
            if text is None or UNKNOWN in text:
                continue
            real = disk.real(path)
            unit = Unit(name, real)
            read_unit(text, real, unit)
            for drop_in in _drop_ins(disk, index, _drop_in_names(name, posixpath.basename(real))):
                read_unit(disk.text(drop_in) or "", drop_in, unit)
            return unit
    return None


def masked(disk: Disk, path: str) -> bool:
    """Whether a unit file is a link to /dev/null or empty."""
    link = disk.root.resolve(path, follow=False)
    return link is not None and (link.target == "/dev/null" or (link.target is None and link.size == 0))


def canonical(disk: Disk, name: str) -> str:
    """The name of the file that an alias leads to; instances of templates keep theirs."""
    for path in _index(disk).paths.get(name, ()):
        real = posixpath.basename(disk.real(path))
        return name if "@." in real or real == "null" or "." not in real else real
    return name


def _drop_in_names(name: str, real: str) -> list[str]:
    """The names whose ``.d`` directories count: the unit's, its template's, those of dash prefixes, and of its type."""
    found = list(dict.fromkeys((name, real, template_of(name))))
    stem, _, kind = name.rpartition(".")
    parts = stem.split("-")[:8]
    found += [f"{'-'.join(parts[:cut])}-.{kind}" for cut in range(len(parts) - 1, 0, -1)]
    return [*found, kind]


def _drop_ins(disk: Disk, index: _Index, units: list[str]) -> list[str]:
    """The drop-ins in the order of their names; one in /etc comes in the place of one of the same name in /usr."""
    chosen: dict[str, str] = {}
    for unit in units:
        for directory in index.paths.get(f"{unit}.d", ()):
            for path in disk.children(directory) or []:
                if path.endswith(".conf"):
                    chosen.setdefault(posixpath.basename(path), path)
    return [path for _, path in sorted(chosen.items())[:_DROP_IN_LIMIT] if not masked(disk, path)]


def read_unit(text: str, path: str, unit: Unit) -> None:
    """Adds the assignments of a unit file; continuation lines end in a backslash."""
    section = ""
    for number, row in _rows(text):
        if row.startswith("["):
            section = row.strip("[]")
        elif "=" in row:
            key, _, value = row.partition("=")
            unit.entries.setdefault((section, key.strip()), []).append((value.strip(), path, number))


def _rows(text: str) -> Iterator[tuple[int, str]]:
    pending: list[str] = []
    start, length = 0, 0
    for number, line in enumerate(text[:_TEXT_LIMIT].splitlines()[:_ROWS_LIMIT], 1):
        row = line.strip()
        if row[:1] in ("#", ";") or (not row and not pending):
            continue
        start = start if pending else number
        if row.endswith("\\"):
            length += len(row)
            pending.append(row[:-1] if length < _ROW_LIMIT else "")
            continue
        pending.append(row)
        yield start, " ".join(pending)[: 2 * _ROW_LIMIT]
        pending, length = [], 0
    if pending:
        yield start, " ".join(pending)[: 2 * _ROW_LIMIT]


def pulled(disk: Disk, unit: Unit) -> list[str]:
    """The units that starting this one starts."""
    found = [name for key in _PULLS for value, _, _ in unit.values("Unit", key) for name in value.split()]
    own = posixpath.basename(unit.path)  # an alias (default.target) has the directories of what it points at
    index = _index(disk)
    for name in dict.fromkeys((unit.name, template_of(unit.name), own)):
        for suffix in ("wants", "requires", "upholds"):
            for directory in index.paths.get(f"{name}.{suffix}", ()):
                links = sorted(disk.children(directory) or [])
                found += [posixpath.basename(path) for path in links if not masked(disk, path)]
    instance = unit.name.partition("@")[2].rpartition(".")[0]
    return [name.replace("%i", instance).replace("%I", instance) if "%" in name else name for name in found]
