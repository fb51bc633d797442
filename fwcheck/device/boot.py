"""The boot graph: what the init of each root file system starts, followed through inittab, rc scripts, procd, systemd, OpenRC.

Sources: Linux ``init/main.c`` (order of init programs), busybox ``init/init.c`` (inittab actions and the default inittab), the
sysvinit manual inittab(5), OpenWrt procd ``inittab.c``.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from fwcheck.device import _inetd, _openrc, _systemd
from fwcheck.device._disk import Disk
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.vocabulary import new_world
from fwcheck.device.shell.world import Call, Exhausted, Hole, Place, Run, World
from fwcheck.model import Node, NodeKind

_INITS = ("/sbin/init", "/etc/init", "/bin/init", "/init", "/linuxrc", "/etc/preinit", "/sbin/preinit")
_INITTABS = ("/etc/inittab", "/etc_ro/inittab", "/etc/default/inittab")
_RC_SCRIPTS = ("/etc/init.d/rcS", "/etc_ro/rcS", "/etc/rc.d/rcS", "/etc/rcS", "/etc/rc.sysinit", "/etc/rc", "/etc/rc.local")
_START_ACTIONS = (
    "sysinit",
    "boot",
    "bootwait",
    "wait",
    "once",
    "respawn",
    "respawnlate",
    "askfirst",
    "askconsole",
    "askconsolelate",
)
_ASK_ACTIONS = ("respawn", "respawnlate", "askfirst", "askconsole", "askconsolelate")
_INIT_OPTION = re.compile(r"(?:^|\s)(?:rd)?init=(/[\w./+-]+)")


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
    kind: str = "unknown"  # "busybox", "sysv", "procd", "systemd", "openrc", "script", "opaque", "missing"
    runs: list[Run] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    inittab: str = ""  # path of the inittab in force
    entries: list[InittabEntry] = field(default_factory=list)
    world: World | None = None


@lru_cache(maxsize=1)
def boots(firmware: Firmware) -> tuple[Boot, ...]:
    """The boot of every root file system, in image order; made once per firmware."""
    return tuple(_boot(firmware, root) for root in firmware.roots())


def _boot(firmware: Firmware, root: FileSystem) -> Boot:
    disk = Disk(firmware, root)
    world = new_world(disk)
    boot = Boot(root, disk, runs=world.runs, holes=world.holes, world=world)
    boot.init, boot.kind = _init_of(firmware, root)
    place = Place(root, boot.init or "/", 0)
    try:
        _start(boot, world)
        _afterwards(boot, world)
    except (Exhausted, RecursionError):
        world.conditions.clear()
        world.residuals.clear()
        world.hole(place, "the boot scripts are too long or too deeply nested to follow to their end")
    return boot


def command_line_init(firmware: Firmware) -> str:
    """The init program a kernel command line of the image names (boot loader environment, device tree), or ""."""
    for node in firmware.nodes:
        for key, held in node.detail.items():
            if isinstance(held, str) and "arg" in key.lower() and (found := _INIT_OPTION.search(held)):
                return found.group(1)
    return ""


def _init_of(firmware: Firmware, root: FileSystem) -> tuple[str, str]:
    named = command_line_init(firmware)
    candidates = [named] if named else []
    candidates += ["/init"] if root.format in ("cpio", "initramfs") else []
    for path in (*candidates, *_INITS):
        node = root.resolve(path)
        if node is not None and node.kind is NodeKind.FILE:
            return path, _kind_of(root, path)
        link = root.resolve(path, follow=False)
        if link is not None and link.target and posixpath.basename(link.target) in ("busybox", "systemd"):
            return path, "busybox" if "busybox" in link.target else "systemd"
    return "", "missing"


def _kind_of(root: FileSystem, path: str) -> str:
    node = root.resolve(path)
    name = posixpath.basename(node.path) if node is not None else ""
    facts = root.facts(path)
    if facts is not None and facts.text is not None and facts.interpreter:
        return "script"
    if name == "systemd":
        return "systemd"
    if root.exists("/sbin/procd"):
        return "procd"
    if name.startswith("busybox"):
        return "busybox"
    if any(root.exists(inittab) for inittab in _INITTABS):
        return "sysv"
    if root.exists("/lib/systemd/systemd") or root.exists("/usr/lib/systemd/systemd"):
        return "systemd"
    return "opaque"


def _start(boot: Boot, world: World) -> None:
    if boot.kind == "systemd":
        _systemd.start(boot.root, world)
        return
    if boot.kind == "script" and not _is_preinit(boot):
        shell = Shell(world, boot.root, "init", [])
        shell.execute(Call.of(boot.init))
        if not any("/init" in run.program for run in world.runs):
            return
    _read_inittab(boot)
    if boot.kind in ("opaque", "missing") and not boot.entries:
        _assumed(boot, world)
        return
    if not boot.entries:
        boot.entries = [InittabEntry("", "", "sysinit", "/etc/init.d/rcS", 0), InittabEntry("", "", "askfirst", "/bin/sh", 0)]
    for wanted in (("sysinit",), ("boot", "bootwait"), ("wait",), ("once",), _ASK_ACTIONS):
        for entry in boot.entries:
            if entry.action in wanted and _in_runlevel(entry, boot.entries):
                _run_entry(boot, world, entry)


def _is_preinit(boot: Boot) -> bool:
    """OpenWrt's /etc/preinit and /init hand over to procd or busybox, which read the inittab."""
    return any(boot.root.exists(path) for path in _INITTABS) and (boot.root.exists("/sbin/init") or boot.init.endswith("preinit"))


