"""s6 and s6-overlay: service directories, bundles of s6-rc sources, scripts in execline.

Sources: s6-svscan, s6-rc-compile and execlineb documentation (skarnet.org), s6-overlay README (versions 2 and 3).
"""

from __future__ import annotations

import posixpath
import shlex
from collections import deque

from fwcheck.device import _runit
from fwcheck.device._graph import Boot, is_shell_script, lines_of
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, World

_SOURCES = (
    "/etc/s6-overlay/s6-rc.d",
    "/etc/s6-rc/source",
    "/etc/s6/sv",
    "/etc/s6-rc.d",
    "/package/admin/s6-overlay/etc/s6-rc/sources",
)
_BUNDLES = ("user", "user2", "default", "top")
_SERVICES = (
    "/etc/services.d",
    "/etc/s6/services",
    "/etc/s6-linux-init/run-image/service",
    "/etc/s6-linux-init/current/run-image/service",
)
_LIMIT = 512
# chain loading programs of execline and s6, with the words that are their own
_CHAIN = {
    "fdmove": 2, "fdclose": 1, "fdreserve": 1, "exec": 0, "cd": 1, "umask": 1, "unexport": 1, "importas": 2, "export": 2,
    "s6-envdir": 1,
    "s6-setuidgid": 1, "s6-applyuidgid": 0, "s6-softlimit": 0, "s6-notifyoncheck": 0, "with-contenv": 0, "s6-log": -1, "nice": 0,
    "emptyenv": 0, "redirfd": 3, "envfile": 1, "multisubstitute": 0, "define": 2, "backtick": 1, "elgetpositionals": 0, "env": 0,
    "s6-fdholder-retrieve": 2, "s6-ipcserver-socketbinder": 1, "s6-ipcserverd": 0, "s6-tcpserver": 2, "s6-tcpserver4": 2,
    "foreground": 0, "background": 0, "if": 0, "ifelse": 0, "ifthenelse": 0,
    "pipeline": 0, "s6-exec": 0, "nohup": 0, "setsid": 0, "chpst": 0,
}  # fmt: skip


def is_s6(boot: Boot) -> bool:
    """Whether init is s6's, or the script of s6-overlay."""
    name = posixpath.basename(boot.disk.real(boot.init))
    return name.startswith("s6-") or (
        name == "init" and any(boot.root.exists(path) for path in ("/etc/s6-overlay", "/etc/cont-init.d"))
    )


def start(boot: Boot, world: World) -> None:
    """The scripts that prepare, then services and bundles."""
    for script in ("/etc/s6-linux-init/current/scripts/rc.init", "/etc/s6-linux-init/scripts/rc.init"):
        if boot.root.exists(script):
            _script(boot, world, script)
    for directory in ("/etc/cont-init.d",):
        for path in sorted(boot.disk.children(directory) or [])[:_LIMIT] if boot.root.exists(directory) else []:
            _script(boot, world, path)
    for directory in _SERVICES:
        _directory(boot, world, directory, ())
    _bundles(boot, world, ())


def follow(boot: Boot, world: World) -> None:
    """What a started s6-svscan or s6-rc runs."""
    for run in list(world.runs):
        if run.name == "s6-svscan":
            for word in run.words[1:]:
                if word.startswith("/") and UNKNOWN not in word:
                    _directory(boot, world, word, run.conditions)
        elif run.name == "s6-rc" and any(word in ("change", "start") for word in run.words[1:]):
            _bundles(boot, world, run.conditions)


def _directory(boot: Boot, world: World, directory: str, under: tuple[str, ...]) -> None:
    for path in sorted(boot.disk.children(directory) or [])[:_LIMIT] if boot.root.exists(directory) else []:
        if not posixpath.basename(path).startswith("."):
            _long(boot, world, path, under)


