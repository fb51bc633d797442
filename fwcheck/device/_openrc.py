"""OpenRC and runit: services of /etc/runlevels, and run scripts under the directory runsvdir watches.

Source: the OpenRC service script guide (``command``, ``command_args``, ``start()``), runit's runsvdir(8).
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell import patterns as words
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Run, World


def follow(root: FileSystem, world: World) -> None:
    """Records what openrc and runsvdir, where they were started, start in their turn."""
    for run in list(world.runs):
        if run.name in ("openrc", "rc") and len(run.words) > 1 and words.known(run.words[1]):
            for path in sorted(world.disk.children(f"/etc/runlevels/{run.words[1]}") or []):
                _service(root, world, run, path)
        elif run.name in ("runsvdir", "runsvdir-start"):
            _run_scripts(root, world, run)


def _service(root: FileSystem, world: World, run: Run, path: str) -> None:
    text = world.disk.text(path)
    if text is None or UNKNOWN in text:
        world.hole(run.place, f"{path} cannot be read")
        return
    name = posixpath.basename(path)
    shell = Shell(world, root, f"/etc/init.d/{name}", ["start"])
    shell.variables |= {"RC_SVCNAME": name, "SVCNAME": name}
    world.conditions.extend(run.conditions)
    try:
        shell.process(lambda: _start(shell, name, text))
    finally:
        world.conditions.clear()


def _start(shell: Shell, name: str, text: str) -> None:
    configuration = f"/etc/conf.d/{name}"
    if shell.disk.find(configuration) is not None:
        shell.source(configuration, [])
    shell.read(text)
    if "start" in shell.functions:
        shell.invoke("start", [])
    elif command := shell.variables.get("command"):
        arguments = f"{shell.variables.get('command_args') or ''} {shell.variables.get('command_args_background') or ''}".split()
        user = (shell.variables.get("command_user") or "").split(":")[0]
        shell.line = next((number for number, line in enumerate(text.splitlines(), 1) if re.match(r"command=", line)), 1)
        shell.execute(Call.of(command, *arguments), manner="openrc", user=user if words.known(user) else "")


def _run_scripts(root: FileSystem, world: World, run: Run) -> None:
    directory = next((word for word in run.words[1:] if word.startswith("/")), "/etc/service")
    for path in sorted(world.disk.children(directory) or [])[:256]:
        script = posixpath.join(world.disk.real(path), "run")
        if world.disk.find(script) is not None and world.disk.find(posixpath.join(path, "down")) is None:
            shell = Shell(world, root, script, [])
            shell.background = True
            world.conditions.extend(run.conditions)
            try:
                shell.execute(Call.of(script))
            finally:
                world.conditions.clear()