def _read_inittab(boot: Boot) -> None:
    for path in _INITTABS:
        text = boot.disk.text(path)
        if text and UNKNOWN not in text:
            boot.inittab, boot.entries = path, read_inittab(text)
            return


def read_inittab(text: str) -> list[InittabEntry]:
    """The entries of an inittab, comments and broken lines left out."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.strip().split(":", 3)
        if line.lstrip().startswith("#") or len(fields) < 4 or not fields[2]:
            continue
        entries.append(InittabEntry(fields[0].strip(), fields[1], fields[2].strip().lower(), fields[3].strip(), number))
    return entries[:256]


def _in_runlevel(entry: InittabEntry, entries: list[InittabEntry]) -> bool:
    default = next((other.runlevels for other in entries if other.action == "initdefault"), "")
    return not entry.runlevels or not default or entry.action in ("sysinit", "boot", "bootwait") or default in entry.runlevels


def is_console(entry: InittabEntry) -> bool:
    """Whether an entry offers a shell or login instead of starting a daemon."""
    words = entry.command.lstrip("-").split()
    program = posixpath.basename(words[0]) if words else ""
    if entry.action in ("askfirst", "askconsole", "askconsolelate"):
        return True
    return entry.action.startswith("respawn") and bool(
        re.fullmatch(r"(a|da|ba|k)?sh|login(\.sh)?|sulogin|[am]?getty|[\w-]*getty|cttyhack", program)
    )


def _run_entry(boot: Boot, world: World, entry: InittabEntry) -> None:
    if is_console(entry):
        return
    shell = Shell(world, boot.root, boot.inittab or "/etc/inittab", [])
    shell.line = entry.line
    command = entry.command.lstrip("-")
    words = command.split()
    if not words:
        return
    if boot.kind == "procd" and posixpath.basename(words[0]) == "rcS" and not boot.root.exists(words[0]):
        _rc_d(shell, *words[1:3])
        return
    if entry.action.startswith("respawn"):
        if not _is_script(boot, words[0]):
            shell.execute(Call.of(*words), manner="respawn")
            return
        shell.background = True
    shell.run_line(command)


def _is_script(boot: Boot, path: str) -> bool:
    found = boot.disk.find(path)
    facts = found.fs.facts_of(found.node) if found is not None else None
    return facts is not None and facts.text is not None


def _rc_d(shell: Shell, prefix: str = "S", action: str = "boot") -> None:
    """Procd's own rcS: every link of /etc/rc.d with the prefix, in order."""
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