def _long(boot: Boot, world: World, path: str, under: tuple[str, ...]) -> None:
    script = posixpath.join(boot.disk.real(path), "run")
    if boot.disk.find(script) is None or boot.disk.find(posixpath.join(path, "down")) is not None:
        return
    if is_shell_script(boot.disk, script):
        _runit.service(boot, world, path, under, "s6")
    else:
        _execline(boot, world, script, under, "s6")


def _bundles(boot: Boot, world: World, under: tuple[str, ...]) -> None:
    """The services in the bundles that are brought up at boot, with what they depend on."""
    source = next((path for path in _SOURCES if boot.root.exists(path)), "")
    todo, seen = deque(_BUNDLES if source else ()), set[str]()
    while todo and len(seen) < _LIMIT:
        name = todo.popleft()
        top = f"{source}/{name}"
        if name in seen or not boot.root.exists(top):
            continue
        seen.add(name)
        for part in ("contents", "dependencies"):
            todo.extend(line for _, line in lines_of(boot.disk, f"{top}/{part}", _LIMIT))
            if boot.root.exists(f"{top}/{part}.d"):
                todo.extend(posixpath.basename(path) for path in boot.disk.children(f"{top}/{part}.d") or [])
        if boot.disk.find(f"{top}/run") is not None:
            _long(boot, world, top, under)
        elif boot.disk.find(f"{top}/up") is not None:
            _execline(boot, world, f"{top}/up", under, "")


def _script(boot: Boot, world: World, path: str) -> None:
    if is_shell_script(boot.disk, path):
        shell = Shell(world, boot.root, path, [])
        shell.process(lambda: shell.execute(Call.of(path)))
    else:
        _execline(boot, world, path, (), "")


def _execline(boot: Boot, world: World, path: str, under: tuple[str, ...], manner: str) -> None:
    """A script in execline, or the one line of an ``up`` file."""
    rows = lines_of(boot.disk, path, 256)
    try:
        words = shlex.split("\n".join(line for _, line in rows), comments=True)[:1024]
    except ValueError:
        words = " ".join(line for _, line in rows).split()[:1024]
    held = list(world.conditions)
    world.conditions.extend(under)
    try:
        _chain(boot, world, path, words, manner, rows[-1][0] if rows else 1)
    finally:
        world.conditions[:] = held
        world.residuals.clear()


def _chain(boot: Boot, world: World, path: str, words: list[str], manner: str, line: int) -> None:
    """Goes along the programs that each run the rest; what stands in braces is run on the way."""
    user, at = "", 0
    while at < len(words):
        name = posixpath.basename(words[at])
        if name == "{":
            end = _closing(words, at)
            _chain(boot, world, path, words[at + 1 : end], "", line) if at < 256 else None
            at = end + 1
            continue
        own = _CHAIN.get(name)
        if own is None or own < 0:
            break
        at += 1
        while at < len(words) and words[at].startswith("-") and len(words[at]) > 1:
            at += 2 if words[at] in ("-D", "-o", "-g", "-u", "-n") else 1
        if name == "s6-setuidgid" and at < len(words):
            user = words[at].split(":")[0]
        at += own
    rest = [word for word in words[at:] if word not in ("{", "}")]
    if rest:
        shell = Shell(world, boot.root, path, [])
        shell.line, shell.user = line, "" if user == "root" else user
        found = boot.disk.find(shell.absolute(rest[0])) if rest[0].startswith("/") else None
        if found is not None and is_shell_script(boot.disk, rest[0]):
            shell.background = bool(manner)
            shell.process(lambda: shell.execute(Call.of(*rest)))
        elif posixpath.basename(rest[0]) in ("sh", "bash"):
            shell.process(lambda: shell.dispatch(Call.of(*rest)))
        else:
            shell.execute(Call.of(*rest), manner=manner or "oneshot", user=user)


def _closing(words: list[str], at: int) -> int:
    level = 0
    for index in range(at, len(words)):
        level += {"{": 1, "}": -1}.get(words[index], 0)
        if level == 0:
            return index
    return len(words)
