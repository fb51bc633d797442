"""The boot graph: what the init of each root file system starts, followed through whatever init system it has.

Sources: Linux ``init/main.c`` (order of init programs); each init system has a file of its own beside this one.
"""

from __future__ import annotations

import posixpath
from functools import lru_cache

from fwcheck.device import _android, _called, _cron, _events, _finit, _hotplug, _inetd, _inittab, _openrc, _runit, _s6, _systemd
from fwcheck.device._command_line import command_line, environment, named_inits
from fwcheck.device._disk import Disk
from fwcheck.device._graph import Boot, InittabEntry
from fwcheck.device._inittab import is_console, read_inittab
from fwcheck.device._partitions import fstab
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.vocabulary import new_world
from fwcheck.device.shell.world import Call, Exhausted, Place, World
from fwcheck.model import NodeKind

__all__ = ["Boot", "InittabEntry", "boots", "is_console", "read_inittab"]

_INITS = ("/sbin/init", "/etc/init", "/bin/init", "/init", "/linuxrc", "/etc/preinit", "/sbin/preinit")
_RC_SCRIPTS = (
    "/etc/init.d/rcS",
    "/etc_ro/rcS",
    "/etc/rc.d/rcS",
    "/etc/rcS",
    "/etc/rc.sysinit",
    "/etc/rc",
    "/etc/rc.local",
    "/bin/rc.init",
)
_INITRAMFS = ("cpio", "initramfs")


@lru_cache(maxsize=1)
def boots(firmware: Firmware) -> tuple[Boot, ...]:
    """The boot of every root file system, in image order; made once per firmware."""
    return tuple(_boot(firmware, root) for root in firmware.roots())


def _boot(firmware: Firmware, root: FileSystem) -> Boot:
    disk = Disk(firmware, root)
    world = new_world(disk)
    boot = Boot(root, disk, runs=world.runs, holes=world.holes, world=world, command_line=command_line(firmware))
    boot.init, boot.kind = _init_of(firmware, root)
    if boot.command_line is not None:  # the loader may add words of its own
        disk.given["/proc/cmdline"] = f"{boot.command_line.text} {UNKNOWN}"
    disk.environment = environment(firmware)
    disk.stated |= {"/run/systemd/system": boot.kind == "systemd", "/run/plymouth/pid": False}
    place = Place(root, boot.init or "/", 0)
    if boot.kind == "systemd":  # systemd-fstab-generator(8)
        for entry in fstab(root):
            disk.mount(entry.device, entry.directory, entry.type)
    try:
        _start(boot, world)
        _afterwards(boot, world)
    except (Exhausted, RecursionError):
        world.conditions.clear()
        world.residuals.clear()
        world.hole(place, "the boot scripts are too long or too deeply nested to follow to their end")
    return boot


def _init_of(firmware: Firmware, root: FileSystem) -> tuple[str, str]:
    initramfs = root.format in _INITRAMFS
    candidates = [*named_inits(firmware, initramfs), *(["/init"] if initramfs else []), *_INITS]
    for path in candidates:
        node = root.resolve(path)
        if node is not None and node.kind is NodeKind.FILE:
            return path, _kind_of(root, path)
        link = root.resolve(path, follow=False)
        if link is not None and link.target and posixpath.basename(link.target) in ("busybox", "systemd"):
            return path, "busybox" if "busybox" in link.target else "systemd"
    return ("", "android") if _android.is_android(root) else ("", "missing")


def _kind_of(root: FileSystem, path: str) -> str:
    node = root.resolve(path)
    name = posixpath.basename(node.path) if node is not None else ""
    facts = root.facts(path)
    if facts is not None and facts.text is not None and facts.interpreter:
        return "script"
    if name == "systemd":
        return "systemd"
    if _android.is_android(root):
        return "android"
    if root.exists("/sbin/procd"):
        return "procd"
    if name.startswith("busybox"):
        return "busybox"
    if any(root.exists(inittab) for inittab in _inittab.INITTABS):
        return "sysv"
    if root.exists("/lib/systemd/systemd") or root.exists("/usr/lib/systemd/systemd"):
        return "systemd"
    return "opaque"


def _start(boot: Boot, world: World) -> None:
    if boot.kind == "systemd":
        _systemd.start(boot, world)
        return
    if boot.kind == "android":
        _android.start(boot, world)
        return
    for kind, wanted, follower in (
        ("finit", _finit.is_finit, _finit),
        ("runit", _runit.is_runit, _runit),
        ("s6", _s6.is_s6, _s6),
    ):
        if wanted(boot):
            boot.kind = kind
            follower.start(boot, world)
            return
    if posixpath.basename(boot.disk.real(boot.init)) == "openrc-init":
        boot.kind = "openrc"
        return
    if boot.kind == "script" and not _is_preinit(boot):
        shell = Shell(world, boot.root, "init", [])
        shell.execute(Call.of(boot.init))
        if not any("/init" in run.program for run in world.runs):
            return
    _inittab.read(boot)
    if boot.kind in ("opaque", "missing") and not boot.entries:
        _assumed(boot, world)
        return
    _inittab.follow(boot, world)


def _is_preinit(boot: Boot) -> bool:
    """OpenWrt's /etc/preinit and /init hand over to procd or busybox, which read the inittab."""
    return _inittab.exists(boot) and (boot.root.exists("/sbin/init") or boot.init.endswith("preinit"))


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
    _openrc.follow(boot, world)
    _runit.follow(boot, world)
    _s6.follow(boot, world)
    _cron.follow(boot, world)
    _hotplug.follow(boot, world)
    _events.follow(boot, world)
    _called.follow(world)
