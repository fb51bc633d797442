"""systemd: which units the default target pulls in, and what they execute.

Source: systemd.unit(5), systemd.service(5), systemd.socket(5), systemd.preset(5).
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field

from fwcheck.device._disk import Disk
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.patterns import fits
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Place, World

DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_PULLS = ("Wants", "Requires", "Requisite", "BindsTo", "Upholds")
_UNIT_LIMIT = 2048
_LINE_LIMIT = 1 << 16


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


def start(root: FileSystem, world: World) -> None:
    """Starts what default.target pulls in; sockets count as their service."""
    todo = ["default.target", "sysinit.target", "basic.target"]
    seen: set[str] = set()
    while todo and len(seen) < _UNIT_LIMIT:
        name = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        unit = load(world.disk, name)
        if unit is not None:
            todo += pulled(world.disk, unit)
            _activate(root, world, unit)
    if len(seen) >= _UNIT_LIMIT:
        world.hole(Place(root, "/etc/systemd", 0), "more units than can be followed")
    _presets(root, world, seen)


def load(disk: Disk, name: str) -> Unit | None:
    """A unit with its drop-ins; None when it is missing or masked."""
    template = re.sub(r"@[^.]*\.", "@.", name)
    for candidate in dict.fromkeys((name, template)):
        for directory in DIRECTORIES:
            path = f"{directory}/{candidate}"
            link = disk.root.resolve(path, follow=False)
            if link is None:
                continue
            if link.target == "/dev/null" or (link.target is None and link.size == 0):
                return None
            text = disk.text(path)
            if text is None or UNKNOWN in text:
                continue
            unit = Unit(name, disk.real(path))
            read_unit(text, unit.path, unit)
            for drop_in in _drop_ins(disk, {name, candidate}):
                read_unit(disk.text(drop_in) or "", drop_in, unit)
            return unit
    return None


def _drop_ins(disk: Disk, names: set[str]) -> list[str]:
    return sorted(
        path
        for name in names
        for directory in DIRECTORIES
        for path in disk.children(f"{directory}/{name}.d") or []
        if path.endswith(".conf") and disk.root.resolve(f"{directory}/{name}.d") is not None
    )


def read_unit(text: str, path: str, unit: Unit) -> None:
    """Adds the assignments of a unit file; continuation lines end in a backslash."""
    section, pending, start_line = "", "", 0
    for number, line in enumerate(text.splitlines(), 1):
        row = line.strip()
        if not pending and (not row or row[0] in "#;"):
            continue
        start_line = start_line if pending else number
        row = pending + row
        if row.endswith("\\") and len(row) < _LINE_LIMIT:
            pending = row[:-1] + " "
            continue
        pending = ""
        if row.startswith("["):
            section = row.strip("[]")
        elif "=" in row:
            key, _, value = row.partition("=")
            unit.entries.setdefault((section, key.strip()), []).append((value.strip(), path, start_line))


def pulled(disk: Disk, unit: Unit) -> list[str]:
    """The units that starting this one starts."""
    names = [name for key in _PULLS for value, _, _ in unit.values("Unit", key) for name in value.split()]
    template = re.sub(r"@[^.]*\.", "@.", unit.name)
    own = posixpath.basename(unit.path)  # an alias (default.target) has the directories of what it points at
    for name in dict.fromkeys((unit.name, template, own)):
        for directory in DIRECTORIES:
            for suffix in ("wants", "requires", "upholds"):
                if disk.root.resolve(f"{directory}/{name}.{suffix}") is not None:
                    names += [posixpath.basename(path) for path in sorted(disk.children(f"{directory}/{name}.{suffix}") or [])]
    return names


def _activate(root: FileSystem, world: World, unit: Unit, condition: str = "") -> None:
    if unit.name.endswith(".socket"):
        service = unit.value("Socket", "Service") or _socket_service(unit)
        target = load(world.disk, service)
        if target is not None:
            listens = [value for key in ("ListenStream", "ListenDatagram") for value, _, _ in unit.values("Socket", key)]
            _execute(root, world, target, f"socket {' '.join(listens)}", condition)
    elif unit.name.endswith(".service"):
        _execute(root, world, unit, "unit", condition)


def _socket_service(unit: Unit) -> str:
    stem = unit.name.removesuffix(".socket")
    return f"{stem}@.service" if unit.value("Socket", "Accept").lower() in ("yes", "true", "1") else f"{stem}.service"


def _conditions(world: World, unit: Unit) -> list[str] | None:
    """The undecided conditions of a unit; None when one fails for sure."""
    undecided = []
    for (section, key), held in unit.entries.items():
        if section != "Unit" or not key.startswith(("Condition", "Assert")):
            continue
        for value, _, _ in held:
            if not value:
                continue
            negated, operand = value.startswith("!"), value.lstrip("|!")
            answer = None
            if key.removeprefix("Condition").removeprefix("Assert") in (
                "PathExists",
                "PathIsDirectory",
                "FileNotEmpty",
                "FileIsExecutable",
            ):
                answer = world.disk.exists(operand)
            if answer is None:
                undecided.append(f"{key}={value}")
            elif answer is negated and not value.startswith("|"):
                return None
    return undecided


def _execute(root: FileSystem, world: World, unit: Unit, manner: str, condition: str) -> None:
    undecided = _conditions(world, unit)
    if undecided is None:
        return
    world.conditions.extend([condition] if condition else [])
    world.conditions.extend(undecided)
    try:
        for key in ("ExecStartPre", "ExecStart", "ExecStartPost"):
            for command, path, line in unit.values("Service", key):
                _command(root, world, unit, command, Place(root, path, line), manner if key == "ExecStart" else "")
    finally:
        world.conditions.clear()
        world.residuals.clear()


def _command(root: FileSystem, world: World, unit: Unit, command: str, place: Place, manner: str) -> None:
    instance = unit.name.partition("@")[2].rpartition(".")[0]
    prefix = unit.name.rpartition(".")[0].partition("@")[0]
    text = command.lstrip("@-:+!").replace("%i", instance).replace("%I", instance).replace("%p", prefix).replace("%n", unit.name)
    try:
        words = shlex.split(text.replace("%%", "%"))
    except ValueError:
        words = text.split()
    words = [part for word in words for part in _variables(world.disk, unit, word)]
    if not words:
        return
    shell = Shell(world, root, place.path, [])
    shell.line = place.line
    user = unit.value("Service", "User")
    before = len(world.runs)
    script = _is_script(world.disk, words[0])
    if script or posixpath.basename(words[0]) in ("sh", "bash", "ash"):
        shell.background = manner == "unit"
        if script:
            shell.execute(Call.of(*words))
        else:
            shell.process(lambda: shell.dispatch(Call.of(*words)))
    if manner and not (script and len(world.runs) > before):
        if unit.value("Service", "Type") == "oneshot":
            manner = ""
        shell.execute(Call.of(*words), manner=manner or "oneshot", user=user)


def _is_script(disk: Disk, path: str) -> bool:
    found = disk.find(path)
    facts = found.fs.facts_of(found.node) if found is not None else None
    return facts is not None and facts.text is not None and facts.text.startswith("#!") and "sh" in facts.text.split("\n", 1)[0]


def _variables(disk: Disk, unit: Unit, word: str) -> list[str]:
    if "$" not in word:
        return [word]
    values: dict[str, str] = {}
    for value, _, _ in unit.values("Service", "EnvironmentFile"):
        text = disk.text(value.lstrip("-"))
        for line in (text or "").splitlines():
            name, equals, held = line.strip().partition("=")
            if equals and not name.startswith("#"):
                values[name.removeprefix("export ").strip()] = held.strip().strip("'\"")
    for value, _, _ in unit.values("Service", "Environment"):
        for part in value.split():
            name, equals, held = part.strip("'\"").partition("=")
            if equals:
                values[name] = held
    if found := re.fullmatch(r"\$(\w+)", word):
        return values.get(found.group(1), "").split()
    return [re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda m: values.get(m.group(1) or m.group(2), ""), word)]


def _presets(root: FileSystem, world: World, seen: set[str]) -> None:
    """On a first boot (no machine id yet) systemd enables what the presets say: reported as undecided."""
    machine = world.disk.text("/etc/machine-id")
    if machine is not None and UNKNOWN not in machine and machine.strip() not in ("", "uninitialized"):
        return
    rules: list[tuple[str, str]] = []
    for directory in ("/etc/systemd/system-preset", "/usr/lib/systemd/system-preset", "/lib/systemd/system-preset"):
        if world.disk.root.resolve(directory) is None:
            continue
        for path in sorted(world.disk.children(directory) or []):
            for line in (world.disk.text(path) or "").splitlines():
                words = line.split()
                if len(words) >= 2 and words[0] in ("enable", "disable"):
                    rules.append((words[0], words[1]))
    if not rules:
        return
    names = {posixpath.basename(path) for directory in DIRECTORIES for path in world.disk.children(directory) or []}
    for name in sorted(names - seen)[:_UNIT_LIMIT]:
        verdict = next((verb for verb, pattern in rules[:256] if fits(name, pattern)), "")
        if (
            verdict == "enable"
            and (unit := load(world.disk, name)) is not None
            and any(section == "Install" for section, _ in unit.entries)
        ):
            _activate(root, world, unit, "systemd applies its presets on the first boot")
