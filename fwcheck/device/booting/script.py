"""U-Boot's boot commands followed: what ``bootcmd`` starts, where it was loaded from, under which condition.

U-Boot's hush is close to the POSIX shell, so its grammar reads the scripts; ``$(name)`` is an older way to write ``${name}``.
Nothing is executed: loads, environment and tests are modelled as far as their words are constant. Sources: doc/usage/cmd of
U-Boot, cmd/test.c, cmd/nvedit.c, env/common.c (``env_get_yesno``), include/config_distro_bootcmd.h. Scripts and settings that the
commands load from the device's own storage, and that are in the image, are followed too (``source``, ``env import``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from fwcheck.device.booting.conditions import OPEN, Outcome, tested
from fwcheck.device.booting.files import BootFile, Kind, variables
from fwcheck.device.booting.vocabulary import FAMILIES, KNOWN, LOADS, NETWORK, SETTERS, STARTS
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import AndOr, Command, For, Group, If, Loop, Parameter, Pipeline, Sequence, Simple, Word
from fwcheck.device.shell.tree import Literal as Text

Origin = Literal["flash", "mmc", "disk", "network", "usb", "serial", "memory", "several"]

_COMMANDS = 2000
_DEPTH = 12
_SCRIPT = 16 << 10  # characters of one variable that are followed
_SCRIPTS = 256 << 10  # characters of all variables and scripts that are parsed
_FILE = 64 << 10  # characters of one script
_FILES = 4  # scripts that run one another
_READ = 24
_VALUE = 2048
_TURNS = 16
_STARTS = 64
_OPEN = OPEN
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
    file: BootFile | None = None  # the script it stands in; of ``sysboot`` the menu
    at: int = 0  # its line there


class Read(NamedTuple):
    """A file that the boot commands read: a script that is run, settings that are taken over, a menu."""

    file: BootFile
    line: str  # the command
    variable: str  # where that stands
    by: BootFile | None  # the script that it stands in
    at: int
    sure: bool


class Walk(NamedTuple):
    """What the boot commands do. ``complete``: every command is known and no limit was met."""

    starts: tuple[Start, ...]
    checks: tuple[str, ...]  # commands that verify something before it is started
    unknown: tuple[str, ...]  # commands that no U-Boot of the project's own has
    complete: bool
    files: tuple[Read, ...] = ()

    @property
    def foreign(self) -> Start | None:
        """The start from a network or a stick that comes before any from the device's own storage; None without one."""
        for start in self.starts:
            if start.origin in ("network", "usb") and start.sure:
                return start
            if start.origin not in ("network", "usb", "serial"):
                return None
        return None


def walk(environment: Mapping[str, str], first: str = "bootcmd", files: Iterable[BootFile] = ()) -> Walk:
    """Follows ``preboot`` and ``bootcmd``; never raises, bounded for any text."""
    walker = _Walker(environment, files)
    for name in ("preboot", first):
        walker.variable(name, [])
    return walker.walked()


def walk_script(script: BootFile, environment: Mapping[str, str], files: Iterable[BootFile] = ()) -> Walk:
    """Follows a script that is started by something outside of the image."""
    walker = _Walker({**environment, "devtype": _OPEN, "devnum": _OPEN}, files)
    walker.script(script)
    return walker.walked()


def is_off(value: str) -> bool:
    """Whether a value of ``verify`` switches checks off, in every U-Boot since 2011."""
    return value[:1] in ("n", "N", "0", "f", "F") or value.lower() == "off"


