"""What the links of the boot chain are judged by, read once: loaders' settings, keys and texts, the kernel's configuration."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from fwcheck.device._command_line import CommandLine, command_lines
from fwcheck.device.booting.files import BootFile, boot_files
from fwcheck.device.booting.script import Read, Start, Walk, walk, walk_script
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Evidence, Facts, ImageSignature, Location, Node, NodeKind, PatternHit

_CONFIG_LIMIT = 2 << 20
_OPTION = re.compile(r"^(?:CONFIG_(\w{1,80})=(.{0,200})|# CONFIG_(\w{1,80}) is not set)$", re.MULTILINE)
_VARIABLES = 4096
EARLY = ("U-Boot SPL", "U-Boot TPL", "U-Boot-SPL")  # how the banners of U-Boot's first stages begin
_LOADER_TEXTS = frozenset({"boot-fit-signature", "boot-image-checks", "boot-avb", "boot-rom-authentication"})


class Environment(NamedTuple):
    """The variables of U-Boot: stored in the flash, or built into its code."""

    values: Mapping[str, str]
    node: Node
    stored: bool

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return "stored environment" if self.stored else "built-in environment"

    def evidence(self, name: str) -> Evidence:
        """The line of a variable."""
        text = f"{name}={self.values.get(name, '')}"[:240]
        line = next((number for number, each in enumerate(self.values, 1) if each == name), None)
        return Evidence(location=Location(chain=self.node.chain, path=self.node.path, line=line), text=" ".join(text.split()))


class KernelConfiguration(NamedTuple):
    """What a kernel was built with; an option that is not listed is "" (not built in, or of another version)."""

    options: Mapping[str, str]
    node: Node
    lines: Mapping[str, int]

    def on(self, name: str) -> bool:
        """Whether ``CONFIG_name=y``."""
        return self.options.get(name) == "y"

    def off(self, name: str) -> bool:
        """Whether the configuration says that the option is not set."""
        return self.options.get(name) == "n"

    def evidence(self, *names: str) -> Evidence:
        """The lines of options."""
        words = [f"CONFIG_{name}={self.options[name]}" if not self.off(name) else f"CONFIG_{name} is not set" for name in names]
        line = self.lines.get(names[0]) if names else None
        return Evidence(location=Location(chain=self.node.chain, path=self.node.path, line=line), text=", ".join(words)[:240])


class RequiredKey(NamedTuple):
    """A key that a boot loader's own device tree demands."""

    fingerprint: str
    scope: str  # "conf" or "image"
    any: bool  # one of several is enough
    tree: Node


