"""runit, and busybox with its runsv tools: stages of runit-init, run scripts of the directory that runsvdir watches.

Source: runit(8), runsvdir(8), runsv(8).
"""

from __future__ import annotations

import posixpath

from fwcheck.device._graph import Boot, is_shell_script
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.world import Call, World

_DIRECTORIES = ("/etc/service", "/var/service", "/service", "/etc/runit/runsvdir/default")
_SERVICES_LIMIT = 256


def is_runit(boot: Boot) -> bool:
    """Whether init is runit."""
    return posixpath.basename(boot.disk.real(boot.init)) in ("runit-init", "runit")


def start(boot: Boot, world: World) -> None:
    """The first two stages; the second one runs runsvdir."""
    for stage in ("/etc/runit/1", "/etc/runit/2"):
        if boot.disk.find(stage) is not None:
            shell = Shell(world, boot.root, stage, [])
            shell.process(lambda shell=shell, stage=stage: shell.execute(Call.of(stage)))  # type: ignore[misc]


def follow(boot: Boot, world: World) -> None:
    """Records what a started runsvdir keeps running."""
    done: set[str] = set()
    for run in list(world.runs):
        if run.name in ("runsvdir", "runsvdir-start", "svscan", "runsv"):
            named = [word for word in run.words[1:] if word.startswith("/")]
            directories = named or [path for path in _DIRECTORIES if boot.root.exists(path)][:1]
            for directory in directories:
                paths = [directory] if run.name == "runsv" else sorted(boot.disk.children(directory) or [])
                for path in paths[:_SERVICES_LIMIT]:
                    if boot.disk.real(path) not in done:
                        done.add(boot.disk.real(path))
                        service(boot, world, path, run.conditions)


def service(boot: Boot, world: World, path: str, under: tuple[str, ...], manner: str = "runsv") -> None:
    """One service directory: its ``run``, unless ``down`` stands beside it, and that of its log."""
    if boot.disk.find(posixpath.join(path, "down")) is not None:
        return
    for script in (posixpath.join(boot.disk.real(path), name) for name in ("run", "log/run")):
        if boot.disk.find(script) is None:
            continue
        shell = Shell(world, boot.root, script, [])
        shell.background = True
        held = list(world.conditions)
        world.conditions.extend(under)
        try:
            if is_shell_script(boot.disk, script):
                shell.process(lambda shell=shell, script=script: shell.execute(Call.of(script)))  # type: ignore[misc]
            else:
                shell.execute(Call.of(script), manner=manner)
        finally:
            world.conditions[:] = held
            world.residuals.clear()
