"""Presets: what systemd enables by itself when the image boots for the first time. Source: systemd.preset(5), machine-id(5)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from fwcheck.device._graph import Boot, lines_of
from fwcheck.device._systemd_conditions import first_boot
from fwcheck.device._systemd_units import load, names
from fwcheck.device.shell.patterns import fits

_DIRECTORIES = (
    "/etc/systemd/system-preset",
    "/run/systemd/system-preset",
    "/usr/local/lib/systemd/system-preset",
    "/usr/lib/systemd/system-preset",
    "/lib/systemd/system-preset",
)
_RULES_LIMIT = 512
_READ_ONLY = ("squashfs", "erofs", "cramfs", "romfs", "cpio", "iso9660")


def follow(boot: Boot, seen: set[str], enable: Callable[[list[str], str], None]) -> None:
    """Enables what the presets say, where the first boot is still to come; sure only where /etc can be written by then."""
    machine = boot.disk.text("/etc/machine-id")
    if machine is not None and machine.strip() not in ("", "uninitialized"):
        return
    rules = _rules(boot)
    if not rules:
        return
    sure = first_boot(boot.disk) and boot.root.format not in _READ_ONLY
    sure = sure and boot.command_line is not None and "rw" in boot.command_line.words
    condition = "" if sure else "systemd applies its presets on the first boot"
    for name in names(boot.disk):
        if name in seen or "@." in name:
            continue
        verdict = next((verb for verb, pattern in rules if fits(name, pattern)), "enable")
        unit = load(boot.disk, name) if verdict == "enable" else None
        if unit is not None and unit.installs:
            wanted = [
                word
                for key in ("WantedBy", "RequiredBy")
                for value, _, _ in unit.values("Install", key)
                for word in value.split()
            ]
            if any(target in seen for target in wanted):
                enable([name], condition)


def _rules(boot: Boot) -> list[tuple[str, str]]:
    """The rules in force: files sorted by name, one in /etc in the place of one of the same name in /usr."""
    files: dict[str, str] = {}
    for directory in _DIRECTORIES:
        for path in boot.disk.children(directory) or [] if boot.root.exists(directory) else []:
            if path.endswith(".preset"):
                files.setdefault(posixpath.basename(path), path)
    rules = []
    for _, path in sorted(files.items())[:64]:
        for _, line in lines_of(boot.disk, path, _RULES_LIMIT):
            words = line.split()
            if len(words) >= 2 and words[0] in ("enable", "disable"):
                rules.append((words[0], words[1]))
    return rules[:_RULES_LIMIT]
