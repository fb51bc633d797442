"""systemd: which units the default target pulls in, and what they execute.

Source: systemd.service(5), systemd.exec(5), systemd.socket(5), systemd.timer(5), systemd.path(5), systemd.special(7),
kernel-command-line(7), systemd-{getty,debug,sysv,fstab}-generator(8).
"""

from __future__ import annotations

import posixpath
import re
from collections import deque

from fwcheck.device import _systemd_presets
from fwcheck.device._graph import Boot, InittabEntry, lines_of
from fwcheck.device._systemd_conditions import conditions
from fwcheck.device._systemd_exec import execute
from fwcheck.device._systemd_units import DIRECTORIES, Unit, canonical, load, names, pulled, read_unit
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.world import Call, Place, Status, World

__all__ = ["DIRECTORIES", "Unit", "load", "pulled", "read_unit", "start"]

_UNIT_LIMIT = 4096
_TARGETS = {
    **dict.fromkeys(("single", "s", "S", "1", "rescue", "systemd.unit=runlevel1.target"), "rescue.target"),
    **dict.fromkeys(("emergency", "-b"), "emergency.target"),
    **dict.fromkeys(("2", "3", "4"), "multi-user.target"),
    "5": "graphical.target",
}
_VIRTUAL = re.compile(r"tty\d*|console|null|netconsole\d*")


class _Manager:
    """PID 1 at work: units are started once each, with the reason why."""

    def __init__(self, boot: Boot, world: World) -> None:
        self.boot, self.world, self.disk, self.root = boot, world, world.disk, boot.root
        self.line = boot.command_line
        self.words = self.line.words if self.line is not None else []
        self.seen: set[str] = set()
        self.masked = {value for word in self.words if (value := _after(word, "systemd.mask="))}
        self.dbus = False

    def follow(self, todo: deque[str], condition: str = "", *, certain: bool = True) -> None:
        """Starts units with all they pull in; what is not certain does not count as started when it is asked for again."""
        own: set[str] = set()
        while todo and len(self.seen) < _UNIT_LIMIT:
            self.world.step()
            name = canonical(self.disk, todo.popleft())
            if name in self.seen or name in self.masked or name in own:
                continue
            (self.seen if certain else own).add(name)
            unit = load(self.disk, name)
            if unit is None or (undecided := conditions(self.disk, unit, self.line)) is None:
                continue
            if not name.endswith(".target") and undecided:
                self.activate(unit, (condition, *undecided))
            else:
                self.activate(unit, (condition,))
            todo.extend(pulled(self.disk, unit))
            if name in ("dbus.service", "dbus-broker.service", "dbus.socket"):
                self.dbus = True
        if todo and len(self.seen) >= _UNIT_LIMIT:
            self.world.hole(Place(self.root, "/etc/systemd", 0), "more units than can be followed")

    def activate(self, unit: Unit, under: tuple[str, ...]) -> None:
        """What starting this unit executes, at once or on its event."""
        kind = unit.name.rpartition(".")[2]
        if kind == "service":
            execute(self.root, self.world, unit, "unit", under)
        elif kind == "socket":
            listens = [value for value, _, _ in unit.values("Socket", "ListenStream")]
            listens += [value if value[:1] in "/@" else f"udp/{value}" for value, _, _ in unit.values("Socket", "ListenDatagram")]
            if listens:  # FIFOs, netlink and special files are no way in
                self.other(unit, "Socket", _socket_service(unit), f"socket {' '.join(listens)}", under)
        elif kind == "timer":
            self.other(unit, "Timer", f"{unit.name[:-6]}.service", "timer", under)
        elif kind == "path":
            what = next((value for key in _PATH_KEYS for value, _, _ in unit.values("Path", key)), "a path")
            self.other(unit, "Path", f"{unit.name[:-5]}.service", "path", (*under, f"{what} exists or changes"))

    def other(self, unit: Unit, section: str, default: str, manner: str, under: tuple[str, ...]) -> None:
        """The unit that a socket, timer or path unit starts in its turn."""
        name = unit.value(section, "Unit") or unit.value(section, "Service") or default
        target = load(self.disk, name)
        if target is None or canonical(self.disk, name) in self.seen:
            return  # masked, missing, or running anyhow
        undecided = conditions(self.disk, target, self.line)
        if undecided is not None:
            execute(self.root, self.world, target, manner, (*under, *undecided))

    def asked(self, action: str, name: str) -> Status:
        """``systemctl start name`` in a script: the unit starts under the conditions the script is under."""
        name = name if re.search(r"\.(service|socket|target|timer|path|mount)$", name) else f"{name}.service"
        if action in ("start", "restart", "reload-or-restart", "enable --now", "isolate"):
            held, residuals = list(self.world.conditions), list(self.world.residuals)
            self.world.conditions[:] = self.world.under
            try:
                self.follow(deque([name]), certain=not self.world.conditions)
            finally:
                self.world.conditions[:], self.world.residuals[:] = held, residuals
            return load(self.disk, name) is not None
        if action == "mask":
            self.masked.add(name)
        return True if action in ("daemon-reload", "daemon-reexec", "enable", "disable", "mask", "unmask", "stop") else None

    def bus(self) -> None:
        """Services that the message bus starts when somebody asks for their name."""
        for path in (self.disk.children("/usr/share/dbus-1/system-services") or [])[:128] if self.dbus else []:
            rows = dict(line.partition("=")[::2] for _, line in lines_of(self.disk, path, 64) if "=" in line)
            name = rows.get("SystemdService", "")
            unit = load(self.disk, name) if name else None
            if unit is not None and canonical(self.disk, name) not in self.seen:
                self.seen.add(canonical(self.disk, name))
                undecided = conditions(self.disk, unit, self.line)
                if undecided is not None:
                    under = (f"a program asks the message bus for {rows.get('Name', name)}", *undecided)
                    execute(self.root, self.world, unit, "bus", under)


