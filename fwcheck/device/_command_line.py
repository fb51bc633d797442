"""Kernel command lines of an image: which init they name, which target or runlevel, which console.

Sources, the most specific first: the stored environment of U-Boot (``bootargs``, ``setenv bootargs``), boot menus in files
(extlinux, syslinux, GRUB, systemd-boot, Raspberry Pi ``cmdline.txt``, ``uEnv.txt``), the default environment inside U-Boot,
``chosen/bootargs`` of device trees, Android boot images and unified kernel images, and what the kernel was built with
(``CONFIG_CMDLINE``). Meaning of the words: Linux Documentation/admin-guide/kernel-parameters.txt, kernel-command-line(7).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Location, NodeKind

_LINE_LIMIT = 4096
_LINES_LIMIT = 64
_DEPTH_LIMIT = 6
_WORD_LIMIT = 256
_MENUS = ("/boot", "/boot/extlinux", "/extlinux", "/boot/syslinux", "/syslinux", "/boot/grub", "/boot/grub2", "/grub",
          "/loader/entries", "/boot/loader/entries", "/isolinux", "/EFI/BOOT", "/")  # fmt: skip
_MENU_NAMES = re.compile(
    r"cmdline\.txt|(?:ext|sys|iso)linux\.cfg|extlinux\.conf|grub\.cfg|menu\.lst|(?:u|armbian|orangepi)?Env\.txt"
)
_BOOTS = re.compile(r"(?:^|\s)(?:root|console|init|rdinit|rootfstype|mtdparts|ubi\.mtd|nfsroot|earlycon|systemd\.\w+)=")
_SETENV = re.compile(r"\b(?:setenv|env set)\s+bootargs\s+(\"[^\"]*\"|'[^']*'|[^;]*)")
_REFERENCE = re.compile(r"\$\{(\w{1,64})\}|\$(\w{1,64})|\$\((\w{1,64})\)")
_CONFIG = re.compile(r'^CONFIG_CMDLINE="((?:[^"\\]|\\.){0,4096})"', re.MULTILINE)


class CommandLine(NamedTuple):
    """One command line: its words, where it stands, and what says it."""

    text: str
    source: str  # "boot loader environment", "device tree", ...
    location: Location
    fixed: bool = False  # nothing the loader says comes in its place (CONFIG_CMDLINE_FORCE)

    @property
    def words(self) -> list[str]:
        """The words, quotes taken off."""
        try:
            return shlex.split(self.text[:_LINE_LIMIT])[:_WORD_LIMIT]
        except ValueError:
            return self.text[:_LINE_LIMIT].split()[:_WORD_LIMIT]

    def values(self, name: str) -> list[str]:
        """The values given to an option, in order."""
        return [word[len(name) + 1 :] for word in self.words if word.startswith(name + "=")]

    def value(self, name: str) -> str:
        """The value that counts: the last one, "" without any."""
        held = self.values(name)
        return held[-1] if held else ""


@lru_cache(maxsize=1)
def command_lines(firmware: Firmware) -> tuple[CommandLine, ...]:
    """The command lines of the image, the one most likely in force first; the same words once."""
    found: dict[str, CommandLine] = {}
    for line in _all(firmware):
        text = " ".join(line.text.split())
        if text and text not in found and len(found) < _LINES_LIMIT:
            found[text] = line._replace(text=text)
    return tuple(sorted(found.values(), key=lambda line: not line.fixed))


def command_line(firmware: Firmware) -> CommandLine | None:
    """The command line most likely in force, None when the image holds none."""
    return next(iter(command_lines(firmware)), None)


@lru_cache(maxsize=1)
def environment(firmware: Firmware) -> Mapping[str, str] | None:
    """The variables of U-Boot that the image ships, None without an environment."""
    for node, facts in firmware.loose:
        if node.chain and node.chain[-1].startswith("uboot-env@") and facts.text:
            return _variables(facts.text)
    return None


def _variables(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.splitlines()[:2048] if "=" in line)


def named_inits(firmware: Firmware, initramfs: bool) -> list[str]:
    """The init programs that command lines name: ``rdinit=`` for an initial RAM file system, ``init=`` otherwise."""
    name = "rdinit" if initramfs else "init"
    return list(dict.fromkeys(value for line in command_lines(firmware) for value in line.values(name) if value[:1] == "/"))


def _all(firmware: Firmware) -> Iterator[CommandLine]:
    yield from _environments(firmware)
    for root in firmware.filesystems:
        yield from _menus(root)
    yield from _details(firmware, "default_bootargs", "default environment of the boot loader")
    yield from _details(firmware, "bootargs", "device tree", formats=("fdt", "fit"))
    yield from _details(firmware, "cmdline", "boot image")
    for line in _details(firmware, "bootconfig", "bootconfig of the boot image"):
        yield line._replace(text=_assignments(line.text))
    yield from _kernel_configurations(firmware)


def _environments(firmware: Firmware) -> Iterator[CommandLine]:
    for node, facts in firmware.loose:
        if node.chain and node.chain[-1].startswith("uboot-env@") and facts.text:
            for text in environment_lines(_variables(facts.text)):
                yield CommandLine(text, "boot loader environment", Location(chain=node.chain, path=node.path, offset=node.offset))
    yield from _details(firmware, "bootargs", "boot loader environment", formats=("uboot-env",))


def environment_lines(values: Mapping[str, str]) -> list[str]:
    """What U-Boot hands the kernel: what its scripts set, before what is stored; references to variables are resolved."""
    scripts = [
        _resolved(found.group(1).strip("\"'"), values) for text in values.values() for found in _SETENV.finditer(text[:8192])
    ]
    stored = _resolved(values.get("bootargs", ""), values)
    return [text for text in (*scripts, stored) if _BOOTS.search(text)][:8]


def _resolved(text: str, values: Mapping[str, str]) -> str:
    """Variables put in, ``bootargs`` included; what is not set is nothing, as in U-Boot."""
    for _ in range(_DEPTH_LIMIT):
        if "$" not in text:
            break
        text = _REFERENCE.sub(lambda found: values.get(found.group(1) or found.group(2) or found.group(3), "")[:2048], text)
        text = text[:_LINE_LIMIT]
    return text


def _details(firmware: Firmware, key: str, source: str, formats: tuple[str, ...] = ()) -> Iterator[CommandLine]:
    for node in firmware.nodes:
        held = node.detail.get(key) if node.detail and (not formats or node.format in formats) else None
        if isinstance(held, str) and held.strip() and (node.kind is NodeKind.CONTAINER or not formats):
            yield CommandLine(held, source, Location(chain=node.chain, path=node.path, offset=node.offset))


def _assignments(text: str) -> str:
    """``key = "value"`` of a boot configuration as words of a command line (Linux admin-guide/bootconfig.rst)."""
    rows = (row.partition("=") for row in text[: 2 * _LINE_LIMIT].split("; ") if not row.lstrip().startswith("#"))
    named = ((key.strip(), value.strip().strip('"')) for key, sign, value in rows if sign)
    return " ".join(f"{key}={value}" for key, value in named if " " not in key)


def _kernel_configurations(firmware: Firmware) -> Iterator[CommandLine]:
    for node, facts in firmware.loose:
        if facts.text and "CONFIG_CMDLINE=" in facts.text:
            yield from _configured(facts.text, Location(chain=node.chain, path=node.path, offset=node.offset))
    for root in firmware.filesystems:
        for node in root.children("/boot"):
            if node.path.startswith("/boot/config-") and (text := root.text(node.path)):
                yield from _configured(text, root.location(node.path))


def _configured(text: str, location: Location) -> Iterator[CommandLine]:
    found = _CONFIG.search(text)
    if found and found.group(1).strip():
        fixed = re.search(r"^CONFIG_(?:CMDLINE_FORCE|CMDLINE_OVERRIDE|MIPS_CMDLINE_BUILTIN_ONLY)=y", text, re.MULTILINE)
        yield CommandLine(found.group(1).replace('\\"', '"'), "kernel configuration", location, fixed is not None)


def _menus(root: FileSystem) -> Iterator[CommandLine]:
    """Boot menus in files of a boot partition or of /boot."""
    for directory in _MENUS:
        for node in root.children(directory)[:512] if root.exists(directory) or directory == "/" else []:
            name = node.path.rpartition("/")[2]
            wanted = _MENU_NAMES.fullmatch(name) or (directory.endswith("entries") and name.endswith(".conf"))
            if wanted and node.kind is NodeKind.FILE and node.size < 1 << 18:
                text = root.text(node.path)
                for number, line in menu_lines(name, text) if text else ():
                    yield CommandLine(line, "boot menu", root.location(node.path, line=number))


def menu_lines(name: str, text: str) -> list[tuple[int, str]]:
    """(line, command line) of a boot menu, the default entry first."""
    if name == "cmdline.txt":
        return [(1, text.strip().split("\n", 1)[0])] if _BOOTS.search(text[:_LINE_LIMIT]) else []
    label = default = ""
    environment: dict[str, str] = {}
    found: list[tuple[str, int, str]] = []
    for number, row in enumerate(text[: 1 << 18].splitlines(), 1):
        verb, _, rest = row.strip().replace("\t", " ").partition(" ")
        rest = rest.strip()
        if verb.lower() == "default" and not default:
            default = rest
        elif verb.lower() == "label":
            label = rest
        elif verb.lower() in ("append", "options"):
            found.append((label, number, rest))
        elif verb in ("linux", "linuxefi", "linux16", "kernel") and " " in rest:  # GRUB: the image comes first
            found.append((label, number, rest.partition(" ")[2]))
        elif name.endswith("Env.txt") and "=" in row and not row.startswith("#"):
            key, _, value = row.strip().partition("=")
            environment[key] = value
    lines = [(1, line) for line in environment_lines(environment)]
    lines += [(number, line) for label, number, line in sorted(found, key=lambda each: each[0] != default)]
    return [(number, line) for number, line in lines if _BOOTS.search(line[:_LINE_LIMIT])][:8]
