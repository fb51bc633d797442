"""Consoles: the shells and logins that init offers on serial and virtual terminals, and whether they ask for a password.

Sources: busybox inittab (respawn, askfirst), OpenWrt procd (askconsole), systemd ``getty@`` and ``serial-getty@`` units.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from itertools import pairwise

from fwcheck.device import _systemd
from fwcheck.device._login import login_asks
from fwcheck.device.boot import Boot, InittabEntry, boots, is_console
from fwcheck.device.firmware import Firmware
from fwcheck.model import Console

_TERMINAL = re.compile(r"(?:/dev/)?(console|tty[A-Za-z]*\d*|hvc\d+|pts/\d+|ttymxc\d+)$")


def consoles(firmware: Firmware) -> tuple[Console, ...]:
    """The consoles of every root file system."""
    return tuple(console for boot in boots(firmware) for console in _of_root(boot))


def _of_root(boot: Boot) -> Iterable[Console]:
    if boot.kind == "systemd":
        yield from _gettys(boot)
    for entry in boot.entries:
        if is_console(entry):
            yield _inittab(boot, entry)


def _inittab(boot: Boot, entry: InittabEntry) -> Console:
    words = entry.command.split()
    program = posixpath.basename(words[0].lstrip("-")) if words else ""
    named = next((word for word in words[1:] if _TERMINAL.match(word)), "")
    terminal = named or (entry.id if _TERMINAL.match(entry.id) else "") or "console"
    authenticated: bool | None
    if "getty" in program:
        authenticated = _getty(boot, words)
    else:
        asked = login_asks(boot.disk, entry.command.lstrip("-"))
        authenticated = None if asked == "unknown" else asked == "password"
    path = boot.inittab or boot.init
    text = (
        f"{entry.id}::{entry.action}:{entry.command}" if boot.inittab else "busybox's default inittab: there is no /etc/inittab"
    )
    return Console(
        tty=terminal.removeprefix("/dev/"),
        command=entry.command,
        authenticated=authenticated,
        root=boot.root.label,
        evidence=(boot.root.evidence(path, text, line=entry.line or None),),
    )


def _getty(boot: Boot, words: list[str]) -> bool | None:
    """Getty asks for a name and runs login, unless it logs in by itself or runs another program."""
    if any(word in ("-a", "--autologin") or word.startswith("--autologin=") for word in words):
        return False
    for option, value in pairwise(words):
        if option in ("-l", "--login-program"):
            asked = login_asks(boot.disk, value)
            if asked == "none" or "-n" in words:
                return None if asked == "unknown" else asked == "password"
    return True


def _gettys(boot: Boot) -> Iterable[Console]:
    names: dict[str, None] = {}
    todo = ["default.target", "multi-user.target", "getty.target"]
    seen: set[str] = set()
    while todo and len(seen) < 512:
        name = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        unit = _systemd.load(boot.disk, name)
        if unit is None:
            continue
        if re.match(r"(serial-|console-)?getty@?[^.]*\.service|debug-shell\.service", name):
            names[name] = None
        todo += _systemd.pulled(boot.disk, unit)
    for name in names:
        unit = _systemd.load(boot.disk, name)
        starts = unit.values("Service", "ExecStart") if unit is not None else []
        if unit is None or not starts:
            continue
        command, path, line = starts[-1]
        instance = name.partition("@")[2].removesuffix(".service")
        terminal = instance or unit.value("Service", "TTYPath").removeprefix("/dev/") or "console"
        words = command.lstrip("-@!+:").split()
        asks = _getty(boot, words) if words and "getty" in words[0] else None
        if words and asks is None:
            answer = login_asks(boot.disk, " ".join(words))
            asks = None if answer == "unknown" else answer == "password"
        yield Console(
            tty=terminal,
            command=command.replace("%I", instance).replace("%i", instance),
            authenticated=asks,
            root=boot.root.label,
            evidence=(boot.root.evidence(path, f"ExecStart={command}", line=line),),
        )