def _assumed(boot: Boot, world: World) -> None:
    """An init that cannot be read, or none: the usual scripts count, under the condition that it runs them."""
    place = Place(boot.root, boot.init or "/", 0)
    if boot.kind == "opaque":
        world.hole(place, f"{boot.init} is a program of its own; what it starts is in its code")
    script = next((path for path in _RC_SCRIPTS if boot.root.exists(path)), "")
    if not script:
        if boot.kind == "missing":
            world.hole(place, "no init program and no start script was found")
        return
    shell = Shell(world, boot.root, script, [])
    if boot.kind == "opaque":
        shell.alternatives([(f"{boot.init} runs {script}", lambda: shell.execute(Call.of(script)))], exhaustive=False)
    else:
        shell.execute(Call.of(script))


def _afterwards(boot: Boot, world: World) -> None:
    """What started programs start on their own account: inetd, cron, runit, hotplug."""
    _inetd.follow(boot.root, world)
    _openrc.follow(boot.root, world)
    _crontabs(boot, world)
    _hotplug(boot, world)


def _crontabs(boot: Boot, world: World) -> None:
    crond = next((run for run in world.runs if run.name in ("crond", "cron", "busybox-crond")), None)
    if crond is None:
        return
    for directory in ("/etc/crontabs", "/var/spool/cron/crontabs", "/etc/cron.d"):
        for path in (boot.disk.children(directory) or [])[:64] if boot.root.exists(directory) else []:
            text = boot.disk.text(path) or ""
            for number, line in enumerate(text.splitlines()[:512], 1):
                found = re.match(r"\s*(@\w+|(?:[\d*/,-]+\s+){4}[\w*/,-]+)\s+(.*)", line)
                if not found:
                    continue
                shell = Shell(world, boot.root, path, [])
                shell.line = number
                world.conditions.extend(crond.conditions)
                try:
                    shell.run_line(found.group(2))
                finally:
                    world.conditions.clear()


_EVENT = ("ACTION", "DEVICENAME", "INTERFACE", "DEVICE", "BUTTON", "SEEN", "DEVTYPE", "DEVPATH", "PRODUCT", "SUBSYSTEM")


def _hotplug(boot: Boot, world: World) -> None:
    """OpenWrt's hotplug scripts: the LAN comes up on every boot, all other events may or may not occur."""
    network = any(run.name == "netifd" and not run.conditions for run in world.runs)
    for node in boot.root.glob("/etc/hotplug.d/*/*")[:64]:
        event = node.path.split("/")[3]
        if event == "iface" and network:
            _event(boot, world, node, {"ACTION": "ifup", "INTERFACE": "lan", "DEVICE": "br-lan"}, "")
            _event(boot, world, node, {"ACTION": "ifup", "INTERFACE": "wan"}, "the WAN interface comes up")
        else:
            _event(boot, world, node, {}, f"a hotplug event of class {event} occurs")


def _event(boot: Boot, world: World, node: Node, values: dict[str, str], condition: str) -> None:
    text = boot.disk.text(node.path)
    if not text or UNKNOWN in text or node.kind is not NodeKind.FILE:
        return
    shell = Shell(world, boot.root, node.path, [node.path.split("/")[3]])
    shell.variables |= dict.fromkeys(_EVENT, UNKNOWN) | values
    world.conditions.extend([condition] if condition else [])
    try:
        world.bounded(node.path, shell.place, lambda: shell.process(lambda: shell.read(text)))
    finally:
        world.conditions.clear()
        world.residuals.clear()
