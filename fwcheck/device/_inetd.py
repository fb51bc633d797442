"""Super servers: what inetd and xinetd start when somebody connects. Source: inetd.conf(5), xinetd.conf(5), busybox inetd."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from fwcheck.device._graph import lines_of
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Run, World

_ATTRIBUTE = re.compile(r"(\w+)\s*([-+]?)=\s*(.*?)\s*$")
_INETDS = ("inetd", "inetutils-inetd", "openbsd-inetd", "rlinetd")
_FILES_LIMIT = 128
_DEPTH_LIMIT = 4


@dataclass(slots=True)
class _Section:
    """One ``service`` of xinetd, or its defaults."""

    name: str
    path: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)


def follow(root: FileSystem, world: World) -> None:
    """Records what the super servers among the started programs offer."""
    for run in list(world.runs):
        if run.name in _INETDS:
            paths = [word for word in run.words[1:] if word.startswith("/")] or ["/etc/inetd.conf"]
            for path in paths:
                _inetd(root, world, run, path)
        elif run.name == "xinetd":
            _xinetd(root, world, run)


def _record(
    root: FileSystem,
    world: World,
    run: Run,
    path: str,
    line: int,
    words: list[str],
    user: str,
    manner: str,
    detail: dict[str, str],
) -> None:
    shell = Shell(world, root, path, [])
    shell.line = line
    held = list(world.conditions)
    world.conditions.extend(run.conditions)
    try:
        shell.execute(Call.of(*words), manner=manner, user=user, detail=detail)
    finally:
        world.conditions[:] = held


def _inetd(root: FileSystem, world: World, run: Run, path: str) -> None:
    text = world.disk.text(path)
    if text is None or UNKNOWN in text:
        world.hole(run.place, f"inetd reads {path}, which is not in the image")
        return
    address = ""
    for number, line in enumerate(text[: 1 << 20].splitlines()[:512], 1):
        fields = line.split()
        if len(fields) == 1 and re.fullmatch(r"[\w.:*\[\]-]+:", fields[0]):  # an address for all lines below
            address = fields[0][:-1].strip("[]")
            continue
        if len(fields) < 6 or fields[0].startswith("#") or fields[5] == "internal":
            continue
        words = [fields[5], *fields[7:]]
        if posixpath.basename(fields[5]) == "tcpd" and len(fields) > 6:
            words = fields[6:]
        elif posixpath.basename(fields[5]) == "busybox" and len(fields) > 6:
            words = [posixpath.basename(fields[6]), *fields[7:]]
        host, _, service = fields[0].rpartition(":")
        bound = host or address
        detail = {"address": bound} if bound and bound != "*" else {}
        user = re.split(r"[.:/]", fields[4], maxsplit=1)[0]
        _record(root, world, run, path, number, words, user, f"inetd {service}/{fields[2]}", detail)


def _xinetd(root: FileSystem, world: World, run: Run) -> None:
    named = next((run.words[at + 1] for at in range(1, len(run.words) - 1) if run.words[at] == "-f"), "/etc/xinetd.conf")
    sections: list[_Section] = []
    _read(root, world, named, sections, set(), 0)
    if not any(section.path.startswith("/etc/xinetd.d/") for section in sections) and world.disk.find(named) is None:
        for path in sorted(world.disk.children("/etc/xinetd.d") or [])[:_FILES_LIMIT]:
            _read(root, world, path, sections, set(), _DEPTH_LIMIT)
    defaults = next((section.attributes for section in sections if section.name == ""), {})
    disabled, enabled = defaults.get("disabled", "").split(), defaults.get("enabled", "").split()
    for section in sections:
        values = section.attributes
        name = values.get("id", section.name)
        off = (
            values.get("disable", "no").lower() in ("yes", "true") or name in disabled or (bool(enabled) and name not in enabled)
        )
        if not section.name or off or not values.get("server"):
            continue
        words = [values["server"], *values.get("server_args", "").split()]
        if "NAMEINARGS" in values.get("flags", "").split() and len(words) > 1:
            words = words[1:] if posixpath.basename(words[0]) == "tcpd" else [words[0], *words[2:]]
        manner = f"xinetd {values.get('port', section.name)}/{values.get('protocol', 'tcp')}"
        detail = {"address": bound} if (bound := values.get("bind", values.get("interface", ""))) else {}
        detail |= {key: values[key] for key in ("only_from", "no_access", "group") if values.get(key)}
        _record(root, world, run, section.path, section.line, words, values.get("user", ""), manner, detail)


def _read(root: FileSystem, world: World, path: str, sections: list[_Section], seen: set[str], depth: int) -> None:
    """Reads one file and those it includes."""
    if path in seen or len(seen) >= _FILES_LIMIT:
        return
    seen.add(path)
    current: _Section | None = None
    for number, line in lines_of(world.disk, path):
        words = line.split()
        if words[0] == "includedir" and len(words) > 1 and depth < _DEPTH_LIMIT:
            for each in sorted(world.disk.children(words[1]) or []):
                if "." not in posixpath.basename(each) and not each.endswith("~"):
                    _read(root, world, each, sections, seen, depth + 1)
        elif words[0] == "include" and len(words) > 1 and depth < _DEPTH_LIMIT:
            _read(root, world, words[1], sections, seen, depth + 1)
        elif words[0] in ("service", "defaults"):
            current = _Section(words[1] if words[0] == "service" and len(words) > 1 else "", path, number)
        elif current is not None and words[0] == "}":
            sections.append(current)
            current = None
        elif current is not None and (found := _ATTRIBUTE.match(line)):
            key, sign, value = found.groups()
            held = current.attributes.get(key, "")
            current.attributes[key] = f"{held} {value}".strip() if sign == "+" else value