class _Walker:
    """A boot loader at its commands."""

    def __init__(self, environment: Mapping[str, str], files: Iterable[BootFile] = ()) -> None:
        self.values = dict(environment)
        self.files = {each.basename: each for each in reversed(list(files))}
        self.read: list[Read] = []
        self.stored = set(environment)
        self.imported: dict[str, BootFile] = {}
        self.inside: list[BootFile] = []
        self.line = 0
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

    def walked(self) -> Walk:
        """What was found."""
        checks, unknown = tuple(dict.fromkeys(self.checks)), tuple(dict.fromkeys(self.unknown))[:16]
        return Walk(tuple(self.starts), checks, unknown, self.complete, tuple(self.read))

    # ------------------------------------------------------------------ scripts

    def script(self, file: BootFile) -> Outcome:
        """``source``: the commands of a file, each at its line."""
        if file in self.inside or len(self.inside) >= _FILES or self.parsed > _SCRIPTS:
            self.complete = False
            return "open"
        text = file.text[:_FILE]
        self.parsed += len(text)
        script = parse(_OLD.sub(r"${\1}", text))
        self.complete &= not script.error and len(text) == len(file.text)
        self.inside.append(file)
        line = self.line
        try:
            return self.sequence(script.body)
        finally:
            self.inside.pop()
            self.line = line

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
        line, files = self.line, self.inside
        if name in self.stored:
            self.inside = []  # what stands in the environment stands in no script
        try:
            return self.sequence(script.body)
        finally:
            self.stack.pop()
            self.line, self.inside = line, files

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
        self.line = command.line
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
            return tested(words)
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
            file = self.held(words, "variables")
            if file is None or self.loaded(["", *[each for each in rest if each[:1] != "-"]])[0] in ("network", "usb"):
                self.complete = False  # settings from a file that is not followed
                return "medium"
            self.reads(file, words)
            taken = variables(file.text)
            self.values.update(taken)
            self.imported.update(dict.fromkeys(taken, file))
            self.stored -= taken.keys()
            return "medium"
        return "yes"

    def set(self, words: list[str]) -> Outcome:
        if words:
            self.values[words[0]] = " ".join(words[1:])[:_VALUE]
        return "yes"

    def held(self, words: list[str], kind: Kind) -> BootFile | None:
        """The file of the image that a command is about: named by itself, or by what loaded it."""
        load = self.loaded(["", *[each for each in words[1:] if each[:1] != "-" and each not in ("import", "run")]])[1]
        named = [posixpath.basename(each) for each in reversed([*load.split(), *(words if kind == "extlinux" else [])])]
        found = next((file for name in named if (file := self.files.get(name)) is not None and file.kind == kind), None)
        scripts = [each for each in self.files.values() if each.kind == "script"]
        # out of the flash by its place: no name leads there
        bare = kind == "script" and found is None and len(scripts) == 1 and not any("." in each for each in named[:-2])
        return scripts[0] if bare and load else found

    def reads(self, file: BootFile, words: list[str]) -> None:
        """Notes that a file is read here."""
        if len(self.read) < _READ:
            line = " ".join(words)[:160].replace(_OPEN, "?")
            by, variable = self.inside[-1] if self.inside else None, self.stack[-1] if self.stack else ""
            self.read.append(Read(file, line, variable, by, self.line, "open" not in self.guards))

    def start(self, name: str, words: list[str]) -> Outcome:
        origin, load = self.loaded(words)
        if (
            name in ("source", "autoscr")
            and origin not in ("network", "usb")
            and (file := self.held(words, "script")) is not None
        ):
            self.reads(file, words)
            return self.script(file)
        menu = self.held(words, "extlinux") if name == "sysboot" and (_device(words[1:]) or origin) != "usb" else None
        if menu is not None:
            self.reads(menu, words)
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
            file, at = self.place(variable, menu)
            self.starts.append(Start(name, line, variable, origin, load, sure, self.values.get("verify", ""), file, at))
        return "medium"

    def place(self, variable: str, menu: BootFile | None) -> tuple[BootFile | None, int]:
        """The script or settings that the command stands in, and its line there."""
        if (settings := self.imported.get(variable)) is not None:
            rows = enumerate(settings.text.splitlines(), 1)
            return settings, next((number for number, row in rows if row.startswith(f"{variable}=")), 1)
        return (self.inside[-1], self.line) if self.inside else (menu, 0)

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
        self.values.setdefault("filesize", _OPEN)
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
