"""What the boot of one root file system is made of: its init, the programs it starts, what could not be followed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from fwcheck.device._command_line import CommandLine
from fwcheck.device._disk import Disk
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import RUN_LIMIT, Exhausted, Hole, Place, Run, World


class InittabEntry(NamedTuple):
    """One line: identity (the terminal, in busybox), runlevels, action, command."""

    id: str
    runlevels: str
    action: str
    command: str
    line: int


@dataclass(slots=True)
class Boot:
    """What the boot of one root file system does, as far as it can be followed."""

    root: FileSystem
    disk: Disk
    init: str = ""  # path of the init program
    kind: str = (
        "unknown"  # "busybox", "sysv", "procd", "systemd", "android", "finit", "s6", "runit", "script", "opaque", "missing"
    )
    runs: list[Run] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    inittab: str = ""  # path of the inittab in force
    entries: list[InittabEntry] = field(default_factory=list)
    world: World | None = None
    command_line: CommandLine | None = None  # of the kernel, the one most likely in force


def is_script(disk: Disk, path: str) -> bool:
    """Whether a path leads to a text: what runs is a script, no program."""
    found = disk.find(path)
    facts = found.fs.facts_of(found.node) if found is not None else None
    return facts is not None and facts.text is not None


_SHELL = re.compile(r"#![^\n]*\b(?:sh|ash|bash|dash|hush|ksh|mksh|busybox|rc\.common|init-d-script|runscript|openrc-run)\b")


def is_shell_script(disk: Disk, path: str) -> bool:
    """Whether a path leads to a script that a shell reads, so that it is followed and no program of its own."""
    found = disk.find(path)
    facts = found.fs.facts_of(found.node) if found is not None else None
    return facts is not None and facts.text is not None and _SHELL.match(facts.text) is not None


def lines_of(disk: Disk, path: str, limit: int = 2048) -> list[tuple[int, str]]:
    """The numbered lines of a configuration file, comments and empty lines left out; none when it cannot be read."""
    text = disk.text(path)
    if not text or UNKNOWN in text:
        return []
    rows = ((number, line.strip()) for number, line in enumerate(text[: 1 << 20].splitlines(), 1))
    return [(number, line) for number, line in rows if line and not line.startswith("#")][:limit]


def run_under(world: World, place: Place, conditions: tuple[str, ...], command: str, user: str = "") -> None:
    """Follows a command line that stands at ``place`` as a process of its own, under conditions in words."""
    shell = Shell(world, place.fs, place.path, [])
    shell.line, shell.user = place.line, user
    held = list(world.conditions)
    world.conditions.extend(text for text in conditions if text)
    try:
        world.bounded(f"{place.path}:{place.line}", place, lambda: shell.run_line(command))
    finally:
        world.conditions[:] = held
        world.residuals.clear()


def tentative(world: World, under: tuple[str, ...], action: Callable[[], object], steps: int = 1500) -> None:
    """Follows something that may happen, on a small budget: what it cannot follow or finish is no hole of the boot."""
    held, holes, limit, depth = list(world.conditions), len(world.holes), world.limit, world.depth
    world.conditions.extend(text for text in dict.fromkeys(under) if text)
    world.limit = min(limit, world.steps + steps)
    try:
        action()
    except Exhausted:
        if len(world.runs) >= RUN_LIMIT:
            raise
    finally:
        world.limit, world.depth = limit, depth
        world.conditions[:] = held
        world.residuals.clear()
        del world.holes[holes:]
