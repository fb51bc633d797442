"""Programs that run other programs: shells, wrappers, start-stop-daemon, super servers, run-parts."""

from __future__ import annotations

import getopt
import posixpath
import re
from itertools import pairwise

from fwcheck.device.shell.patterns import known
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Handler, Status

_LONG = """
start stop status exec= startas= name= pidfile= make-pidfile background quiet test oknodo verbose chuid= user= group= nicelevel=
chdir= signal= retry= umask= remove-pidfile env= stdout= stderr= wait= interpreted= output= no-close notify-await chroot=
""".split()  # noqa: SIM905 -- the options of start-stop-daemon


def _wrapper(skip: str) -> Handler:
    """A program that runs the command after its own options; ``skip`` names the options that take an argument."""

    def handler(shell: Shell, call: Call) -> Status:
        at = 1
        while at < len(call.fields) and (call.fields[at].startswith(("-", "+")) or re.match(r"[A-Za-z_]\w*=", call.fields[at])):
            at += 2 if len(call.fields[at]) == 2 and call.fields[at][1] in skip else 1
        return _rest(shell, call, at)

    return handler


def _rest(shell: Shell, call: Call, at: int) -> Status:
    if at >= len(call.fields):
        return True
    shell.dispatch(call.rest(at))
    return shell.status


def _counted(count: int) -> Handler:
    """A wrapper with ``count`` arguments of its own before the command (``timeout 5 command``)."""

    def handler(shell: Shell, call: Call) -> Status:
        at = 1
        while at < len(call.fields) and call.fields[at].startswith("-"):
            at += 1
        return _rest(shell, call, at + count)

    return handler


def _sh(shell: Shell, call: Call) -> Status:
    at = 1
    while at < len(call.fields) and call.fields[at].startswith("-") and call.fields[at] != "--":
        if "c" in call.fields[at] and not call.fields[at].startswith("--") and at + 1 < len(call.fields):
            if not known(call.fields[at + 1]):
                return None
            return _as_child(shell, call.fields[at + 1], call.fields[at + 3 :])
        at += 1
    if at >= len(call.fields):
        if shell.stdin and known(shell.stdin):
            return _as_child(shell, shell.stdin, shell.args)
        return None if shell.stdin is not None else shell.execute(call)
    path = shell.absolute(call.fields[at])
    text = shell.disk.text(path)
    if text is None:
        return False
    if UNKNOWN in text:
        if known(path):
            shell.world.hole(shell.place, f"runs {path}, which is not in the image")
        return None
    first = text.split("\n", 1)[0]
    common = path if posixpath.basename(path) == "rc.common" else ""
    if common and at + 1 < len(call.fields):  # "sh /etc/rc.common /etc/init.d/name action"
        return _rest(shell, call, at + 1)
    shell.follow(
        path, shell.disk.find(path), text, call.fields[at + 1 :], "rc.common" if first.endswith("/etc/rc.common") else ""
    )
    return shell.status


def _as_child(shell: Shell, text: str, arguments: list[str]) -> Status:
    child = shell.child()
    child.args = arguments
    child.process(lambda: child.run_text(text))
    return child.status


def _busybox(shell: Shell, call: Call) -> Status:
    if len(call.fields) < 2:
        return True
    shell.dispatch(call.rest(1))
    return shell.status


def _su(shell: Shell, call: Call) -> Status:
    """``su [-] [user] -c command``."""
    if "-c" not in call.fields or call.fields.index("-c") + 1 >= len(call.fields):
        return None
    at = call.fields.index("-c")
    valued = {at + 1} | {index + 1 for index, text in enumerate(call.fields) if text in ("-s", "-g", "-G")}
    names = [text for index, text in enumerate(call.fields[1:], 1) if index not in valued and not text.startswith("-")]
    held = shell.user
    shell.user = names[0] if names and known(names[0]) and names[0] != "root" else ""
    try:
        return _sh(shell, Call.of("sh", "-c", call.fields[at + 1]))
    finally:
        shell.user = held


def _start_stop_daemon(shell: Shell, call: Call) -> Status:
    """Busybox and dpkg: ``-S -x program -- arguments``."""
    try:
        options, arguments = getopt.gnu_getopt(_before(call.fields[1:]), "SKTHtoqvbmCx:a:n:p:c:u:g:N:d:s:R:k:I:P:e:r:1:2:", _LONG)
    except getopt.GetoptError:
        return None
    given = {name.lstrip("-"): value for name, value in options}
    arguments = arguments + call.fields[1 + len(_before(call.fields[1:])) + 1 :]
    if not ("S" in given or "start" in given):
        return None if "K" in given or "stop" in given else True
    program = given.get("a") or given.get("startas") or given.get("x") or given.get("exec") or ""
    if not program and arguments:
        program, arguments = arguments[0], arguments[1:]
    if not program:
        return None
    if "t" in given or "test" in given:  # only asks whether it would be started
        return shell.locate(program)[2]
    user = (given.get("c") or given.get("chuid") or "").split(":")[0]
    user = {"0": "root"}.get(user, user)
    tail = list(call.shown[-len(arguments) :]) if arguments and len(call.shown) == len(call.fields) else arguments
    shell.execute(Call([program, *arguments], [program, *tail]), manner="start-stop-daemon", user=user if known(user) else "")
    return True


