"""What all scripts of one boot share: disk and configuration, the programs started so far, conditions in force, budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from fwcheck.device._disk import Disk, Found
from fwcheck.device._uci import Section, read_uci
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import UNKNOWN, Script

if TYPE_CHECKING:
    from fwcheck.device.shell.process import Shell

Status = bool | None
Stop = Literal["exit", "return", "break", "continue"]

_STEP_LIMIT = 120_000
_SCRIPT_STEP_LIMIT = 12_000  # for one script with all it calls: the others are still followed
RUN_LIMIT = 4096


class Place(NamedTuple):
    """A line of a script."""

    fs: FileSystem
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Run:
    """A program that the boot starts: its words as far as known, and under which conditions."""

    name: str
    program: str
    words: tuple[str, ...]
    shown: tuple[str, ...]
    found: Found | None
    present: bool | None
    conditions: tuple[str, ...]
    place: Place
    background: bool = False
    manner: str = ""  # "procd", "respawn", "start-stop-daemon", "unit" ...: kept running by whoever started it
    user: str = ""
    # how it is confined and called: "group", "capabilities", "jail", "socket", "bus name" ..., as the init's file says
    detail: Mapping[str, str] = field(default_factory=dict, compare=False)


class Hole(NamedTuple):
    """Something on the way that could not be followed."""

    place: Place
    reason: str
    conditional: bool


class Leave(Exception):
    """``exit``, ``return``, ``break`` or ``continue``, on its way to the frame it ends."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.kind)
        self.frame = frame


class Exhausted(Exception):
    """The budget is spent: the scripts are too long or too deep to follow."""


@dataclass(eq=False, slots=True)
class Frame:
    """What ``exit``, ``return``, ``break`` and ``continue`` can leave."""

    kind: Stop
    saved: dict[str, str | None] = field(default_factory=dict)  # variables that ``local`` hides
    touched: bool = False  # something may have left for this frame
    answers: set[bool | None] = field(default_factory=set)  # what was answered where something may have left before the end


class Call(NamedTuple):
    """A command with its arguments: the words, the name first, and the words as they shall be shown."""

    fields: list[str]
    shown: list[str]

    @classmethod
    def of(cls, *words: str) -> Call:
        """A command whose words are shown as they are."""
        return cls(list(words), list(words))

    def rest(self, at: int) -> Call:
        """The words from ``at`` on, as a command of their own."""
        return Call(self.fields[at:], self.shown[at:] if len(self.shown) == len(self.fields) else self.fields[at:])


class World:
    """What all scripts of one boot share: the disk, the configuration, and what was started so far."""

    def __init__(self, disk: Disk, vocabulary: Vocabulary) -> None:
        self.disk = disk
        self.vocabulary = vocabulary
        self.runs: list[Run] = []
        self.holes: list[Hole] = []
        self.conditions: list[str] = []
        self.residuals: list[tuple[Frame, str]] = []  # an undecided exit makes everything after it conditional
        self.steps = 0
        self.limit = _STEP_LIMIT
        self.depth = 0
        self.scripts: dict[str, Script] = {}
        self.uci: dict[str, list[Section] | None] = {}
        self.active: list[str] = []
        self.instance: list[Run] = []
        self.disabled: dict[str, Place] = {}  # init scripts that a first-boot script switches off
        self.enabled: dict[str, Place] = {}
        self.units: Callable[[str, str], Status] | None = None  # how the service manager runs an action on a service by name
        self._recorded: set[tuple[object, ...]] = set()
        self.followed: dict[str, Place] = {}  # scripts that run for sure, with the place that starts them
        self.filters: list[Run] = []  # commands that set up the packet filter, in order
        self.triggers: dict[str, str] = {}  # init scripts to run when an interface comes up, with the condition

    def step(self) -> None:
        """Counts one command."""
        self.charge(1)

    def charge(self, cost: int) -> None:
        """Counts work: commands, and text that is copied or searched."""
        self.steps += cost
        if self.steps > self.limit:
            raise Exhausted

    def bounded(self, path: str, place: Place, action: Callable[[], object]) -> None:
        """Follows a script with a budget of its own; what exceeds it is a hole, and the boot goes on behind it."""
        limit, depth, conditions, residuals = self.limit, self.depth, list(self.conditions), list(self.residuals)
        self.limit = min(limit, self.steps + _SCRIPT_STEP_LIMIT)
        self.active.append(path)
        try:
            action()
        except Exhausted:
            if self.steps >= _STEP_LIMIT:
                raise
            self.depth, self.conditions[:], self.residuals[:] = depth, conditions, residuals
            self.hole(place, f"{path} is too long or too deeply nested to follow to its end")
        finally:
            self.active.pop()
            self.limit = max(limit, min(self.steps + 1000, _STEP_LIMIT))

    @property
    def under(self) -> tuple[str, ...]:
        """The undecided conditions in force."""
        return tuple(dict.fromkeys((*self.conditions, *(text for _, text in self.residuals))))

    @property
    def certain(self) -> bool:
        """Whether the present command runs for sure."""
        return not self.conditions and not self.residuals

    def add(self, run: Run) -> None:
        """Records a started program; the same one in the next turn of a loop counts once."""
        key = (run.place.path, run.place.line, run.words, run.conditions, run.manner, run.user)
        if key not in self._recorded:
            self._recorded.add(key)
            self.runs.append(run)

    def hole(self, place: Place, reason: str) -> None:
        """Records something that could not be followed."""
        if len(self.holes) < RUN_LIMIT:
            self.holes.append(Hole(place, reason, not self.certain))

    def script(self, text: str) -> Script:
        """The parsed script, parsed once."""
        if text not in self.scripts:
            self.scripts[text] = parse(text)
        return self.scripts[text]

    def package(self, name: str) -> list[Section] | None:
        """The sections of /etc/config/<name>; None when the image does not hold them."""
        if name not in self.uci:
            text = self.disk.text(f"/etc/config/{name}")
            self.uci[name] = read_uci(text) if text is not None and UNKNOWN not in text else None
        return self.uci[name]


Handler = Callable[["Shell", Call], Status]


class Vocabulary(NamedTuple):
    """The commands that are known, what is known of whole families of names, and scripts that read other scripts."""

    commands: Mapping[str, Handler]
    is_override: Callable[[str], bool]  # functions whose meaning is fixed, whatever the image's libraries define
    readers: Mapping[str, Callable[[Shell, str, str], None]]  # "rc.common" as the interpreter's argument
