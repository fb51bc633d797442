"""Super servers: what inetd and xinetd start when somebody connects. Source: inetd.conf(5), xinetd.conf(5)."""

from __future__ import annotations

import posixpath
import re

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Run, World

_ATTRIBUTE = re.compile(r"\s*(\w+)\s*[-+]?=\s*(.*?)\s*$")


def follow(root: FileSystem, world: World) -> None:
    """Records what the super servers among the started programs offer."""
    for run in list(world.runs):
        if run.name == "inetd":
            paths = [word for word in run.words[1:] if word.startswith("/")] or ["/etc/inetd.conf"]
            for path in paths:
                _inetd(root, world, run, path)
        elif run.name == "xinetd":
            _xinetd(root, world, run)


def _record(root: FileSystem, world: World, run: Run, path: str, line: int, words: list[str], user: str, manner: str) -> None:
    shell = Shell(world, root, path, [])
    shell.line = line
    world.conditions.extend(run.conditions)
    try:
        shell.execute(Call.of(*words), manner=manner, user=user)
    finally:
        world.conditions.clear()


def _inetd(root: FileSystem, world: World, run: Run, path: str) -> None:
    text = world.disk.text(path)
    if text is None or UNKNOWN in text:
        world.hole(run.place, f"inetd reads {path}, which is not in the image")
        return
    for number, line in enumerate(text.splitlines()[:512], 1):
        fields = line.split()
        if len(fields) < 6 or fields[0].startswith("#") or fields[5] == "internal":
            continue
        words = [fields[5], *fields[7:]]
        if posixpath.basename(fields[5]) == "tcpd" and len(fields) > 6:
            words = fields[6:]
        elif posixpath.basename(fields[5]) == "busybox" and len(fields) > 6:
            words = [posixpath.basename(fields[6]), *fields[7:]]
        _record(root, world, run, path, number, words, fields[4].split(".")[0], f"inetd {fields[0]}/{fields[2]}")


def _xinetd(root: FileSystem, world: World, run: Run) -> None:
    paths = ["/etc/xinetd.conf", *sorted(world.disk.children("/etc/xinetd.d") or [])]
    for path in paths[:128]:
        name, line = "", 0
        attributes: dict[str, str] = {}
        for number, text in enumerate((world.disk.text(path) or "").splitlines()[:2048], 1):
            if found := re.match(r"\s*service\s+(\S+)", text):
                name, line, attributes = found.group(1), number, {}
            elif name and (found := _ATTRIBUTE.match(text)) and not text.lstrip().startswith("#"):
                attributes[found.group(1)] = found.group(2)
            elif name and text.strip() == "}":
                if attributes.get("disable", "no") != "yes" and attributes.get("server"):
                    words = [attributes["server"], *attributes.get("server_args", "").split()]
                    port = attributes.get("port", name)
                    manner = f"xinetd {port}/{attributes.get('protocol', 'tcp')}"
                    _record(root, world, run, path, line, words, attributes.get("user", ""), manner)
                name = ""
