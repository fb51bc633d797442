"""What cron starts where a cron daemon was started. Source: crontab(5) of Vixie cron and busybox, anacrontab(5)."""

from __future__ import annotations

import posixpath
import re

from fwcheck.device._graph import Boot, lines_of, run_under
from fwcheck.device.shell.world import Place, World

_CRONS = ("crond", "cron", "busybox-crond", "cronie", "fcron")
_TIMES = re.compile(r"(@\w+|(?:[\w*/,~-]+\s+){4}[\w*/,~-]+)\s+(.*)")
_TABLES = ("/etc/crontabs", "/var/spool/cron/crontabs", "/var/spool/cron", "/etc/cron/crontabs")
_FILE_LIMIT = 64


def follow(boot: Boot, world: World) -> None:
    """Runs the commands of the tables that a started cron daemon reads."""
    crond = next((run for run in world.runs if run.name in _CRONS), None)
    if crond is None:
        return
    named = [crond.words[at + 1] for at in range(1, len(crond.words) - 1) if crond.words[at] == "-c"]
    for directory in dict.fromkeys((*named, *_TABLES)):
        for path in _files(boot, directory):
            _table(boot, world, path, crond.conditions, user=posixpath.basename(path), column=False)
    for path in ("/etc/crontab", *_files(boot, "/etc/cron.d")):
        _table(boot, world, path, crond.conditions, user="", column=True)
    for number, line in lines_of(boot.disk, "/etc/anacrontab", 256):
        words = line.split(None, 3)
        if len(words) == 4 and re.fullmatch(r"\d+|@\w+", words[0]):
            run_under(world, Place(boot.root, "/etc/anacrontab", number), crond.conditions, words[3])


def _files(boot: Boot, directory: str) -> list[str]:
    found = boot.disk.children(directory) if boot.root.exists(directory) else None
    return sorted(path for path in found or [] if not posixpath.basename(path).startswith("."))[:_FILE_LIMIT]


def _table(boot: Boot, world: World, path: str, conditions: tuple[str, ...], *, user: str, column: bool) -> None:
    """One table; those of the system have the user as a column."""
    for number, line in lines_of(boot.disk, path, 512):
        found = _TIMES.fullmatch(line)
        if found is None:
            continue
        command, who = found.group(2), user
        if column:
            who, _, rest = command.partition(" ")
            command = rest if re.fullmatch(r"[a-z_][\w-]*", who) else command
            who = who if command == rest else ""
        run_under(world, Place(boot.root, path, number), conditions, command.partition("%")[0], "" if who == "root" else who)
