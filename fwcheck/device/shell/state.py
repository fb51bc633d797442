"""The state of one shell process: variables, output, frames, and the joining of ways that are followed side by side."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Self

from fwcheck.device._disk import Disk
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell import patterns
from fwcheck.device.shell.tree import UNKNOWN, Function, Sequence
from fwcheck.device.shell.world import Exhausted, Frame, Leave, Place, Status, Stop, World

_RESIDUAL_LIMIT = 512
PATH = "/sbin:/usr/sbin:/bin:/usr/bin:/usr/local/sbin:/usr/local/bin"


class Process:
    """One shell process: its variables, functions, arguments, and the conditions it is under."""

    def __init__(self, world: World, fs: FileSystem, path: str, args: list[str]) -> None:
        self.world = world
        self.fs = fs
        self.path = path
        self.args = args
        self.line = 1
        self.base = 0  # lines before the text that runs: a command line of an inittab keeps the line it stands on
        self.variables: dict[str, str | None] = {"PATH": PATH, "IFS": " \t\n", "HOME": "/", "PWD": "/"}
        self.exported: set[str] = {"PATH", "HOME"}
        self.functions: dict[str, tuple[Function, FileSystem, str]] = {}
        self.cwd = "/"
        self.status: Status = True
        self.frames: list[Frame] = [Frame("exit")]
        self.background = False
        self.serves = False  # the shell is a service itself: so is what takes its place
        self.replacing = False  # a command takes the place of the shell (``exec``)
        self.user = ""  # who the process runs as, where it is not root
        self.stdin: str | None = None
        self.buffer: list[str] | None = None  # what command substitutions and pipelines collect
        self.caller: Place | None = None  # where the script that runs was called
        self.asked = ""  # the last command whose outcome is not decidable: what "$?" speaks of
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
        return patterns.bounded("".join(child.buffer)).rstrip("\n")

    def paths(self, pattern: str) -> list[str] | None:
        """The paths that match a pattern; relative ones stay relative."""
        absolute = pattern if pattern.startswith("/") else posixpath.join(self.cwd, pattern)
        if UNKNOWN in absolute:
            return None
        found = self.disk.glob(absolute)
        self.world.charge(self.disk.looked // 4)
        if found is None or pattern.startswith("/"):
            return found
        start = len(self.cwd.rstrip("/")) + 1
        return [path[start:] for path in found]

    # Text going in and out

    def write(self, text: str) -> None:
        """Standard output, kept only where someone collects it."""
        if self.buffer is not None:
            if sum(map(len, self.buffer[-64:])) > patterns.VALUE_LIMIT or len(self.buffer) > 4096:
                self.buffer[:] = [UNKNOWN]
            self.buffer.append(text)

    def absolute(self, path: str) -> str:
        """A path as the process sees it."""
        return self.disk.normal(path, self.cwd) if UNKNOWN not in self.cwd or path.startswith("/") else UNKNOWN

    # Processes and control flow

    def child(self) -> Self:
        """A subshell."""
        self.world.charge(len(self.variables) // 64)
        twin = type(self)(self.world, self.fs, self.path, list(self.args))
        twin.variables = dict(self.variables)
        twin.exported = set(self.exported)
        twin.functions = dict(self.functions)
        twin.cwd, twin.status, twin.line, twin.base = self.cwd, self.status, self.line, self.base
        twin.background, twin.stdin, twin.buffer = self.background, self.stdin, self.buffer
        twin.rc_common, twin.user = self.rc_common, self.user
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
            answers, frame.answers = frame.answers, set()
        if frame.kind in ("exit", "return") and answers - {self.status}:
            self.status = None  # it may have left before, with another answer
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
        world.charge(len(self.variables) // 64)
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
                leave.frame.answers.add(self.status)
                added.append((leave.frame, negated(condition)))
            finally:
                del world.conditions[depth:]
                added += world.residuals[len(held) :]
                world.residuals[:] = held
        world.residuals += added
        if len(world.residuals) > _RESIDUAL_LIMIT:
            raise Exhausted
        self.variables = _joined(outcomes) if outcomes else before
        self.status = None
        if not outcomes and last is not None:
            raise last

    def sequence(self, body: Sequence) -> None:
        """Runs commands one after the other."""
        raise NotImplementedError


def _joined(outcomes: list[dict[str, str | None]]) -> dict[str, str | None]:
    first, *others = outcomes
    result = dict(first)
    for other in others:
        for name in result.keys() | other.keys():
            if result.get(name) != other.get(name):
                result[name] = UNKNOWN
    return result


def negated(condition: str) -> str:
    """The opposite of a condition, in words."""
    if condition.startswith("not (") and condition.endswith(")"):
        return condition[5:-1]
    return (
        condition[2:] if condition.startswith("! ") and not any(op in condition for op in ("&&", "||")) else f"not ({condition})"
    )
