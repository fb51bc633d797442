"""U-Boot's boot commands followed: what ``bootcmd`` starts, where it was loaded from, under which condition.

U-Boot's hush is close to the POSIX shell, so its grammar reads the scripts; ``$(name)`` is an older way to write ``${name}``.
Nothing is executed: loads, environment and tests are modelled as far as their words are constant. Sources: doc/usage/cmd of
U-Boot, cmd/test.c, cmd/nvedit.c, env/common.c (``env_get_yesno``), include/config_distro_bootcmd.h.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from fwcheck.device.booting.vocabulary import FAMILIES, KNOWN, LOADS, NETWORK, SETTERS, STARTS
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import AndOr, Command, For, Group, If, Loop, Parameter, Pipeline, Sequence, Simple, Word
from fwcheck.device.shell.tree import Literal as Text

Origin = Literal["flash", "mmc", "disk", "network", "usb", "serial", "memory", "several"]
Outcome = Literal["yes", "no", "medium", "open"]  # medium: a load may fail; open: only the running device knows

_COMMANDS = 2000
_DEPTH = 12
_SCRIPT = 16 << 10  # characters of one variable that are followed
_SCRIPTS = 256 << 10  # characters of all variables that are parsed
_VALUE = 2048
_TURNS = 16
_STARTS = 64
_OPEN = "\x01"  # stands for a value that only the running device knows
_OLD = re.compile(r"\$\((\w{1,64})\)")
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9a-fA-F]{5,16}")
_CHECKS = frozenset({"hab_auth_img", "auth_cntr", "esbc_validate", "avb", "image_authenticate", "aml_verify", "secure_load"})


class Start(NamedTuple):
    """A command that starts software: its words, the variable it stands in, and where what it starts was loaded from."""

    command: str  # "bootm"
    line: str
    variable: str
    origin: Origin
    load: str  # the command that loaded it, "" when it lies where it is
    sure: bool  # nothing but a failing load keeps the loader from coming here
    verify: str  # the value of the variable ``verify`` then


class Walk(NamedTuple):
    """What the boot commands do. ``complete``: every command is known and no limit was met."""

    starts: tuple[Start, ...]
    checks: tuple[str, ...]  # commands that verify something before it is started
    unknown: tuple[str, ...]  # commands that no U-Boot of the project's own has
    complete: bool

    @property
    def foreign(self) -> Start | None:
        """The start from a network or a stick that comes before any from the device's own storage; None without one."""
        for start in self.starts:
            if start.origin in ("network", "usb") and start.sure:
                return start
            if start.origin not in ("network", "usb", "serial"):
                return None
        return None


def walk(environment: Mapping[str, str], first: str = "bootcmd") -> Walk:
    """Follows ``preboot`` and ``bootcmd``; never raises, bounded for any text."""
    walker = _Walker(environment)
    for name in ("preboot", first):
        walker.variable(name, [])
    return Walk(
        tuple(walker.starts), tuple(dict.fromkeys(walker.checks)), tuple(dict.fromkeys(walker.unknown))[:16], walker.complete
    )


def is_off(value: str) -> bool:
    """Whether a value of ``verify`` switches checks off, in every U-Boot since 2011."""
    return value[:1] in ("n", "N", "0", "f", "F") or value.lower() == "off"


