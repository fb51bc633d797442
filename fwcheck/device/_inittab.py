"""Inits that read /etc/inittab: busybox, System V init, OpenWrt's procd.

Sources: busybox ``init/init.c`` (actions, default inittab, runlevels ignored), the sysvinit manual inittab(5), OpenWrt procd
``inittab.c``.
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device._graph import Boot, InittabEntry, is_script
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, World

INITTABS = ("/etc/inittab", "/etc_ro/inittab", "/etc/default/inittab")
_ASK_ACTIONS = ("respawn", "respawnlate", "askfirst", "askconsole", "askconsolelate")
_LEVEL = re.compile(r"[1-5SsbB]|single|-s|emergency|-b")


def read(boot: Boot) -> None:
    """Finds the inittab in force and reads its entries."""
    for path in INITTABS:
        text = boot.disk.text(path)
        if text and UNKNOWN not in text:
            boot.inittab, boot.entries = path, read_inittab(text)
            return


def exists(boot: Boot) -> bool:
    """Whether the image has an inittab."""
    return any(boot.root.exists(path) for path in INITTABS)


def read_inittab(text: str) -> list[InittabEntry]:
    """The entries of an inittab, comments and broken lines left out."""
    entries = []
    for number, line in enumerate(text[: 1 << 20].splitlines(), 1):
        fields = line.strip().split(":", 3)
        if line.lstrip().startswith("#") or len(fields) < 4 or not fields[2]:
            continue
        entries.append(InittabEntry(fields[0].strip(), fields[1], fields[2].strip().lower(), fields[3].strip(), number))
    return entries[:256]


def follow(boot: Boot, world: World) -> None:
    """Runs the entries in the order of init: what prepares the system first, what is kept running last."""
    if not boot.entries:
        boot.entries = [InittabEntry("", "", "sysinit", "/etc/init.d/rcS", 0), InittabEntry("", "", "askfirst", "/bin/sh", 0)]
    level = runlevel(boot)
    stages: tuple[tuple[str, ...], ...] = (("sysinit",), ("boot", "bootwait"), ("wait",), ("once",), _ASK_ACTIONS)
    if boot.kind == "sysv":  # within its runlevel init goes through the file from top to bottom
        stages = (("sysinit",), ("boot", "bootwait"), ("wait", "once", *_ASK_ACTIONS))
    for wanted in stages:
        for entry in boot.entries:
            if entry.action in wanted and in_runlevel(entry, level):
                _run(boot, world, entry)


def runlevel(boot: Boot) -> str:
    """The runlevel System V init goes to: the command line's, else ``initdefault``; "" where runlevels do not count."""
    if boot.kind == "busybox":
        return ""
    words = boot.command_line.words if boot.command_line is not None and boot.kind == "sysv" else []
    named = [word for word in words if _LEVEL.fullmatch(word)]
    if named:
        return "S" if not named[-1].isdigit() else named[-1]
    return next((entry.runlevels.strip()[:1] for entry in boot.entries if entry.action == "initdefault"), "")


def in_runlevel(entry: InittabEntry, level: str) -> bool:
    """Whether an entry counts in a runlevel; what runs while the system boots counts in every one."""
    if not entry.runlevels or not level or entry.action in ("sysinit", "boot", "bootwait"):
        return True
    return level.upper() in entry.runlevels.upper()


def is_console(entry: InittabEntry) -> bool:
    """Whether an entry offers a shell or login instead of starting a daemon."""
    words = entry.command.lstrip("-").split()
    program = posixpath.basename(words[0]) if words else ""
    if entry.action in ("askfirst", "askconsole", "askconsolelate"):
        return True
    return entry.action.startswith("respawn") and bool(
        re.fullmatch(r"(a|da|ba|k)?sh|login(\.sh)?|sulogin|[am]?getty|[\w-]*getty|cttyhack", program)
    )


def _login_shell(command: str) -> bool:
    """Whether a console runs a login shell that nobody has to log in to: it reads /etc/profile on every boot."""
    words = command.split()
    name = posixpath.basename(words[0].lstrip("-")) if words else ""
    return name in ("sh", "ash", "bash") and (command.startswith("-") or any(word in ("-l", "--login") for word in words[1:]))


def _run(boot: Boot, world: World, entry: InittabEntry) -> None:
    if is_console(entry):
        if entry.action.startswith("respawn") and _login_shell(entry.command):
            shell = Shell(world, boot.root, "/etc/profile", [])
            shell.process(lambda: shell.source("/etc/profile", []))
        return
    shell = Shell(world, boot.root, boot.inittab or "/etc/inittab", [])
    shell.line = entry.line
    command = entry.command.lstrip("-").removeprefix("+")
    words = command.split()
    if not words:
        return
    if boot.kind == "procd" and posixpath.basename(words[0]) == "rcS" and not boot.root.exists(words[0]):
        _rc_d(shell, *words[1:3])
        return
    if entry.action.startswith("respawn"):
        if not is_script(boot.disk, words[0]):
            shell.execute(Call.of(*words), manner="respawn")
            return
        shell.background = True
    shell.run_line(command)


def _rc_d(shell: Shell, prefix: str = "S", action: str = "boot") -> None:
    """Procd's own rcS: every link of /etc/rc.d with the prefix, in order, then what the scripts asked for meanwhile."""
    if prefix != "S":
        return
    for path in shell.disk.glob("/etc/rc.d/S*") or []:
        name = re.sub(r"^S\d\d", "", posixpath.basename(path))
        if name not in shell.world.disabled:  # the link is gone by now
            shell.execute(Call.of(path, action))
    for path, condition in list(shell.world.triggers.items()):
        if condition:
            shell.alternatives([(condition, lambda path=path: shell.execute(Call.of(path, "start")))], exhaustive=False)  # type: ignore[misc]
        else:
            shell.execute(Call.of(path, "start"))
    for name in list(shell.world.enabled):
        path = f"/etc/init.d/{name}"
        if not shell.disk.glob(f"/etc/rc.d/S[0-9][0-9]{name}"):
            shell.execute(Call.of(path, action))