class Context:
    """An image on the way through its boot."""

    def __init__(self, firmware: Firmware, signatures: Sequence[ImageSignature] = ()) -> None:
        self.firmware = firmware
        self._signatures: dict[tuple[tuple[str, ...], str], list[ImageSignature]] = defaultdict(list)
        for each in signatures:
            if each.evidence:
                where = each.evidence[0].location
                self._signatures[where.chain, where.path].append(each)

    def signatures(self, node: Node) -> list[ImageSignature]:
        """The signatures that a container carries, judged."""
        return self._signatures.get((node.chain, node.path), [])

    @cached_property
    def containers(self) -> tuple[Node, ...]:
        """All containers, in image order."""
        return tuple(node for node in self.firmware.nodes if node.kind is NodeKind.CONTAINER and node.format)

    @cached_property
    def formats(self) -> Mapping[str, tuple[Node, ...]]:
        """The containers by format."""
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.containers:
            found[node.format or ""].append(node)
        return {name: tuple(held) for name, held in found.items()}

    # ------------------------------------------------------------------ U-Boot

    @cached_property
    def environments(self) -> tuple[Environment, ...]:
        """The environments of the image, the one in force first: of redundant ones the one with the higher flag."""
        found: list[tuple[int, Environment]] = []
        for node, facts in self.firmware.loose:
            if not node.chain or not facts.text:
                continue
            if node.path == "environment" and node.chain[-1].startswith("uboot-env@"):
                flag = self._flag(node)
                found.append((-1 - flag, Environment(_variables(facts.text), node, True)))
            elif node.path == "default-environment" and node.chain[-1].startswith("uboot@"):
                early = not any(each.chain == node.chain for each in self.uboots)
                found.append((2 if early else 1, Environment(_variables(facts.text), node, False)))
        return tuple(each for _, each in sorted(found, key=lambda pair: pair[0]))

    def _flag(self, node: Node) -> int:
        held = next((each.detail.get("flag", 0) for each in self.formats.get("uboot-env", ()) if each.chain == node.chain), 0)
        return held if isinstance(held, int) else 0

    @property
    def environment(self) -> Environment | None:
        """The environment in force, as far as the image tells: a stored one before a built-in one."""
        return self.environments[0] if self.environments else None

    @cached_property
    def walk(self) -> Walk | None:
        """What the boot commands in force do; None without any."""
        environment = self.environment
        held = environment is not None and environment.values.get("bootcmd")
        return walk(environment.values, files=self.files) if environment is not None and held else None

    @cached_property
    def files(self) -> tuple[BootFile, ...]:
        """Boot scripts, menus and settings of the image."""
        return boot_files(self.firmware)

    @cached_property
    def script_walks(self) -> tuple[tuple[BootFile, Walk], ...]:
        """What boot scripts do that no command of the environment in force runs."""
        taken = [each.file for each in self.walk.files] if self.walk is not None else []
        values = self.environment.values if self.environment is not None else {}
        alone = [each for each in self.files if each.kind == "script" and each not in taken]
        return tuple((each, walk_script(each, values, self.files)) for each in alone[:4])

    def place(self, start: Start | Read) -> Evidence:
        """Where a command of the boot stands: the line of a script, else the variable."""
        script = start.by if isinstance(start, Read) else start.file if start.at else None
        if script is not None:
            return script.evidence(start.at)
        environment = self.environment
        return environment.evidence(start.variable) if environment is not None else Evidence(location=Location())

    @cached_property
    def uboots(self) -> tuple[Node, ...]:
        """U-Boot proper: not the SPL or TPL that loads it, which the same format finds."""
        return tuple(node for node in self.formats.get("uboot", ()) if not str(node.detail.get("version", "")).startswith(EARLY))

    @cached_property
    def required_keys(self) -> tuple[RequiredKey, ...]:
        """The keys that device trees demand of FIT images."""
        return tuple(
            RequiredKey(each, scope, node.detail.get("required_mode") == "any", node)
            for node in self.formats.get("fdt", ())
            for scope in ("conf", "image")
            for each in str(node.detail.get(f"required_{scope}_keys", "")).split()
        )

    @cached_property
    def loader_texts(self) -> Mapping[str, tuple[Node, PatternHit]]:
        """The checks that texts of loaders' code tell of: rule to one place."""
        found: dict[str, tuple[Node, PatternHit]] = {}
        for node, facts in self.firmware.loose:
            for hit in facts.yara:
                if hit.rule in _LOADER_TEXTS and not any(each.component == "linux_kernel" for each in facts.banners):
                    found.setdefault(hit.rule, (node, hit))
        return found

    # ------------------------------------------------------------------ kernel

    @cached_property
    def configurations(self) -> tuple[KernelConfiguration, ...]:
        """The kernel configurations of the image: those inside kernels first."""
        return tuple(self._configurations())

    @property
    def configuration(self) -> KernelConfiguration | None:
        """The configuration of the kernel; None when the image holds none, or several that may each be in force."""
        return self.configurations[0] if len({tuple(each.options.items()) for each in self.configurations}) == 1 else None

    def _configurations(self) -> Iterator[KernelConfiguration]:
        for node, facts in self.firmware.contents():
            inside = bool(node.chain) and node.chain[-1].startswith("ikconfig@")
            if not (inside or node.path.startswith("/boot/config-")) or facts.text is None or facts.size > _CONFIG_LIMIT:
                continue
            options: dict[str, str] = {}
            lines: dict[str, int] = {}
            for number, line in enumerate(facts.text.splitlines(), 1):
                if found := _OPTION.match(line):
                    name = found.group(1) or found.group(3)
                    options[name] = found.group(2) if found.group(1) else "n"
                    lines[name] = number
            if options:
                yield KernelConfiguration(options, node, lines)

    @cached_property
    def command_lines(self) -> tuple[CommandLine, ...]:
        """The kernel command lines of the image, the most likely first."""
        return command_lines(self.firmware)

    # ------------------------------------------------------------------ files

    @cached_property
    def roots(self) -> tuple[FileSystem, ...]:
        """The root file systems."""
        return tuple(fs for fs in self.firmware.filesystems if fs.is_root)

    def facts(self, node: Node) -> Facts | None:
        """The facts of a node."""
        return self.firmware.facts_of(node)


def _variables(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.splitlines()[:_VARIABLES] if "=" in line)


def here(node: Node, text: str = "", offset: int | None = None) -> Evidence:
    """Evidence at a node."""
    where = Location(chain=node.chain, path=node.path, offset=node.offset if offset is None else offset)
    return Evidence(location=where, text=" ".join(text.split())[:240])
