"""Android's init: .rc files with triggers, and the services they start by class or by name.

Source: AOSP system/core/init/README.md (language, triggers, service options, directories), init.cpp (order of the boot).
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from fwcheck.device._graph import Boot, InittabEntry
from fwcheck.device._properties import Properties
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.state import negated
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Place, World
from fwcheck.model import NodeKind

_FIRST = ("/init.rc", "/system/etc/init/hw/init.rc", "/etc/init/hw/init.rc")
_DIRECTORIES = ("/system/etc/init", "/system_ext/etc/init", "/vendor/etc/init", "/odm/etc/init", "/product/etc/init", "/etc/init")
_PARTITIONS = ("system", "vendor", "product", "system_ext", "odm")
_CLASSES = ("core", "main", "hal", "late_start", "default")
_FILES_LIMIT = 512
_ROWS_LIMIT = 20_000
_COMMANDS_LIMIT = 20_000
_DEPTH_LIMIT = 12
_HAPPENS = frozenset(("sys.boot_completed=1", "dev.bootcomplete=1"))  # on every boot, sooner or later
_EVERY_BOOT = ("early-init", "init", "late-init")
_LATE = (
    "early-fs",
    "fs",
    "post-fs",
    "late-fs",
    "post-fs-data",
    "load_persist_props_action",
    "zygote-start",
    "early-boot",
    "boot",
)


@dataclass(slots=True)
class Service:
    """A service section."""

    name: str
    words: list[str]
    place: Place
    options: dict[str, list[str]] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """The classes it is started with."""
        return self.options.get("class", ["default"])


@dataclass(slots=True)
class Action:
    """An ``on`` section: the event, the properties that have to hold, the commands."""

    event: str
    properties: list[str]
    place: Place
    commands: list[tuple[int, list[str]]] = field(default_factory=list)


def is_android(root: FileSystem) -> bool:
    """Whether a file system is the root or the system partition of an Android."""
    first = root.is_system_partition or any(root.exists(path) for path in _FIRST)
    return first and not root.exists("/lib/systemd/systemd")


def start(boot: Boot, world: World) -> None:
    """Follows the boot from ``early-init`` to ``boot``, then what properties trigger."""
    _mount(boot)
    _Init(boot, world).run()


def _mount(boot: Boot) -> None:
    """The partitions of the image by their names; a system partition that is the root is its own /system."""
    disk = boot.disk
    if boot.root.exists("/build.prop") and not boot.root.exists("/system/build.prop"):
        disk.attach("/system", boot.root)
    for name in _PARTITIONS:
        fs = next((fs for fs in disk.firmware.filesystems if fs is not boot.root and _named(fs, name)), None)
        if fs is not None and not boot.root.children(f"/{name}"):
            inner = fs.exists("/system/build.prop") and name == "system"  # system as root: its own root is inside
            if not inner:
                disk.attach(f"/{name}", fs)


def _named(fs: FileSystem, name: str) -> bool:
    return any(re.fullmatch(rf"{name}(_[ab])?(\.img|\.raw|\.ext4|\.new\.dat)?", part.partition("@")[0]) for part in fs.chain)


class _Init:
    """Init at work: files are read once, actions run in the order of their events."""

    def __init__(self, boot: Boot, world: World) -> None:
        self.boot, self.world, self.disk = boot, world, boot.disk
        self.properties = Properties(boot.disk, boot.command_line)
        self.services: dict[str, Service] = {}
        self.actions: list[Action] = []
        self.files: list[str] = []
        self.enabled: set[str] = set()
        self.commands = 0
        self.depth = 0

    def run(self) -> None:
        """The whole boot."""
        for path in _FIRST:
            if self.disk.find(path) is not None:
                self.read(path)
                break
        else:
            place = Place(self.boot.root, "/build.prop", 0)
            self.world.hole(place, "init.rc stands in the boot image, which is not here: what it starts is not known")
        for directory in _DIRECTORIES:
            for path in sorted(self.disk.children(directory) or []) if self.disk.find(directory) is not None else []:
                if path.endswith(".rc"):
                    self.read(path)
        seen: set[str] = set()
        for event in _EVERY_BOOT:
            self.event(event, seen)
        if "boot" not in seen:  # init before late-init: the events followed one another by themselves
            for event in _LATE:
                self.event(event, seen)
        self.event("nonencrypted", seen)
        self.changed("")
        if not any(self.disk.find(path) is not None for path in _FIRST):
            self.assumed()

    def assumed(self) -> None:
        """A system partition alone: the classes that every ``init.rc`` starts, under the condition that this one does."""
        for name in _CLASSES:
            self.world.conditions.append(f"init.rc of the boot image starts the class {name}")
            for service in self.of_class(name):
                if "disabled" not in service.options:
                    self.start(service)
            self.world.conditions.pop()

    # Reading

    def read(self, path: str) -> None:
        """Reads one file and what it imports."""
        real = self.disk.real(path)
        if real in self.files or len(self.files) >= _FILES_LIMIT:
            return
        self.files.append(real)
        text = self.disk.text(path)
        found = self.disk.find(path)
        if text is None or UNKNOWN in text or found is None:
            return
        section: Service | Action | None = None
        imports = []
        for number, words in _rows(text):
            place = Place(found.fs, found.node.path, number)
            if words[0] == "import" and len(words) > 1:
                imports.append((words[1], place))
                section = None
            elif words[0] == "service" and len(words) > 2:
                section = Service(words[1], words[2:], place)
                self.declare(section)
            elif words[0] == "on":
                section = _action(words[1:], place)
                self.actions.append(section)
            elif isinstance(section, Service):
                held = section.options.setdefault(words[0], [])
                held.extend(words[1:] if words[0] != "class" or not held else [])
            elif section is not None:
                section.commands.append((number, words))
        for target, place in imports:
            self.imported(target, place)

    def declare(self, service: Service) -> None:
        """Keeps a service: the first of a name counts, unless a later one says ``override``."""
        held = self.services.get(service.name)
        if held is None:
            self.services[service.name] = service
        else:  # decided when its options are known: see ``service``
            self.services[f"{service.name}\0{len(self.services)}"] = service

    def service(self, name: str) -> Service | None:
        """The service of a name, overridden ones left out."""
        others = [one for key, one in self.services.items() if key.startswith(name + "\0") and "override" in one.options]
        return others[-1] if others else self.services.get(name)

    def imported(self, target: str, place: Place) -> None:
        """``import path``: a file or a directory."""
        path = self.properties.expand(target)
        if UNKNOWN in path:
            self.guessed(path, place)
            return
        path = path if path.startswith("/") else posixpath.join(posixpath.dirname(place.path), path)
        found = self.disk.find(path)
        if found is not None and found.node.kind is NodeKind.DIRECTORY:
            for each in sorted(self.disk.children(path) or [])[:_FILES_LIMIT]:
                self.read(each)
        elif found is not None:
            self.read(path)

    def guessed(self, path: str, place: Place) -> None:
        """``/init.${ro.hardware}.rc`` with hardware nobody names: right when one file of the image fits."""
        first, _, last = path.partition(UNKNOWN)
        last = last.rpartition(UNKNOWN)[2]
        names = self.disk.children(posixpath.dirname(first) or "/") or []
        usual = re.compile(r"init\.(usb|zygote|environ|recovery|trace|no_zygote)")
        fit = [
            name for name in names if name.startswith(first) and name.endswith(last) and not usual.match(posixpath.basename(name))
        ]
        fit = [
            name for name in fit if self.disk.real(name) not in self.files and "." not in name[len(first) : len(name) - len(last)]
        ]
        if len(fit) == 1:
            self.read(fit[0])
        elif fit:
            self.world.hole(place, f"imports one of {', '.join(posixpath.basename(name) for name in fit[:4])}")

    # Running

    def event(self, name: str, seen: set[str]) -> None:
        """Queues the actions of an event: those whose properties hold now."""
        if name in seen or len(seen) > 256:
            return
        seen.add(name)
        for action in list(self.actions):
            if action.event == name:
                self.perform(action, seen)

    def changed(self, name: str) -> None:
        """Property actions: all of them once the boot is through, later those that speak of a changed property."""
        for action in list(self.actions):
            if not action.event and (not name or any(each.startswith(name + "=") for each in action.properties)):
                self.perform(action, set())

    def perform(self, action: Action, seen: set[str]) -> None:
        """Runs the commands of an action, under the properties that cannot be decided."""
        undecided = []
        for each in action.properties:
            answer = True if each in _HAPPENS else self.properties.holds(each)
            if answer is False:
                return
            if answer is None:
                undecided.append(f"property {each}")
        if self.depth >= _DEPTH_LIMIT or set(undecided) & {negated(text) for text in self.world.conditions}:
            return
        depth = len(self.world.conditions)
        self.world.conditions.extend(undecided)
        self.depth += 1
        try:
            for line, words in action.commands:
                self.command(action.place._replace(line=line), [self.properties.expand(word) for word in words], seen)
        finally:
            self.depth -= 1
            del self.world.conditions[depth:]

    def command(self, place: Place, words: list[str], seen: set[str]) -> None:
        """One command of an action."""
        self.commands += 1
        self.world.step()
        if self.commands > _COMMANDS_LIMIT:
            return
        name, rest = words[0], words[1:]
        if name == "trigger" and rest:
            self.event(rest[0], seen)
        elif name in ("class_start", "class_start_post_data", "class_restart") and rest:
            for service in self.of_class(rest[0]):
                if "disabled" not in service.options or service.name in self.enabled:
                    self.start(service)
        elif name in ("start", "exec_start", "restart", "enable") and rest:
            self.named(name, rest[0])
        elif name in ("exec", "exec_background") and "--" in rest:
            self.execute(place, rest[rest.index("--") + 1 :], rest[1] if rest.index("--") > 1 else "")
        elif name == "setprop" and len(rest) > 1:
            self.set_property(rest[0], rest[1])

    def of_class(self, name: str) -> Iterable[Service]:
        """The services of a class, in the order of the files."""
        for key in list(self.services):
            service = self.service(key) if "\0" not in key else None
            if service is not None and name in service.classes:
                yield service

    def named(self, verb: str, name: str) -> None:
        """``start`` and ``enable`` by name."""
        service = self.service(name)
        if service is None:
            return
        self.enabled.add(name)
        if verb != "enable" or set(service.classes) & {"main", "core", "late_start", "default"}:
            self.start(service)

    def set_property(self, name: str, value: str) -> None:
        """``setprop``: under a condition the value is not known afterwards."""
        if name.startswith("ro.") and name in self.properties.values:
            return
        value = value if self.world.certain else UNKNOWN
        if self.properties.values.get(name) != value:
            self.properties.values[name] = value
            if self.depth < 4:
                self.changed(name)

    def start(self, service: Service) -> None:
        """Records a service; one with a console is a shell on it."""
        words = [self.properties.expand(word) for word in service.words]
        under = self.world.under
        if any(run.place == service.place and set(run.conditions) <= set(under) for run in self.world.runs):
            return
        options = service.options
        if "console" in options and posixpath.basename(words[0]) in ("sh", "ash", "mksh", "bash", "login"):
            if not under:
                terminal = (options["console"] or ["console"])[0]
                self.boot.inittab = self.boot.inittab or service.place.path
                self.boot.entries.append(InittabEntry(terminal, "", "respawn", " ".join(words), service.place.line))
            return
        user = (options.get("user") or [""])[0]
        manner = "oneshot" if "oneshot" in options else "android init"
        kept = ("group", "capabilities", "seclabel", "socket", "namespace", "interface")
        detail = {key: " ".join(options[key]) for key in kept if key in options}
        if service.name == "adbd":
            detail |= self.adb()
        self.execute(service.place, words, user, manner=manner, detail=detail)

    def adb(self) -> dict[str, str]:
        """How adbd is reached and whether it asks for a key, as the properties say."""
        names = ("service.adb.tcp.port", "persist.adb.tcp.port", "ro.adb.secure", "ro.debuggable", "ro.secure")
        return {name: self.properties.values[name] for name in names if name in self.properties.values}

    def execute(
        self, place: Place, words: list[str], user: str, manner: str = "oneshot", detail: dict[str, str] | None = None
    ) -> None:
        """Starts a program or follows a script."""
        if not words or not words[0]:
            return
        shell = Shell(self.world, place.fs, place.path, [])
        shell.variables["PATH"] = "/sbin:/system/sbin:/system/bin:/system/xbin:/vendor/bin:/vendor/xbin:/odm/bin:/product/bin"
        shell.line, shell.user = place.line, "" if user == "root" else user
        first = self.disk.find(shell.absolute(words[0])) if UNKNOWN not in words[0] else None
        facts = first.fs.facts_of(first.node) if first is not None else None
        if (facts is not None and facts.text is not None) or posixpath.basename(words[0]) in ("sh", "mksh"):
            shell.background = manner != "oneshot"
            shell.process(lambda: shell.dispatch(Call.of(*words)))
            return
        shell.execute(Call.of(*words), manner=manner, user=user, detail=detail)


def _rows(text: str) -> Iterable[tuple[int, list[str]]]:
    """The rows of a file as words; a backslash at the end continues a row."""
    pending, begin = "", 0
    for number, row in enumerate(text[: 1 << 20].splitlines()[:_ROWS_LIMIT], 1):
        begin = begin if pending else number
        line = pending + row.strip()
        if line.endswith("\\") and len(line) < 1 << 14:
            pending = line[:-1] + " "
            continue
        pending = ""
        if not line or line.startswith("#"):
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if words:
            yield begin, words


def _action(words: list[str], place: Place) -> Action:
    parts = [part for part in " ".join(words).split("&&") if part.strip()]
    events = [part.strip() for part in parts if not part.strip().startswith("property:")]
    properties = [part.strip().removeprefix("property:") for part in parts if part.strip().startswith("property:")]
    return Action(events[0] if events else "", properties, place)
