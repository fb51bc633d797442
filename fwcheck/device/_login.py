"""Whether a login program asks for a password: a shell does not, ``login`` does, a script is followed to what it ends in."""

from __future__ import annotations

import posixpath
from typing import Literal

from fwcheck.device._disk import Disk
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.vocabulary import new_world
from fwcheck.device.shell.world import Call, Exhausted

_SHELLS = frozenset(("sh", "ash", "bash", "dash", "ksh", "hush", "zsh", "-sh", "-ash"))
_LOGINS = frozenset(("login", "sulogin", "tinylogin", "su", "passwd"))


def login_asks(disk: Disk, command: str) -> Literal["none", "password", "unknown"]:
    """What a telnet daemon's or console's login program asks for before it gives a shell."""
    words = command.split()
    program = words[0].lstrip("-") if words else ""
    name = posixpath.basename(program)
    if name == "busybox" and len(words) > 1:
        name = words[1]
    if name in _SHELLS:
        return "none"
    if name in _LOGINS or name.endswith("getty"):
        return "password"
    text = disk.text(program) if program.startswith("/") else None
    if not text or UNKNOWN in text:
        return "unknown"
    return _script(disk, program, words[1:])


def _script(disk: Disk, program: str, arguments: list[str]) -> Literal["none", "password", "unknown"]:
    world = new_world(Disk(disk.firmware, disk.root))
    shell = Shell(world, disk.root, program, [])
    try:
        shell.process(lambda: shell.execute(Call.of(program, *arguments)))
    except (Exhausted, RecursionError):
        return "unknown"
    ends = [(run.name, not run.conditions) for run in world.runs if run.name in _SHELLS or run.name in _LOGINS]
    if ends and ends[0][1]:
        return "none" if ends[0][0] in _SHELLS else "password"
    return "unknown"
