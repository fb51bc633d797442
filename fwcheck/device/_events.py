"""Programs that start when something happens on a running device: a network comes up, a lease is granted, a device appears.

Sources: interfaces(5) and ifup(8) of ifupdown and busybox, busybox ``networking/udhcp`` (script, ``-s``) and
``util-linux/mdev.c`` (mdev.conf), udev(7) (``RUN+=``), pppd(8) (ip-up), dnsmasq(8) (``dhcp-script``).
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device._graph import Boot, is_shell_script, lines_of, tentative
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Place, Run, World

_LIMIT = 64
_RUN = re.compile(r'\bRUN(?:\{program\})?\s*\+?=\s*"([^"\n]{1,512})"')
_MDEV = re.compile(r"(\S+)\s+\S+:\S+\s+\d+\s+(?:[>=!]\S*\s+)?([@$*])\s*(\S.*)")
_UDHCPC = ("udhcpc", "udhcpc6")
_LEASE = "a DHCP server grants a lease"


def follow(boot: Boot, world: World) -> None:
    """Follows the scripts of each started program that calls some on its events."""
    done: set[str] = set()
    for run in list(world.runs):
        if run.name in done:
            continue
        if run.name == "ifup" and any(word in ("-a", "--all") for word in run.words):
            _interfaces(boot, world, run)
        elif run.name in _UDHCPC:
            _script(boot, world, _option(run, "-s") or "/usr/share/udhcpc/default.script", ["bound"], (*run.conditions, _LEASE))
        elif run.name == "pppd":
            for path in ("/etc/ppp/ip-up", "/etc/ppp/ipv6-up"):
                _script(boot, world, path, [UNKNOWN] * 5, (*run.conditions, "a PPP link comes up"))
        elif run.name == "dnsmasq":
            named = next((word.partition("=")[2] for word in run.words if word.startswith("--dhcp-script=")), "")
            _script(boot, world, named, ["add", UNKNOWN, UNKNOWN], (*run.conditions, "dnsmasq grants a lease"))
        elif run.name in ("udevd", "systemd-udevd", "udevadm"):
            _udev(boot, world, run)
        else:
            continue
        done.add(run.name)
    if boot.root.exists("/etc/mdev.conf"):
        _mdev(boot, world)


def _option(run: Run, name: str) -> str:
    return next((run.words[at + 1] for at in range(1, len(run.words) - 1) if run.words[at] == name), "")


def _script(boot: Boot, world: World, path: str, arguments: list[str], under: tuple[str, ...]) -> None:
    if not path.startswith("/") or UNKNOWN in path or boot.disk.find(path) is None or not is_shell_script(boot.disk, path):
        return
    shell = Shell(world, boot.root, path, [])
    shell.variables |= {"interface": UNKNOWN, "ip": UNKNOWN, "router": UNKNOWN, "dns": UNKNOWN}
    shell.exported |= {"interface", "ip", "router", "dns"}
    tentative(world, under, lambda: shell.process(lambda: shell.execute(Call.of(path, *arguments))))


def _interfaces(boot: Boot, world: World, run: Run) -> None:
    """``ifup -a``: the commands of the interfaces marked ``auto``, with the hooks of /etc/network."""
    auto: set[str] = set()
    rows = [row for path in _interface_files(boot) for row in ((path, *each) for each in lines_of(boot.disk, path, 512))]
    for _, _, line in rows:
        words = line.split()
        if words[0] in ("auto", "allow-auto"):
            auto.update(words[1:])
    current = ""
    for path, number, line in rows:
        words = line.split(None, 1)
        if words[0] == "iface" and len(words) > 1:
            current = words[1].split()[0]
        elif words[0] in ("up", "post-up", "pre-up") and len(words) > 1 and current in auto:
            _command(boot, world, Place(boot.root, path, number), words[1], run.conditions, {"IFACE": current})
    for name in sorted(auto)[:8]:
        for directory in ("/etc/network/if-pre-up.d", "/etc/network/if-up.d"):
            if boot.root.exists(directory):
                phase = "pre-up" if "pre" in directory else "post-up"
                values = {"IFACE": name, "MODE": "start", "PHASE": phase, "METHOD": UNKNOWN, "ADDRFAM": "inet"}
                _command(boot, world, Place(boot.root, directory, 0), f"run-parts {directory}", run.conditions, values)


def _interface_files(boot: Boot) -> list[str]:
    more = sorted(boot.disk.children("/etc/network/interfaces.d") or []) if boot.root.exists("/etc/network/interfaces.d") else []
    return ["/etc/network/interfaces", *more[:_LIMIT]]


def _command(boot: Boot, world: World, place: Place, command: str, under: tuple[str, ...], values: dict[str, str]) -> None:
    shell = Shell(world, boot.root, place.path, [])
    shell.line = place.line
    shell.variables |= values
    shell.exported |= set(values)
    held = list(world.conditions)
    world.conditions.extend(under)
    try:
        world.bounded(f"{place.path}:{place.line}", place, lambda: shell.run_line(command))
    finally:
        world.conditions[:] = held
        world.residuals.clear()


def _udev(boot: Boot, world: World, run: Run) -> None:
    files: dict[str, str] = {}
    for directory in ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"):
        for path in sorted(boot.disk.children(directory) or []) if boot.root.exists(directory) else []:
            files.setdefault(posixpath.basename(path), path)
    for path in sorted(files.values())[: 4 * _LIMIT]:
        text = boot.disk.text(path) or ""
        if "RUN" not in text or not path.endswith(".rules"):
            continue
        for number, line in lines_of(boot.disk, path, 1024):
            for found in list(_RUN.finditer(line))[:8]:
                command = re.sub(r"\$\{?\w+(\{[^}]*\})?\}?|%[a-zA-Z](\{[^}]*\})?", UNKNOWN, found.group(1))
                command = command if command.startswith("/") else f"/lib/udev/{command}"
                under = (*run.conditions, f"a device appears that {path}:{number} is about")
                _tentative_line(boot, world, Place(boot.root, path, number), command, under)


def _mdev(boot: Boot, world: World) -> None:
    run = next((run for run in world.runs if run.name == "mdev"), None)
    for number, line in lines_of(boot.disk, "/etc/mdev.conf", 512):
        if found := _MDEV.fullmatch(line):
            if found.group(2) == "$":
                continue  # when a device is removed
            under = (*(run.conditions if run is not None else ()), f"mdev sees a device {found.group(1)}")
            _tentative_line(boot, world, Place(boot.root, "/etc/mdev.conf", number), found.group(3), under)


def _tentative_line(boot: Boot, world: World, place: Place, command: str, under: tuple[str, ...]) -> None:
    if UNKNOWN in command.split(maxsplit=1)[0]:
        return
    shell = Shell(world, boot.root, place.path, [])
    shell.line = place.line
    shell.variables |= dict.fromkeys(("MDEV", "DEVNAME", "DEVPATH", "SUBSYSTEM", "ACTION"), UNKNOWN)
    words = command.split()
    tentative(world, under, lambda: _words(shell, command, words))


def _words(shell: Shell, command: str, words: list[str]) -> None:
    """A command with pieces that only the event knows is taken word by word."""
    if UNKNOWN in command:
        shell.process(lambda: shell.dispatch(Call.of(*words)))
    else:
        shell.run_line(command)
