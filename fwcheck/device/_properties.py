"""Android's properties: what build.prop and its brothers say, and what stays for the device to say.

Source: AOSP system/core/init/property_service.cpp (files in order of loading), system/core/init/README.md.
"""

from __future__ import annotations

import re

from fwcheck.device._command_line import CommandLine
from fwcheck.device._disk import Disk
from fwcheck.device.shell.tree import UNKNOWN

_FILES = (
    "/default.prop", "/prop.default", "/system/etc/prop.default", "/system/default.prop", "/build.prop", "/system/build.prop",
    "/system_ext/etc/build.prop", "/system_ext/build.prop", "/vendor/default.prop", "/vendor/build.prop",
    "/vendor/etc/build.prop", "/odm/default.prop", "/odm/build.prop", "/odm/etc/build.prop", "/product/build.prop",
    "/product/etc/build.prop", "/data/local.prop",
)  # fmt: skip
_DEVICE = re.compile(
    r"(ro\.boot\.|ro\.(serialno|hardware|bootmode|baseband|bootloader|revision|crypto\.|persistent_properties)|vold\.)"
)
_EXPANSION = re.compile(r"\$\{([\w.@-]{1,128})(?::-([^}]{0,128}))?\}")


class Properties:
    """The properties as far as they are known."""

    def __init__(self, disk: Disk, line: CommandLine | None) -> None:
        self.values: dict[str, str] = {}
        self.files: dict[str, tuple[str, int]] = {}
        for word in line.words if line is not None else []:
            name, equals, value = word.partition("=")
            if equals and name.startswith("androidboot."):
                self.values[f"ro.boot.{name.removeprefix('androidboot.')}"] = value
        for name in ("hardware", "serialno", "mode", "baseband"):
            if held := self.values.get(f"ro.boot.{name}"):
                self.values.setdefault("ro.bootmode" if name == "mode" else f"ro.{name}", held)
        for path in _FILES:
            text = disk.text(path) if disk.find(path) is not None else None
            for number, row in enumerate((text or "")[: 1 << 19].splitlines()[:4096], 1):
                name, equals, value = row.strip().partition("=")
                if equals and not name.startswith("#"):
                    if name.startswith("ro.") and name in self.values:  # written once
                        continue
                    self.values[name.strip()] = value.strip()
                    self.files[name.strip()] = (path, number)

    def get(self, name: str) -> str | None:
        """The value; "" when it is not set, None when only the device knows."""
        held = self.values.get(name)
        if held is not None:
            return None if UNKNOWN in held else held
        if name == "ro.debuggable":  # every build that is made to be sold sets it, most to 0
            return None if not self.values else ""
        if _DEVICE.match(name) or name.startswith(("sys.", "dev.", "init.svc.", "persist.")):
            return None
        return None if not self.values else ""

    def expand(self, text: str) -> str:
        """``${name}`` and ``${name:-default}`` put in; unknown where it is not known."""

        def put(found: re.Match[str]) -> str:
            held = self.get(found.group(1))
            if held is None and found.group(2) is not None and found.group(1) not in self.values:
                return UNKNOWN
            return UNKNOWN if held is None else held or found.group(2) or ""

        return _EXPANSION.sub(put, text) if "${" in text else text

    def holds(self, condition: str) -> bool | None:
        """``name=value`` or ``name=*`` of a trigger or condition."""
        name, _, wanted = condition.partition("=")
        held = self.get(name)
        wanted = self.expand(wanted)
        if held is None or UNKNOWN in wanted:
            return None
        return held != "" if wanted == "*" else held == wanted