_PATH_KEYS = ("PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty")


def start(boot: Boot, world: World) -> None:
    """Starts what the target pulls in; sockets count as their service."""
    manager = _Manager(boot, world)
    world.units = manager.asked
    _file_systems(boot)
    manager.follow(deque([*_targets(manager.words), "sysinit.target", "basic.target"]))
    _consoles(boot, manager.words)
    _scripts(manager)
    _systemd_presets.follow(boot, manager.seen, lambda todo, condition: manager.follow(deque(todo), condition))
    manager.bus()


def _targets(words: list[str]) -> list[str]:
    """The unit the command line names, or ``default.target``, and what else it wants."""
    named = [value for word in words if (value := _after(word, "systemd.unit=") or _TARGETS.get(word, ""))]
    wanted = [value for word in words if (value := _after(word, "systemd.wants="))]
    if any(re.fullmatch(r"systemd\.debug[_-]shell(=(?!0|no|false|off).*)?", word) for word in words):
        wanted.append("debug-shell.service")
    return [named[-1] if named else "default.target", *wanted]


def _after(word: str, key: str) -> str:
    return word[len(key) :] if word.startswith(key) else ""


def _socket_service(unit: Unit) -> str:
    stem = unit.name.removesuffix(".socket")
    return f"{stem}@.service" if unit.true("Socket", "Accept") else f"{stem}.service"


def _file_systems(boot: Boot) -> None:
    """What /etc/fstab mounts: only the device knows what is there."""
    for _, row in lines_of(boot.disk, "/etc/fstab", 128):
        fields = row.split()
        if len(fields) > 3 and fields[1].startswith("/") and fields[1] != "/" and "noauto" not in fields[3].split(","):
            boot.disk.mounted.add(fields[1].rstrip("/"))


def _consoles(boot: Boot, words: list[str]) -> None:
    """A serial terminal that the kernel has as its console gets a login."""
    terminals = [_after(word, "console=").partition(",")[0] for word in words if word.startswith("console=")]
    for terminal in dict.fromkeys(terminals):
        unit = load(boot.disk, f"serial-getty@{terminal}.service") if terminal and not _VIRTUAL.fullmatch(terminal) else None
        starts = unit.values("Service", "ExecStart") if unit is not None else []
        if unit is not None and starts:
            command, path, line = starts[-1]
            command = command.lstrip("-@!+:").replace("%I", terminal).replace("%i", terminal)
            boot.inittab = boot.inittab or path
            boot.entries.append(InittabEntry(terminal, "", "respawn", command, line))


def _scripts(manager: _Manager) -> None:
    """Init scripts without a unit of the same name are started where a runlevel links them; rc.local where it may run."""
    disk, known = manager.disk, set(names(manager.disk))
    done: set[str] = set()
    for level in "S2345":
        for link in disk.glob(f"/etc/rc{level}.d/S[0-9][0-9]*") or []:
            name = posixpath.basename(link)[3:].removesuffix(".sh")
            if name in done or f"{name}.service" in known or name in _SHADOWED:
                continue
            done.add(name)
            shell = Shell(manager.world, manager.root, link, [])
            shell.process(lambda shell=shell, link=link: shell.execute(Call.of(link, "start")))  # type: ignore[misc]
    found = disk.find("/etc/rc.local")
    if found is not None and "rc-local.service" in known and "rc-local.service" not in manager.seen and found.node.mode & 0o111:
        manager.seen.add("rc-local.service")
        shell = Shell(manager.world, manager.root, "/etc/rc.local", [])
        shell.process(lambda: shell.execute(Call.of("/etc/rc.local", "start")))


# what systemd does itself and therefore does not take from init scripts
_SHADOWED = frozenset(
    """
rc rcS rc.local single reboot halt sendsigs umountfs umountroot umountnfs mountall mountdevsubfs mountkernfs checkfs checkroot
hwclock hostname bootmisc urandom udev procps kmod killprocs motd mountnfs networking-routes README skeleton mountall-bootclean
mountnfs-bootclean checkroot-bootclean hwclock-save stop-bootlogd brightness x11-common
""".split()  # noqa: SIM905 -- a table of names
)
