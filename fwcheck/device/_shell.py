"""Boot scripts followed as a shell would run them, with three answers to every condition: true, false, not decidable.

Files are those of the image, configuration values those it ships. Where only the running device can decide, both ways are
followed and what they start is recorded under that condition. What cannot be followed at all (a script that is missing, text
that is no shell) becomes a hole: nothing may be called "not started" then. Budgets bound steps, depth and text.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fwcheck.device import _shell_words as words
from fwcheck.device._disk import Disk, Found
from fwcheck.device._shell_syntax import (
    UNKNOWN,
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Loop,
    Pipeline,
    Redirect,
    Script,
    Sequence,
    Simple,
    Word,
    parse,
)
from fwcheck.device._uci import Section, read_uci
from fwcheck.device.firmware import FileSystem
from fwcheck.model import NodeKind

Status = bool | None
Stop = Literal["exit", "return", "break", "continue"]

_STEP_LIMIT = 120_000
_SCRIPT_STEP_LIMIT = 12_000  # for one script with all it calls: the others are still followed
_DEPTH_LIMIT = 90
_SCRIPT_DEPTH_LIMIT = 20
_LOOP_LIMIT = 512
_RUN_LIMIT = 4096
_PATH = "/sbin:/usr/sbin:/bin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_SHELLS = ("sh", "ash", "bash", "dash", "hush", "ksh", "busybox")


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


class World:
    """What all scripts of one boot share: the disk, the configuration, and what was started so far."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
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
        self.triggers: dict[str, str] = {}  # init scripts to run when an interface comes up, with the condition

    def step(self) -> None:
        """Counts one command."""
        self.steps += 1
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

    def hole(self, place: Place, reason: str) -> None:
        """Records something that could not be followed."""
        if len(self.holes) < _RUN_LIMIT:
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


