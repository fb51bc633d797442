"""Consoles: the shells and logins that init offers on serial and virtual terminals, and whether they ask for a password.

Sources: busybox inittab (respawn, askfirst), OpenWrt procd (askconsole), systemd ``getty@`` units, Android's
init language (``service``, ``disabled``, ``on property:``), upstart jobs (init(5), ``exec``), getty started by scripts (OpenRC).
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

_RC_LINES = 4000


def consoles(firmware: Firmware) -> tuple[Console, ...]:
    """The consoles of every root file system."""
    return tuple(console for boot in boots(firmware) for console in _of_root(boot))


def _of_root(boot: Boot) -> Iterable[Console]:
    if boot.kind == "systemd":
        yield from _gettys(boot)
    for entry in boot.entries:
        if is_console(entry):
            yield _inittab(boot, entry)
    yield from _started(boot)
    yield from _android(boot)
    yield from _upstart(boot)


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
        if not words or posixpath.basename(words[0]) == "systemctl":
            continue  # starts other gettys (getty-static)
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


def _started(boot: Boot) -> Iterable[Console]:
    """A getty that a script starts (OpenRC's agetty, a line of rcS)."""
    for run in boot.runs:
        if boot.kind == "systemd" or not re.fullmatch(r"[am]?getty|ngetty|fgetty", run.name) or run.present is False:
            continue
        terminal = next((word for word in run.words[1:] if _TERMINAL.match(word)), "console")
        yield Console(
            tty=terminal.removeprefix("/dev/"),
            command=" ".join(run.shown),
            authenticated=_getty(boot, list(run.words)) if not run.conditions else None,
            root=boot.root.label,
            evidence=(run.place.fs.evidence(run.place.path, " ".join(run.shown), line=run.place.line or None),),
        )


def _android(boot: Boot) -> Iterable[Console]:
    """The console service of Android: a shell, unless it is disabled and only a debuggable build starts it."""
    debuggable = any(
        re.search(r"(?m)^ro\.debuggable=1[ \t\r]*$", boot.root.text(path) or "")
        for path in ("/default.prop", "/prop.default", "/system/build.prop", "/system/etc/prop.default", "/build.prop")
    )
    for node in (*boot.root.children("/"), *boot.root.children("/system/etc/init"), *boot.root.children("/etc/init")):
        if not node.path.endswith(".rc"):
            continue
        lines = (boot.root.text(node.path) or "").splitlines()[:_RC_LINES]
        for number, line in enumerate(lines, 1):
            words = line.split()
            if (
                len(words) < 3
                or words[0] != "service"
                or not re.search(r"/(?:system/bin/|s?bin/|vendor/bin/)(?:sh|ash)$", words[2])
            ):
                continue
            options = {row.split()[0] for row in _options(lines[number:]) if row.split()}
            if "console" in options and ("disabled" not in options or debuggable):
                yield Console(
                    tty="console",
                    command=" ".join(words[2:]),
                    authenticated=False,
                    root=boot.root.label,
                    evidence=(boot.root.evidence(node.path, line, line=number),),
                )


def _options(lines: list[str]) -> Iterable[str]:
    """The option lines of a service: up to the next section."""
    for line in lines[:64]:
        if re.match(r"(?:service|on|import)\s", line):
            return
        yield line.strip()


def _upstart(boot: Boot) -> Iterable[Console]:
    """Jobs of upstart that run a getty; only where upstart is the init."""
    if not boot.root.exists("/sbin/initctl") or boot.kind in ("systemd", "procd", "busybox"):
        return
    for node in boot.root.children("/etc/init"):
        if not node.path.endswith(".conf") or boot.root.exists(node.path.removesuffix(".conf") + ".override"):
            continue
        text = boot.root.text(node.path) or ""
        if "getty" not in text or not re.search(r"(?m)^start on\b", text):
            continue
        for number, line in enumerate(text.splitlines()[:512], 1):
            words = line.split()
            if len(words) > 1 and words[0] == "exec" and "getty" in posixpath.basename(words[1]):
                terminal = next((word for word in words[2:] if _TERMINAL.match(word)), "console")
                yield Console(
                    tty=terminal.removeprefix("/dev/"),
                    command=" ".join(words[1:]),
                    authenticated=_getty(boot, words[1:]),
                    root=boot.root.label,
                    evidence=(boot.root.evidence(node.path, line, line=number),),
                )