class _Walker:
    """A boot loader at its commands."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.values = dict(environment)
        self.starts: list[Start] = []
        self.checks: list[str] = []
        self.unknown: list[str] = []
        self.complete = True
        self.memory: dict[str, tuple[Origin, str]] = {}
        self.last: tuple[Origin, str] = ("memory", "")
        self.guards: list[Outcome] = []
        self.stack: list[str] = []
        self.commands = 0
        self.parsed = 0

    # ------------------------------------------------------------------ scripts

    def variable(self, name: str, words: list[str]) -> Outcome:
        """``run name``."""
        text = self.values.get(name, "")
        if not text.strip():
            return "no"
        if name in self.stack or len(self.stack) >= _DEPTH or self.parsed > _SCRIPTS or _OPEN in text:
            self.complete = False
            return "open"
        self.parsed += len(text)
        script = parse(_OLD.sub(r"${\1}", text[:_SCRIPT]))
        self.complete &= not script.error and len(text) <= _SCRIPT
        self.stack.append(name)
        try:
            return self.sequence(script.body)
        finally:
            self.stack.pop()

    def sequence(self, body: Sequence) -> Outcome:
        outcome: Outcome = "yes"
        for item in body.items:
            outcome = self.and_or(item)
        return outcome

    def and_or(self, item: AndOr) -> Outcome:
        outcome: Outcome = "yes"
        for operator, pipeline in item.parts:
            if (operator == "&&" and outcome == "no") or (operator == "||" and outcome == "yes"):
                continue
            self.guards.append(outcome if operator in ("&&", "||") else "yes")
            try:
                outcome = self.pipeline(pipeline)
            finally:
                self.guards.pop()
        return outcome

    def pipeline(self, pipeline: Pipeline) -> Outcome:
        outcome: Outcome = "yes"
        for command in pipeline.commands:
            outcome = self.command(command)
        if pipeline.negated and outcome in ("yes", "no"):
            return "no" if outcome == "yes" else "yes"
        return outcome

    def command(self, command: Command) -> Outcome:
        self.commands += 1
        if self.commands > _COMMANDS:
            self.complete = False
            return "open"
        match command:
            case Simple():
                return self.simple(command)
            case If():
                return self.branches(command)
            case For():
                return self.turns(command)
            case Loop():
                self.guards.append(self.sequence(command.condition))
                try:
                    return self.sequence(command.body)
                finally:
                    self.guards.pop()
            case Group():
                return self.sequence(command.body)
            case _:
                self.complete = False
                return "open"

    def branches(self, command: If) -> Outcome:
        for condition, body, _ in command.branches:
            outcome = self.sequence(condition)
            if outcome == "no":
                continue
            self.guards.append(outcome)
            try:
                result = self.sequence(body)
            finally:
                self.guards.pop()
            if outcome == "yes":
                return result
        return self.sequence(command.otherwise) if command.otherwise is not None else "yes"

    def turns(self, command: For) -> Outcome:
        words = [each for word in command.words or [] for each in self.expand(word)]
        outcome: Outcome = "yes"
        for value in words[:_TURNS]:
            self.values[command.name] = value
            outcome = self.sequence(command.body)
        self.complete &= len(words) <= _TURNS
        return outcome

    # ------------------------------------------------------------------ words

    def expand(self, word: Word) -> list[str]:
        """The words that one word becomes: what an unquoted variable holds is split at blanks."""
        text, split = "", False
        for part in word.parts:
            match part:
                case Text():
                    text += part.text
                case Parameter(op=""):
                    value = self.values.get(part.name, "")
                    text += value[:_VALUE]
                    split = split or not part.quoted
                case _:
                    text += _OPEN
        text = text[:_VALUE]
        return text.split() if split else [text]

    def simple(self, command: Simple) -> Outcome:
        words = [each for word in command.words for each in self.expand(word)][:64]
        for name, word in command.assignments:  # shell variables share the names of the environment
            self.values[name] = " ".join(self.expand(word))[:_VALUE]
        if not words:
            return "yes"
        return self.run(words)

    # ------------------------------------------------------------------ commands

    def run(self, words: list[str]) -> Outcome:
        name = words[0].partition(".")[0]
        if _OPEN in name:
            self.complete = False
            return "open"
        if name in ("env", "gpt") and len(words) > 1 and words[1] in ("set", "run", "import", "default", "exists"):
            return self.environment(words)
        if name in ("run", "boot", "bootd"):
            outcome: Outcome = "yes"
            for each in words[1:] or ["bootcmd"]:
                outcome = self.variable(each, words)
            return outcome
        if name == "setenv":
            return self.set(words[1:])
        if name in ("test", "[", "itest", "true", "false"):
            return _tested(words)
        if name in SETTERS:
            for each in words[1:]:
                if each.isidentifier():
                    self.values[each] = _OPEN
            return "medium"
        if name in _CHECKS:
            self.checks.append(" ".join(words)[:160].replace(_OPEN, "?"))
            return "open"
        if name in STARTS:
            return self.start(name, words)
        if name in LOADS or name in NETWORK or name in FAMILIES:
            return self.load(name, words)
        if name not in KNOWN:
            self.complete = False
            self.unknown.append(name[:32])
            return "open"
        return "yes" if name in ("echo", "sleep", "saveenv") else "medium"

    def environment(self, words: list[str]) -> Outcome:
        verb, rest = words[1], words[2:]
        if verb == "set":
            return self.set([each for each in rest if each != "-f"])
        if verb == "run":
            for each in rest:
                self.variable(each, words)
        if verb == "exists":
            return "yes" if rest and rest[0] in self.values else "no"
        if verb == "import":
            self.complete = False  # settings from a file that is not followed
            return "medium"
        return "yes"

    def set(self, words: list[str]) -> Outcome:
        if words:
            self.values[words[0]] = " ".join(words[1:])[:_VALUE]
        return "yes"

    def start(self, name: str, words: list[str]) -> Outcome:
        origin, load = self.loaded(words)
        if name in ("bootflow", "bootmenu", "bootp_boot"):
            origin, load = "several", ""
        if name in ("pxe", "nboot", "usbboot"):
            origin, load = {"pxe": "network", "nboot": "flash", "usbboot": "usb"}[name], ""  # type: ignore[assignment]
        if name == "sysboot" and len(words) > 1:
            origin = _device(words[1:]) or origin
        if name == "pxe" and words[1:2] != ["boot"]:
            self.last = ("network", " ".join(words)[:160])
            return "medium"
        sure = "open" not in self.guards
        if len(self.starts) < _STARTS:
            line = " ".join(words)[:160].replace(_OPEN, "?")
            variable = self.stack[-1] if self.stack else ""
            load = load.replace(_OPEN, "?")
            self.starts.append(Start(name, line, variable, origin, load, sure, self.values.get("verify", "")))
        return "medium"

    def loaded(self, words: list[str]) -> tuple[Origin, str]:
        """Where what a command starts was loaded from: by its address, else the last load of which no address is known."""
        address = words[1].partition("#")[0].partition(":")[0] if len(words) > 1 else self.values.get("loadaddr", "")
        if _number(address) in self.memory:
            return self.memory[_number(address)]
        elsewhere = len(words) > 1 and _ADDRESS.fullmatch(address) and any(held == self.last for held in self.memory.values())
        return ("memory", "") if elsewhere else self.last

    def load(self, name: str, words: list[str]) -> Outcome:
        """Remembers what was loaded from where to which address."""
        line = " ".join(words)[:160]
        origin: Origin = "network" if name in NETWORK else FAMILIES.get(name, LOADS.get(name, "memory"))
        if name in ("load", "fatload", "ext2load", "ext4load", "fsload", "ubifsload", "ls", "size", "fatls", "ext4ls"):
            origin = _device(words[1:]) or origin
        if name in FAMILIES and not (len(words) > 2 and words[1].partition(".")[0] in ("read", "load", "boot", "readboot")):
            return "medium"  # probe, erase, dev ...
        self.last = (origin, line)
        address = next((each for each in words[1:] if _ADDRESS.fullmatch(each)), self.values.get("loadaddr", ""))
        if _ADDRESS.fullmatch(address):
            self.memory[_number(address)] = self.last
        if name in NETWORK and self.values.get("autostart", "")[:1] in ("y", "Y", "1", "t"):
            return self.start("bootm", ["bootm"])
        return "medium"


def _number(address: str) -> str:
    """An address without its prefix and leading zeros."""
    return address.lower().removeprefix("0x").lstrip("0")


def _device(words: list[str]) -> Origin | None:
    """The kind of device that ``load INTERFACE DEVICE:PARTITION`` names."""
    kinds: dict[str, Origin] = {"usb": "usb", "mmc": "mmc", "ubi": "flash", "mtd": "flash", "nand": "flash"}
    for word in words[:2]:
        if word in kinds:
            return kinds[word]
        if word in ("ide", "sata", "scsi", "nvme", "virtio", "host"):
            return "disk"
    return None


def _tested(words: list[str]) -> Outcome:
    """``test``: known where its words are; ``-o`` and ``-a`` from left to right as in cmd/test.c."""
    if words[0] in ("true", "false"):
        return "yes" if words[0] == "true" else "no"
    rest = [word for word in words[1:] if word != "]"]
    if rest[:1] == ["-e"] or rest[:2] == ["!", "-e"]:
        return "medium"  # whether a file is there: who holds the medium decides
    if any(_OPEN in word for word in rest) or words[0] == "itest" or {"-o", "-a"} & set(rest):
        return "open"
    turned = rest[:1] == ["!"]
    rest = rest[1:] if turned else rest
    found = _compared(rest)
    if found is None:
        return "open"
    return "yes" if found is not turned else "no"


def _compared(rest: list[str]) -> bool | None:
    if len(rest) == 1:  # ``-n`` with an empty variable behind it, or a lone word
        return rest[0] == "-z"
    if len(rest) == 2:
        return {"-n": bool(rest[1]), "-z": not rest[1]}.get(rest[0])
    if len(rest) != 3:
        return None
    left, operator, right = rest
    if operator in ("=", "==", "!="):
        return (left == right) is (operator != "!=")
    if not re.fullmatch(r"-?\d{1,9}", left) or not re.fullmatch(r"-?\d{1,9}", right):
        return None
    one, two = int(left), int(right)
    table = {"-eq": one == two, "-ne": one != two, "-lt": one < two, "-le": one <= two, "-gt": one > two, "-ge": one >= two}
    return table.get(operator)