class Shell:
    """One shell process: its variables, functions, arguments and the script it reads."""

    def __init__(self, world: World, fs: FileSystem, path: str, args: list[str]) -> None:
        self.world = world
        self.fs = fs
        self.path = path
        self.args = args
        self.line = 1
        self.variables: dict[str, str | None] = {"PATH": _PATH, "IFS": " \t\n", "HOME": "/", "PWD": "/"}
        self.exported: set[str] = {"PATH", "HOME"}
        self.functions: dict[str, tuple[Function, FileSystem, str]] = {}
        self.cwd = "/"
        self.status: Status = True
        self.frames: list[Frame] = [Frame("exit")]
        self.background = False
        self.stdin: str | None = None
        self.buffer: list[str] | None = None  # what command substitutions and pipelines collect
        self.caller: Place | None = None  # where the script that runs was called
        self.rc_common = ""  # the init script, when this process is OpenWrt's rc.common

    @property
    def disk(self) -> Disk:
        """The disk of the boot."""
        return self.world.disk

    @property
    def place(self) -> Place:
        """Where the shell reads now."""
        return Place(self.fs, self.path, self.line)

    # What expansions ask (see Context)

    def value(self, name: str) -> str | None:
        """The value of a parameter."""
        if name in self.variables:
            return self.variables[name]
        if name.isdigit():
            number = int(name[:4])
            return self.path if number == 0 else self.args[number - 1] if number <= len(self.args) else None
        if name in ("@", "*"):
            return " ".join(self.args)
        if name == "#":
            return str(len(self.args))
        if name == "?":
            return {True: "0", False: "1", None: UNKNOWN}[self.status]
        if name in ("$", "!", "-", "RANDOM", "PPID", "\0array", "\0for"):
            return UNKNOWN
        return None

    def positional(self) -> list[str]:
        """The positional parameters."""
        return self.args

    def assign(self, name: str, value: str) -> None:
        """Sets a variable."""
        self.variables[name] = value

    def output(self, body: Sequence) -> str:
        """What a command substitution yields."""
        child = self.child()
        child.buffer = []
        child.process(lambda: child.sequence(body))
        self.status = child.status
        return words.bounded("".join(child.buffer)).rstrip("\n")

    def paths(self, pattern: str) -> list[str] | None:
        """The paths that match a pattern; relative ones stay relative."""
        absolute = pattern if pattern.startswith("/") else posixpath.join(self.cwd, pattern)
        if UNKNOWN in absolute:
            return None
        found = self.disk.glob(absolute)
        if found is None or pattern.startswith("/"):
            return found
        start = len(self.cwd.rstrip("/")) + 1
        return [path[start:] for path in found]

    # Text going in and out

    def write(self, text: str) -> None:
        """Standard output, kept only where someone collects it."""
        if self.buffer is not None:
            if sum(map(len, self.buffer[-64:])) > words.VALUE_LIMIT or len(self.buffer) > 4096:
                self.buffer[:] = [UNKNOWN]
            self.buffer.append(text)

    def absolute(self, path: str) -> str:
        """A path as the process sees it."""
        return self.disk.normal(path, self.cwd) if UNKNOWN not in self.cwd or path.startswith("/") else UNKNOWN

    # Processes and control flow

    def child(self) -> Shell:
        """A subshell."""
        twin = Shell(self.world, self.fs, self.path, list(self.args))
        twin.variables = dict(self.variables)
        twin.exported = set(self.exported)
        twin.functions = dict(self.functions)
        twin.cwd, twin.status, twin.line = self.cwd, self.status, self.line
        twin.background, twin.stdin, twin.buffer = self.background, self.stdin, self.buffer
        twin.rc_common = self.rc_common
        return twin

    def process(self, action: Callable[[], object]) -> None:
        """Runs the whole life of this process: ``exit`` ends here."""
        self.scoped(self.frames[0], action)

    def scoped(self, frame: Frame, action: Callable[[], object]) -> bool:
        """Runs ``action``; True when it left for ``frame``. What was conditional because of the frame is so no longer."""
        left = False
        try:
            action()
        except Leave as leave:
            if leave.frame is not frame:
                raise
            left = True
        finally:
            self.world.residuals[:] = [entry for entry in self.world.residuals if entry[0] is not frame]
        return left

    def leave(self, kinds: tuple[Stop, ...], levels: int = 1) -> None:
        """Raises towards the innermost frame (the ``levels``-th) of these kinds; nothing happens when there is none."""
        for frame in reversed(self.frames):
            if frame.kind in kinds:
                levels -= 1
                if levels <= 0:
                    frame.touched = True
                    raise Leave(frame)
        if "return" in kinds:
            raise Leave(self.frames[0])

    def alternatives(self, ways: list[tuple[str, Callable[[], object]]], *, exhaustive: bool) -> None:
        """Follows every way under its condition, then joins: variables that differ afterwards are unknown."""
        world = self.world
        before, depth, held = dict(self.variables), len(world.conditions), list(world.residuals)
        outcomes: list[dict[str, str | None]] = [] if exhaustive else [before]
        added: list[tuple[Frame, str]] = []
        last: Leave | None = None
        for condition, way in ways:
            self.variables = dict(before)
            world.conditions.append(condition)
            try:
                way()
                outcomes.append(self.variables)
            except Leave as leave:
                last = leave
                added.append((leave.frame, negated(condition)))
            finally:
                del world.conditions[depth:]
                added += world.residuals[len(held) :]
                world.residuals[:] = held
        world.residuals += added[:64]
        self.variables = _joined(outcomes) if outcomes else before
        self.status = None
        if not outcomes and last is not None:
            raise last

    # Commands

    def sequence(self, body: Sequence) -> None:
        """Runs commands one after the other."""
        for item in body.items:
            self.item(item)

    def item(self, item: AndOr) -> None:
        """Runs an and-or list, in the background if so marked."""
        self.line = item.line
        if item.background:
            child = self.child()
            child.background = len(item.parts) == 1 and all(isinstance(command, Simple) for command in item.parts[0][1].commands)
            child.process(lambda: child.and_or(item))
            self.status = True
            return
        self.and_or(item)

    def and_or(self, item: AndOr) -> None:
        """``a && b || c`` with undecided outcomes."""
        status: Status = True
        reached: Status = True
        condition = ""
        for op, pipeline in item.parts:
            if op == "&&":
                reached = status
            elif op == "||":
                reached = None if status is None else not status
            else:
                reached = True
            if reached is False:
                continue
            if reached:
                status = self.pipeline(pipeline)
                condition = pipeline.raw
                continue
            asked = condition if op == "&&" else negated(condition)
            got: list[Status] = []
            self.alternatives([(_cut(asked), lambda p=pipeline, g=got: g.append(self.pipeline(p)))], exhaustive=False)  # type: ignore[misc]
            result = got[0] if got else (op == "&&")
            status = _both(None, result) if op == "&&" else _either(None, result)
            condition = f"{condition} {op} {pipeline.raw}"
        self.status = status

    def pipeline(self, pipeline: Pipeline) -> Status:
        """Runs a pipeline; what a command writes is what the next one reads."""
        if len(pipeline.commands) == 1:
            self.command(pipeline.commands[0])
        else:
            text = self.stdin
            for command in pipeline.commands[:-1]:
                child = self.child()
                child.stdin, child.buffer = text, []
                child.process(lambda child=child, command=command: child.command(command))  # type: ignore[misc]
                text = words.bounded("".join(child.buffer))
            last = self.child()
            last.stdin = text
            last.process(lambda: last.command(pipeline.commands[-1]))
            self.status = last.status
        if pipeline.negated and self.status is not None:
            self.status = not self.status
        return self.status

    def command(self, command: Command) -> None:
        """Runs one command of any kind."""
        world = self.world
        world.step()
        world.depth += 1
        if world.depth > _DEPTH_LIMIT:
            world.depth -= 1
            raise Exhausted
        self.line = command.line
        try:
            match command:
                case Simple():
                    self.simple(command)
                case Function():
                    self.functions[command.name] = (command, self.fs, self.path)
                    self.status = True
                case _:
                    self.redirected(command.redirects, lambda: self.compound(command))
        finally:
            world.depth -= 1

    def compound(self, command: If | Loop | For | Case | Group) -> None:
        """Runs a compound command, its redirections being in force."""
        match command:
            case Group():
                if command.subshell:
                    child = self.child()
                    child.process(lambda: child.sequence(command.body))
                    self.status = child.status
                else:
                    self.sequence(command.body)
            case If():
                self.branches(command, 0)
            case Loop():
                self.loop(command)
            case For():
                self.each(command)
            case Case():
                self.case(command)

    def branches(self, command: If, index: int) -> None:
        """The ``if`` from its ``index``-th branch on."""
        for at in range(index, len(command.branches)):
            condition, body, raw = command.branches[at]
            self.sequence(condition)
            if self.status:
                self.sequence(body)
                return
            if self.status is None:
                asked = _cut(raw)
                # The rest of the branches runs when this condition fails.
                self.alternatives(
                    [
                        (asked, lambda body=body: self.sequence(body)),  # type: ignore[misc]
                        (negated(asked), lambda at=at: self.branches(command, at + 1)),  # type: ignore[misc]
                    ],
                    exhaustive=True,
                )
                return
        self.status = True
        if command.otherwise is not None:
            self.sequence(command.otherwise)

    def loop(self, command: Loop) -> None:
        """``while`` and ``until``: the body counts once when the condition holds or is undecided."""
        self.sequence(command.condition)
        holds = self.status if not command.until or self.status is None else not self.status
        if holds is False:
            self.status = True
            return
        frame, turn = Frame("break"), Frame("continue")
        self.frames += [frame, turn]
        constant = command.raw.strip("; ") in ("true", ":", "[ 1 ]", "test 1", "[ true ]")
        background = self.background
        self.background = background or constant  # a program that is started over and over
        try:
            if holds:
                self._turn(frame, turn, command.body)
            else:
                self.alternatives(
                    [(_cut(f"{'not ' if command.until else ''}{command.raw}"), lambda: self._turn(frame, turn, command.body))],
                    exhaustive=False,
                )
        finally:
            del self.frames[-2:]
            self.background = background
        self.status = True
        if holds and constant and not frame.touched:
            self.world.residuals.append((self.frames[-1], f"the loop on line {command.line} ends"))

    def _turn(self, frame: Frame, turn: Frame, body: Sequence) -> bool:
        return self.scoped(frame, lambda: self.scoped(turn, lambda: self.sequence(body)))

    def each(self, command: For) -> None:
        """``for``: every value in turn; once, under a condition, for values that nobody knows."""
        values = self.args if command.words is None else [text for word in command.words for text in words.expand(word, self)]
        frame, turn = Frame("break"), Frame("continue")
        self.frames += [frame, turn]
        self.status = True
        try:
            for text in values[:_LOOP_LIMIT]:
                self.variables[command.name] = text
                if text == UNKNOWN:
                    raw = " ".join(word.raw for word in command.words or [])
                    way = (f"{_cut(raw)} is not empty", lambda: self._turn(frame, turn, command.body))
                    self.alternatives([way], exhaustive=False)
                elif self._turn(frame, turn, command.body):
                    break
        finally:
            del self.frames[-2:]
        if len(values) > _LOOP_LIMIT:
            raise Exhausted

    def case(self, command: Case) -> None:
        """``case``: the arm that matches; every arm that may, when the subject is not known."""
        subject = words.value(command.subject, self)
        possible: list[tuple[str, Callable[[], object]]] = []
        exhaustive = False
        self.status = True
        for patterns, body in command.arms:
            answers = [words.matches(subject, words.pattern(pattern, self)) for pattern in patterns]
            if True in answers:
                exhaustive = True
                if not possible:
                    self.sequence(body)
                    return
                raw = f"{command.subject.raw} is none of the above"
            elif None in answers:
                raw = f"{command.subject.raw} is {' or '.join(pattern.raw for pattern in patterns)}"
            else:
                continue
            possible.append((_cut(raw), lambda body=body: self.sequence(body)))  # type: ignore[misc]
            if exhaustive:
                break
        if possible:
            self.alternatives(possible, exhaustive=exhaustive)

    def simple(self, command: Simple) -> None:
        """Assignments, or a command with arguments."""
        fields: list[str] = []
        shown: list[str] = []
        for word in command.words:
            got = words.expand(word, self)
            fields += got
            shown += got if all(map(words.known, got)) else [" ".join(word.raw.split())]
        if not fields:
            if not any("$(" in value.raw or "`" in value.raw for _, value in command.assignments):
                self.status = True
            for name, value in command.assignments:
                self.variables[name] = words.value(value, self)
            if command.redirects:
                self.redirected(command.redirects, lambda: None)
            return
        before = {name: self.variables.get(name) for name, _ in command.assignments}
        for name, value in command.assignments:
            self.variables[name] = words.value(value, self)
        try:
            self.redirected(command.redirects, lambda: self.dispatch(fields, shown))
        finally:
            self.variables.update(before)

    def redirected(self, redirects: list[Redirect], action: Callable[[], object]) -> None:
        """Runs ``action`` with its redirections; what goes to a file is remembered."""
        if not redirects:
            action()
            return
        stdin, buffer = self.stdin, self.buffer
        target, append = None, False
        for redirect in redirects:
            if redirect.op in ("<<", "<<<"):
                self.stdin = words.value(redirect.target, self) + ("\n" if redirect.op == "<<<" else "")
            elif redirect.op in ("<", "<>"):
                text = self.disk.text(self.absolute(words.value(redirect.target, self)))
                self.stdin = UNKNOWN if text is None else text
            elif redirect.op in (">", ">>", ">|", "&>", "&>>") and redirect.descriptor in (None, 1):
                target, append = self.absolute(words.value(redirect.target, self)), redirect.op in (">>", "&>>")
                self.buffer = []
            elif redirect.op == ">&" and redirect.descriptor in (None, 1):
                name = words.value(redirect.target, self)
                self.buffer = None if name in ("2", "-") else self.buffer
        collected = self.buffer
        try:
            action()
        finally:
            if target is not None and target != "/dev/null":
                self.disk.write(target, "".join(collected or []), append=append, certain=self.world.certain)
            self.stdin, self.buffer = stdin, buffer

    def dispatch(self, fields: list[str], shown: list[str]) -> None:
        """Runs a command by name: function, built-in or known program, script, program."""
        from fwcheck.device._shell_commands import COMMANDS  # noqa: PLC0415 -- commands need the shell's types

        name = fields[0]
        if not name:
            self.status = False
            return
        if name in self.functions and not self.overridden(name):
            self.call(name, fields[1:])
            return
        base = posixpath.basename(name)
        handler = COMMANDS.get(base) if "/" in name else COMMANDS.get(name)
        if handler is not None and (("/" not in name) or self.is_program(name)):
            self.status = handler(self, fields, shown)
            return
        if self.overridden(name):  # OpenWrt's board and JSON calls: they start nothing
            self.status = True
            return
        self.status = self.execute(fields, shown)

    def overridden(self, name: str) -> bool:
        """Functions whose meaning is built in: OpenWrt's configuration and service calls."""
        from fwcheck.device._openwrt import is_override  # noqa: PLC0415 -- as in dispatch

        return is_override(name)

    def is_program(self, name: str) -> bool:
        """Whether a path leads to a program, so that its name says what it does (a script is followed instead)."""
        found = self.disk.find(self.absolute(name))
        facts = found.fs.facts_of(found.node) if found is not None else None
        return facts is None or facts.text is None

    def call(self, name: str, args: list[str]) -> None:
        """Calls a function that is defined."""
        function, fs, path = self.functions[name]
        frame = Frame("return")
        held, self.args = self.args, args
        place = self.fs, self.path, self.line
        self.fs, self.path = fs, path
        self.frames.append(frame)
        try:
            self.scoped(frame, lambda: self.command(function.body))
        finally:
            self.frames.pop()
            self.args = held
            self.fs, self.path, self.line = place
            self.variables.update(frame.saved)

    # Programs and scripts

    def locate(self, name: str) -> tuple[str, Found | None, bool | None]:
        """Path, node and presence of a command name."""
        if "/" in name:
            path = self.absolute(name)
            found = self.disk.find(path)
            return path, found, True if found is not None else self.disk.exists(path)
        search = self.variables.get("PATH") or _PATH
        undecided = UNKNOWN in search
        for directory in search.split(":"):
            if UNKNOWN in directory or not directory:
                continue
            path = posixpath.join(directory, name)
            found = self.disk.find(path) if self.disk.root.resolve(directory) is not None else None
            if found is not None and found.node.kind is NodeKind.FILE:
                return path, found, True
            undecided = undecided or self.disk.exists(path) is None
        return name, None, None if undecided else False

    def execute(self, fields: list[str], shown: list[str], *, manner: str = "", user: str = "") -> Status:
        """Runs a program or follows a script."""
        name = fields[0]
        if UNKNOWN in name:
            if name.strip(UNKNOWN) == "" and self.world.certain:
                self.world.hole(self.place, f"runs {shown[0]}, whose value the image does not hold")
            self.write(UNKNOWN)
            return None
        path, found, present = self.locate(name)
        facts = found.fs.facts_of(found.node) if found is not None else None
        text = self.disk.written.get(self.disk.real(path)) if found is None else facts.text if facts is not None else None
        if text is not None and not manner and self.script_status(path, found, text, fields[1:]):
            return self.status
        if found is None and present is not False and path.endswith(".sh"):
            self.world.hole(self.place, f"runs {path}, which is not in the image")
        if present is False and not manner and "/" in name:
            return False  # "/etc/init.d/name enabled" of a service that is not there
        self.record(fields, shown, path, found, present, manner, user)
        self.write(UNKNOWN)
        return True if self.background or manner else None if present is not False else False

    def script_status(self, path: str, found: Found | None, text: str, args: list[str]) -> bool:
        """Follows the file as a script; False when it is none that a shell reads."""
        first = text.split("\n", 1)[0]
        interpreter = (
            first[2:].split() if first.startswith("#!") else ["/bin/sh"] if found is None or found.node.mode & 0o111 else []
        )
        program = posixpath.basename(interpreter[0]) if interpreter else ""
        if program == "env" and len(interpreter) > 1:
            program = interpreter[1]
        if program not in _SHELLS or UNKNOWN in text:
            return False
        if posixpath.basename(path) == "rc.common" and args:
            self.dispatch(args, args)
            return True
        common = next((word for word in interpreter[1:] if posixpath.basename(word) == "rc.common"), "")
        if found is not None and not found.node.mode & 0o111 and found.node.mode:
            child = self.follow
            self.alternatives([(f"{path} is executable", lambda: child(path, found, text, args, common))], exhaustive=False)
        else:
            self.follow(path, found, text, args, common)
        return True

    def follow(self, path: str, found: Found | None, text: str, args: list[str], common: str = "") -> None:
        """Runs a script in a process of its own."""
        fs = found.fs if found is not None else self.fs
        at = found.node.path if found is not None and found.fs is not self.disk.root else path
        child = Shell(self.world, fs, at, args)
        child.caller = self.place
        child.variables = {name: self.variables.get(name) for name in self.exported if name in self.variables} | {"IFS": " \t\n"}
        child.exported = set(self.exported)
        child.cwd, child.stdin, child.buffer = self.cwd, self.stdin, self.buffer
        if len(self.world.active) >= _SCRIPT_DEPTH_LIMIT or self.world.active.count(path) >= 3:
            self.world.hole(self.place, f"{path} calls itself")
            self.status = None
            return
        if common:
            from fwcheck.device._openwrt import rc_common  # noqa: PLC0415 -- as in dispatch

            self.world.bounded(path, self.place, lambda: child.process(lambda: rc_common(child, path, text)))
        else:
            self.world.bounded(path, self.place, lambda: child.process(lambda: child.read(text)))
        self.status = child.status

    def read(self, text: str) -> None:
        """Runs the text of a script in this process."""
        script = self.world.script(text)
        self.sequence(script.body)
        if script.error:
            self.world.hole(self.place, f"{self.path} cannot be read as a shell script: {script.error}")

    def source(self, path: str, args: list[str]) -> Status:
        """``. path``: the script runs in this very process."""
        absolute = self.absolute(path) if "/" in path else self.locate(path)[0]
        text = self.disk.text(absolute)
        if text is None:
            return False
        if UNKNOWN in text or len(self.world.active) >= _SCRIPT_DEPTH_LIMIT or self.world.active.count(absolute) >= 3:
            self.world.hole(self.place, f"reads {absolute if words.known(absolute) else path}, which is not in the image")
            return None
        found = self.disk.find(absolute)
        held = self.fs, self.path, self.line, self.args
        frame = Frame("return")
        self.frames.append(frame)
        self.world.active.append(absolute)
        if found is not None:
            self.fs, self.path = found.fs, absolute if found.fs is self.disk.root else found.node.path
        if args:
            self.args = args
        try:
            self.scoped(frame, lambda: self.read(text))
        finally:
            self.world.active.pop()
            self.frames.pop()
            self.fs, self.path, self.line, self.args = held
        return self.status

    def record(
        self, fields: list[str], shown: list[str], path: str, found: Found | None, present: bool | None, manner: str, user: str
    ) -> None:
        """Remembers that a program is started here."""
        if len(self.world.runs) >= _RUN_LIMIT:
            raise Exhausted
        self.world.runs.append(
            Run(
                posixpath.basename(fields[0]),
                path,
                tuple(fields),
                tuple(shown),
                found,
                present,
                self.world.under,
                self.place,
                self.background,
                manner,
                user,
            )
        )


def _joined(outcomes: list[dict[str, str | None]]) -> dict[str, str | None]:
    first, *others = outcomes
    result = dict(first)
    for other in others:
        for name in result.keys() | other.keys():
            if result.get(name) != other.get(name):
                result[name] = UNKNOWN
    return result


def _both(left: Status, right: Status) -> Status:
    if left is False or right is False:
        return False
    return True if left and right else None


def _either(left: Status, right: Status) -> Status:
    if left or right:
        return True
    return False if left is False and right is False else None


def negated(condition: str) -> str:
    """The opposite of a condition, in words."""
    if condition.startswith("not (") and condition.endswith(")"):
        return condition[5:-1]
    return (
        condition[2:] if condition.startswith("! ") and not any(op in condition for op in ("&&", "||")) else f"not ({condition})"
    )


def _cut(text: str) -> str:
    line = " ".join(text.replace("\\\n", " ").split())
    return line if len(line) <= 120 else line[:117] + "..."


def spell(word: Word) -> str:
    """A word as the script has it."""
    return " ".join(word.raw.split())
