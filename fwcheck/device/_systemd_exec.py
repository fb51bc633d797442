"""What a service unit executes: command lines with specifiers and variables, the user, and how it is confined.

Source: systemd.service(5) (command lines), systemd.exec(5), systemd.unit(5) (specifiers).
"""

from __future__ import annotations

import posixpath
import re
import shlex

from fwcheck.device._disk import Disk
from fwcheck.device._graph import is_shell_script
from fwcheck.device._systemd_units import Unit
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Place, World

_COMMANDS_LIMIT = 64
_VARIABLES_LIMIT = 256
_WORDS_LIMIT = 512
_SHELLS = ("sh", "bash", "ash", "dash")
# how the service is confined: kept for whoever judges isolation
_KEPT = (
    "Group", "DynamicUser", "SupplementaryGroups", "CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges",
    "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateNetwork", "PrivateUsers", "ProtectKernelModules",
    "ProtectKernelTunables", "ProtectControlGroups", "RestrictAddressFamilies", "RestrictNamespaces", "SystemCallFilter",
    "MemoryDenyWriteExecute", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "IPAddressDeny", "IPAddressAllow",
    "RootDirectory", "RootImage", "AppArmorProfile", "SELinuxContext", "Restart", "Type", "BusName",
)  # fmt: skip
_SPECIFIER = re.compile(r"%([a-zA-Z%])")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)", re.ASCII)


def execute(root: FileSystem, world: World, unit: Unit, manner: str, under: tuple[str, ...]) -> None:
    """Runs what the unit executes, under conditions in words."""
    held = list(world.conditions)
    world.conditions.extend(text for text in under if text)
    world.conditions.extend(_asked(unit))
    try:
        for key in ("ExecStartPre", "ExecStart", "ExecStartPost"):
            for command, path, line in unit.values("Service", key)[:_COMMANDS_LIMIT]:
                _command(root, world, unit, command, Place(root, path, line), manner if key == "ExecStart" else "")
    finally:
        world.conditions[:] = held
        world.residuals.clear()


def _asked(unit: Unit) -> list[str]:
    """What programs are asked before the unit starts (systemd.service(5), ``ExecCondition=``): their answer is not known."""
    asked = [command.lstrip("-@:+!|") for command, _, _ in unit.values("Service", "ExecCondition")[:_COMMANDS_LIMIT]]
    return [f"{command} answers yes"[:160] for command in asked if posixpath.basename(command.split(" ", 1)[0]) != "true"]


def _command(root: FileSystem, world: World, unit: Unit, command: str, place: Place, manner: str) -> None:
    prefix = re.match(r"[-@:+!|]*", command)
    marks = prefix.group() if prefix else ""
    words = _split(_specified(unit, command[len(marks) :]))
    environment = _environment(world.disk, unit) if "$" in command else {}
    if ":" not in marks:
        words = [part for word in words for part in _put(word, environment)]
    if "@" in marks and len(words) > 1:
        del words[1]  # the name the program is told it was called by
    if not words:
        return
    shell = Shell(world, root, place.path, [])
    shell.line = place.line
    shell.variables |= environment
    shell.exported |= set(environment)
    user = "" if "+" in marks else _user(unit)
    shell.user = "" if user == "root" else user
    script = UNKNOWN not in words[0] and is_shell_script(world.disk, words[0])
    once = unit.value("Service", "Type") == "oneshot"
    if script or posixpath.basename(words[0]) in _SHELLS:
        shell.background = manner == "unit" and not once
        world.bounded(place.path, place, lambda: shell.process(lambda: shell.dispatch(Call.of(*words))))
        if script:
            return
    if manner and (posixpath.basename(words[0]) not in _SHELLS or "-c" not in words):
        shell.execute(Call.of(*words), manner="oneshot" if once else manner, user=user, detail=detail_of(unit, manner))


def detail_of(unit: Unit, manner: str) -> dict[str, str]:
    """How a service is confined and called, as its unit says."""
    found = {key: value[:240] for key in _KEPT if (value := unit.value("Service", key))}
    return found | {"unit": unit.name, "manner": manner}


def _user(unit: Unit) -> str:
    named = unit.value("Service", "User")
    if not named and unit.true("Service", "DynamicUser"):
        return unit.name.rpartition(".")[0].partition("@")[0]
    return _specified(unit, named)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)[:_WORDS_LIMIT]
    except ValueError:
        return text.split()[:_WORDS_LIMIT]


def _specified(unit: Unit, text: str) -> str:
    """``%i`` and its like put in; those that only the running device knows become unknown."""
    if "%" not in text:
        return text
    stem = unit.name.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    values = {
        "%": "%", "i": instance, "I": _unescaped(instance), "n": unit.name, "N": stem, "p": prefix, "P": _unescaped(prefix),
        "j": prefix.rpartition("-")[2], "f": "/" + _unescaped(instance or prefix), "t": "/run", "S": "/var/lib",
        "C": "/var/cache", "L": "/var/log", "E": "/etc", "u": "root", "U": "0", "g": "root", "G": "0", "h": "/root",
        "s": "/bin/sh", "T": "/tmp", "V": "/var/tmp",  # noqa: S108 -- paths in the image
    }  # fmt: skip
    return _SPECIFIER.sub(lambda found: values.get(found.group(1), UNKNOWN), text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found.group(1), 16)), text.replace("-", "/"))


def _environment(disk: Disk, unit: Unit) -> dict[str, str]:
    values: dict[str, str] = {}
    for value, _, _ in unit.values("Service", "Environment"):
        for part in _split(_specified(unit, value)):
            name, equals, held = part.partition("=")
            if equals:
                values[name] = held
    for value, _, _ in unit.values("Service", "EnvironmentFile"):
        text = disk.text(value.lstrip("-"))
        for line in (text or "")[: 1 << 16].splitlines()[:_VARIABLES_LIMIT]:
            name, equals, held = line.strip().partition("=")
            if equals and not name.startswith(("#", ";")):
                values[name.removeprefix("export ").strip()] = held.strip().strip("'\"")
    return dict(list(values.items())[:_VARIABLES_LIMIT])


def _put(word: str, values: dict[str, str]) -> list[str]:
    """``$NAME`` alone is split into words, ``${NAME}`` is not."""
    if "$" not in word:
        return [word]
    if found := re.fullmatch(r"\$(\w+)", word, re.ASCII):
        return _split(values.get(found.group(1), ""))
    text = _VARIABLE.sub(lambda found: values.get(found.group(1) or found.group(2), ""), word.replace("$$", "\ue000"))
    return [text.replace("\ue000", "$")] if text else []
