"""Finit: stanzas of /etc/finit.conf and /etc/finit.d. Source: Finit documentation (doc/config.md), finit.conf(5)."""

from __future__ import annotations

import posixpath
import re

from fwcheck.device._graph import Boot, InittabEntry, is_shell_script, lines_of
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.world import Call, Place, World

_STANZA = re.compile(r"(service|task|run|sysv|inetd|tty|runlevel|runparts|include|rcsd)\s+(.*)")
_OPTION = re.compile(
    r"\[([\dSs-]*)\]|<[^>]*>|(@[\w.:-]+)|:[\w%]+"
    r"|(?:name|pid|env|log|notify|type|cgroup[.\w]*|if|manual|kill|halt|pre|post|ready|conflict|oncrash|restart(?:_sec)?|caps|desc|respawn)"
    r"(?::\S*)?|nohup|nowarn|noclear|rescue|remain"
)
_LEVEL = "2"
_FILES_LIMIT = 128


def is_finit(boot: Boot) -> bool:
    """Whether init is Finit."""
    return posixpath.basename(boot.disk.real(boot.init)) == "finit" or (
        boot.root.exists("/etc/finit.conf") and boot.root.exists("/sbin/finit")
    )


def start(boot: Boot, world: World) -> None:
    """The stanzas of the bootstrap and of the runlevel."""
    rows: list[tuple[str, int, str, str]] = []
    for path in _files(boot):
        for number, line in lines_of(boot.disk, path):
            if found := _STANZA.fullmatch(line):
                rows.append((path, number, found.group(1), found.group(2)))
    level = next((rest.strip()[:1] for _, _, kind, rest in rows if kind == "runlevel"), _LEVEL)
    for path, number, kind, rest in rows:
        _stanza(boot, world, Place(boot.root, path, number), kind, rest, level)
    if boot.root.exists("/etc/rc.local"):
        shell = Shell(world, boot.root, "/etc/rc.local", [])
        shell.process(lambda: shell.execute(Call.of("/etc/rc.local")))


def _files(boot: Boot) -> list[str]:
    found = ["/etc/finit.conf"]
    for directory in ("/etc/finit.d", "/etc/finit.d/enabled", "/lib/finit/system", "/usr/lib/finit/system"):
        found += (
            sorted(path for path in boot.disk.children(directory) or [] if path.endswith(".conf"))
            if boot.root.exists(directory)
            else []
        )
    return found[:_FILES_LIMIT]


def _stanza(boot: Boot, world: World, place: Place, kind: str, rest: str, level: str) -> None:
    command = re.split(r"\s+--(?:\s|$)", rest, maxsplit=1)[0]
    words = command.split()
    if kind == "inetd" and len(words) > 1:  # inetd tcp/telnet nowait [2345] program arguments
        words = words[1:] if words[1] not in ("wait", "nowait") else words[2:]
    user, manual = "", False
    while words and (found := _OPTION.fullmatch(words[0])):
        levels = found.group(1)
        if levels is not None and kind != "tty" and not _in_level(levels, level):
            return
        user = found.group(2)[1:].split(":")[0] if found.group(2) else user
        manual = manual or words[0].startswith("manual:yes")
        words = words[1:]
    if not words or manual:
        return
    if kind == "tty":
        device = next((word for word in words if word.startswith(("/dev/", "@console"))), words[-1])
        boot.inittab = boot.inittab or place.path
        getty = next((word for word in words if "getty" in word or word.endswith("/sh")), "getty")
        boot.entries.append(InittabEntry(device.removeprefix("/dev/"), "", "respawn", f"{getty} {device}", place.line))
        return
    if kind in ("include", "runlevel", "rcsd"):
        return
    shell = Shell(world, boot.root, place.path, [])
    shell.line, shell.user = place.line, "" if user == "root" else user
    if kind == "runparts":
        shell.process(lambda: shell.dispatch(Call.of("run-parts", *words)))
    elif kind == "sysv":
        shell.process(lambda: shell.execute(Call.of(words[0], "start")))
    elif is_shell_script(boot.disk, words[0]):
        shell.background = kind == "service"
        shell.process(lambda: shell.execute(Call.of(*words)))
    else:
        shell.execute(
            Call.of(*words),
            manner={"service": "finit", "inetd": f"inetd {rest.split(maxsplit=1)[0]}"}.get(kind, "oneshot"),
            user=user,
        )


def _in_level(levels: str, level: str) -> bool:
    found = re.sub(r"(\d)-(\d)", lambda each: "".join(map(str, range(int(each[1]), int(each[2]) + 1))), levels)
    return level in found or "S" in found.upper()
