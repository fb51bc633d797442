"""OpenRC: the services of /etc/runlevels with what they need.

Source: the OpenRC service script guide, openrc-run(8) (``command``, ``command_args``, ``start()``, ``depend()``), rc-update(8).
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device._graph import Boot
from fwcheck.device.shell import patterns as words
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Place, World
from fwcheck.model import NodeKind

_NEEDS = re.compile(r"^[ \t]*(?:need|want)[ \t]+([^\n#;}]{1,200})", re.MULTILINE)
_LEVELS = ("sysinit", "boot", "default")
_DEPTH_LIMIT = 8
_SERVICES_LIMIT = 512


def follow(boot: Boot, world: World) -> None:
    """Records what openrc, where it was started, starts in its turn."""
    done: set[tuple[str, tuple[str, ...]]] = set()
    if posixpath.basename(boot.disk.real(boot.init)) == "openrc-init":
        level = boot.command_line.value("softlevel") if boot.command_line is not None else ""
        for name in (*_LEVELS[:2], level or _LEVELS[2]):
            _runlevel(boot, world, name, Place(boot.root, boot.init, 0), (), done)
    for run in list(world.runs):
        if run.name in ("openrc", "rc") and len(run.words) > 1 and words.known(run.words[1]):
            _runlevel(boot, world, run.words[1], run.place, run.conditions, done)


def _runlevel(
    boot: Boot,
    world: World,
    level: str,
    place: Place,
    under: tuple[str, ...],
    done: set[tuple[str, tuple[str, ...]]],
    depth: int = 0,
) -> None:
    for path in sorted(boot.disk.children(f"/etc/runlevels/{level}") or []):
        found = boot.disk.find(path)
        if found is not None and found.node.kind is NodeKind.DIRECTORY:  # a runlevel stacked on this one
            if depth < _DEPTH_LIMIT:
                _runlevel(boot, world, posixpath.basename(path), place, under, done, depth + 1)
        else:
            _service(boot, world, posixpath.basename(path), place, under, done)


def _service(
    boot: Boot,
    world: World,
    name: str,
    place: Place,
    under: tuple[str, ...],
    done: set[tuple[str, tuple[str, ...]]],
    depth: int = 0,
) -> None:
    if (name, under) in done or len(done) > _SERVICES_LIMIT or depth > _DEPTH_LIMIT:
        return
    done.add((name, under))
    path = f"/etc/init.d/{name}"
    text = boot.disk.text(path)
    if text is None or UNKNOWN in text:
        if depth == 0:
            world.hole(place, f"{path} cannot be read")
        return
    for found in _NEEDS.finditer(text[: 1 << 16]):
        for needed in found.group(1).split():
            if boot.disk.find(f"/etc/init.d/{needed}") is not None:
                _service(boot, world, needed, place, under, done, depth + 1)
    shell = Shell(world, boot.root, path, ["start"])
    shell.variables |= {"RC_SVCNAME": name, "SVCNAME": name, "RC_RUNLEVEL": "default"}
    held = list(world.conditions)
    world.conditions.extend(under)
    try:
        world.bounded(path, place, lambda: shell.process(lambda: _start(shell, name, text)))
    finally:
        world.conditions[:] = held
        world.residuals.clear()


def _start(shell: Shell, name: str, text: str) -> None:
    for configuration in ("/etc/rc.conf", f"/etc/conf.d/{name}"):
        if shell.disk.find(configuration) is not None:
            shell.source(configuration, [])
    shell.read(text)
    line = next((number for number, row in enumerate(text.splitlines(), 1) if re.match(r"\s*(: \$\{)?command[=:]", row)), 1)
    for step in ("start_pre", "start", "start_post"):
        if step in shell.functions:
            shell.invoke(step, [])
        elif step == "start":
            shell.line = line
            shell.run_text("default_start")