def _socket_server(shell: Shell, call: Call) -> Status:
    """Busybox ``tcpsvd`` and ``udpsvd``: address, port and the program to run for each connection."""
    at = 1
    while at < len(call.fields) and call.fields[at].startswith("-"):
        at += 2 if call.fields[at][-1:] in "cCubtTl" and len(call.fields[at]) == 2 else 1
    if at + 2 >= len(call.fields):
        return shell.execute(call)
    address, port = call.fields[at], call.fields[at + 1]
    program = call.fields[at + 2 :]
    shell.execute(Call.of(*program), manner=f"{call.fields[0]} {address}:{port}")
    return True


def _before(fields: list[str]) -> list[str]:
    return fields[: fields.index("--")] if "--" in fields else fields


def _daemon(shell: Shell, call: Call) -> Status:
    """``daemon``, ``start_daemon``, ``startproc`` of LSB and Red Hat init functions."""
    at = 1
    user = ""
    while at < len(call.fields) and call.fields[at].startswith(("-", "+")):
        if call.fields[at].startswith("--user="):
            user = call.fields[at][7:]
        at += 2 if call.fields[at] in ("-p", "-n", "-u", "-g", "--user", "--pidfile") else 1
    if at >= len(call.fields):
        return True
    command = call.fields[at].split() + call.fields[at + 1 :]
    shell.execute(Call.of(*command), manner="daemon", user=user)
    return True


def _run_parts(shell: Shell, call: Call) -> Status:
    """Busybox and debianutils: runs the programs of a directory in order, or names them (``--list``, ``--test``)."""
    arguments = [text for option, text in pairwise(call.fields) if option in ("-a", "--arg")]
    arguments += [text[6:] for text in call.fields if text.startswith("--arg=")]
    directories = [text for text in call.fields[1:] if not text.startswith("-") and text not in arguments]
    named = any(text in ("--list", "--test", "-t") for text in call.fields)
    for directory in directories[-1:]:
        if shell.disk.exists(shell.absolute(directory)) is None:
            shell.write(UNKNOWN)
            return None
        for path in sorted(shell.disk.children(shell.absolute(directory)) or []):
            if not re.fullmatch(
                r"[\w.-]+" if "--lsbsysinit" in call.fields else r"[\w-]+(\.sh)?", posixpath.basename(path), re.ASCII
            ):
                continue
            if named:
                shell.write(path + "\n")
            else:
                shell.dispatch(Call.of(path, *arguments))
    return True


def _service(shell: Shell, call: Call) -> Status:
    """``service name action`` where an init script of that name exists."""
    if len(call.fields) >= 3 and all(map(known, call.fields)):
        path = f"/etc/init.d/{call.fields[1]}"
        if shell.disk.find(path) is not None:
            return shell.execute(Call.of(path, *call.fields[2:]))
    return shell.execute(call)


def _chroot(shell: Shell, call: Call) -> Status:
    """``chroot directory program``: inside a file system that is known to be mounted there the program has a longer path."""
    at = 1
    while at < len(call.fields) and call.fields[at].startswith("-"):
        at += 1
    if at + 1 >= len(call.fields) or not known(call.fields[at] + call.fields[at + 1]):
        return True
    top, program = shell.absolute(call.fields[at]), call.fields[at + 1]
    if top == "/":
        return _rest(shell, call, at + 1)
    fs, inside = shell.disk.at(top)
    if fs is shell.disk.root or inside != "/" or fs.is_root or not program.startswith("/"):
        return True  # a root file system of its own is followed by itself
    return shell.execute(Call([top + program, *call.fields[at + 2 :]], [top + program, *call.rest(at + 2).shown]))


def _flock(shell: Shell, call: Call) -> Status:
    """``flock [options] file command`` and ``flock file -c "command"``; with a descriptor alone it only waits."""
    at = 1
    while at < len(call.fields) and call.fields[at].startswith("-"):
        at += 2 if call.fields[at] in ("-w", "--timeout", "-E") else 1
    rest = call.fields[at + 1 :]
    if rest[:1] in (["-c"], ["--command"]) and len(rest) > 1:
        return _as_child(shell, rest[1], []) if known(rest[1]) else None
    return _rest(shell, call, at + 1)


def _systemctl(shell: Shell, call: Call) -> Status:
    """``systemctl action name ...``."""
    words = [text for text in call.fields[1:] if not text.startswith("-")]
    action = "enable --now" if words[:1] == ["enable"] and "--now" in call.fields else (words or [""])[0]
    if shell.world.units is None or not all(map(known, words)):
        return None
    answer: Status = True
    for name in words[1:65] or [""]:
        answer = shell.world.units(action, name)
    return answer


def _works(shell: Shell, call: Call) -> Status:
    """A program that is presumed to work and is worth remembering: it runs scripts of its own."""
    shell.execute(call)
    return True


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("sh", "ash", "bash", "dash"), _sh),
    "busybox": _busybox,
    "su": _su,
    **dict.fromkeys(
        ("nohup", "setsid", "time", "nice", "ionice", "env", "cttyhack", "stdbuf", "dbus-run-session"), _wrapper("ncnpuUCP")
    ),
    **dict.fromkeys(("timeout", "taskset", "chrt", "softlimit", "unbuffer"), _counted(1)),
    "start-stop-daemon": _start_stop_daemon,
    **dict.fromkeys(("daemon", "start_daemon", "startproc"), _daemon),
    **dict.fromkeys(("tcpsvd", "udpsvd"), _socket_server),
    **dict.fromkeys(("ifup", "mdev"), _works),
    "flock": _flock,
    **dict.fromkeys(("chroot", "switch_root"), _chroot),
    "systemctl": _systemctl,
    "run-parts": _run_parts,
    "service": _service,
}
