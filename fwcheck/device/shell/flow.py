"""The control flow of the shell: lists, pipelines, ``if``, ``case``, loops, redirections, with undecided outcomes."""

from __future__ import annotations

from collections.abc import Callable

from fwcheck.device.shell import patterns, words
from fwcheck.device.shell.state import Process, negated
from fwcheck.device.shell.tree import (
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
    Sequence,
    Simple,
)
from fwcheck.device.shell.world import Call, Exhausted, Frame, Status

_DEPTH_LIMIT = 90
_LOOP_LIMIT = 512
_TURN_LIMIT = 128  # of a loop whose condition is decided


class Flow(Process):
    """A process that runs commands; what a simple command does is for its subclass."""

    def dispatch(self, call: Call) -> None:
        """Runs a command by name."""
        raise NotImplementedError

    def sequence(self, body: Sequence) -> None:
        """Runs commands one after the other."""
        for item in body.items:
            self.item(item)

    def item(self, item: AndOr) -> None:
        """Runs an and-or list, in the background if so marked."""
        self.line = item.line + self.base
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
            self.alternatives([(self.condition(asked), lambda p=pipeline, g=got: g.append(self.pipeline(p)))], exhaustive=False)  # type: ignore[misc]
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
                text = patterns.bounded("".join(child.buffer))
            last = self.child()
            last.stdin = text
            last.process(lambda: last.command(pipeline.commands[-1]))
            self.status = last.status
        if pipeline.negated and self.status is not None:
            self.status = not self.status
        if self.status is None and "$?" not in pipeline.raw:
            self.asked = pipeline.raw
        return self.status

    def command(self, command: Command) -> None:
        """Runs one command of any kind."""
        world = self.world
        world.step()
        world.depth += 1
        if world.depth > _DEPTH_LIMIT:
            world.depth -= 1
            raise Exhausted
        self.line = command.line + self.base
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

    def condition(self, raw: str) -> str:
        """A condition in words: a test of ``$?`` names the command it is about."""
        return _cut(f"{raw} after {self.asked}" if "$?" in raw and self.asked else raw)

    def branches(self, command: If, index: int) -> None:
        """The ``if`` from its ``index``-th branch on."""
        for at in range(index, len(command.branches)):
            condition, body, raw = command.branches[at]
            self.sequence(condition)
            if self.status:
                self.sequence(body)
                return
            if self.status is None:
                asked = self.condition(raw)
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
            self.scoped(frame, lambda: self._turns(command, turn, holds, once=constant))
        finally:
            del self.frames[-2:]
            self.background = background
        self.status = True
        if holds and constant and not frame.touched:
            self.world.residuals.append((self.frames[-1], f"the loop on line {command.line} ends"))

    def _turns(self, command: Loop, turn: Frame, holds: Status, *, once: bool) -> None:
        """Turn after turn as long as the condition holds for sure and something changes; one more where it may hold."""
        for _ in range(_TURN_LIMIT):
            if not holds:
                break
            before = dict(self.variables), self.stdin, list(self.args)
            self.world.charge(len(self.variables) // 64)
            self.scoped(turn, lambda: self.sequence(command.body))
            if once:
                return
            self.sequence(command.condition)
            if before == (self.variables, self.stdin, self.args):
                return
            holds = self.status if not command.until or self.status is None else not self.status
        if holds is None:
            condition = _cut(f"{'not ' if command.until else ''}{command.raw}")
            self.alternatives([(condition, lambda: self.scoped(turn, lambda: self.sequence(command.body)))], exhaustive=False)

    def each(self, command: For) -> None:
        """``for``: every value in turn; once, under a condition, for values that nobody knows."""
        values = self.args if command.words is None else [text for word in command.words for text in words.expand(word, self)]
        frame, turn = Frame("break"), Frame("continue")
        self.frames += [frame, turn]
        self.status = True
        try:
            self.scoped(frame, lambda: self._values(command, turn, values[:_LOOP_LIMIT]))
        finally:
            del self.frames[-2:]
        if len(values) > _LOOP_LIMIT:
            raise Exhausted

    def _values(self, command: For, turn: Frame, values: list[str]) -> None:
        def body() -> bool:
            return self.scoped(turn, lambda: self.sequence(command.body))

        for text in values:
            self.variables[command.name] = text
            if text == UNKNOWN:
                raw = " ".join(word.raw for word in command.words or [])
                self.alternatives([(f"{_cut(raw)} is not empty", body)], exhaustive=False)
            else:
                body()

    def case(self, command: Case) -> None:
        """``case``: the arm that matches; every arm that may, when the subject is not known."""
        subject = words.value(command.subject, self)
        possible: list[tuple[str, Callable[[], object]]] = []
        exhaustive = False
        self.status = True
        for globs, body in command.arms:
            answers = [patterns.matches(subject, words.pattern(pattern, self)) for pattern in globs]
            if True in answers:
                exhaustive = True
                if not possible:
                    self.sequence(body)
                    return
                raw = f"{command.subject.raw} is none of the above"
            elif None in answers:
                raw = f"{command.subject.raw} is {' or '.join(pattern.raw for pattern in globs)}"
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
            self.world.charge(sum(map(len, got)) // 4096)
            fields += got
            shown += got if all(map(patterns.known, got)) else [" ".join(word.raw.split())]
        if not fields:
            if not any("$(" in value.raw or "`" in value.raw for _, value in command.assignments):
                self.status = True
            for name, value in command.assignments:
                self.variables[name] = text = words.value(value, self)
                self.world.charge(len(text) // 1024)
            if command.redirects:
                self.redirected(command.redirects, lambda: None)
            return
        before = {name: self.variables.get(name) for name, _ in command.assignments}
        for name, value in command.assignments:
            self.variables[name] = words.value(value, self)
        try:
            self.redirected(command.redirects, lambda: self.dispatch(Call(fields, shown)))
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


def _both(left: Status, right: Status) -> Status:
    if left is False or right is False:
        return False
    return True if left and right else None


def _either(left: Status, right: Status) -> Status:
    if left or right:
        return True
    return False if left is False and right is False else None


def _cut(text: str) -> str:
    line = " ".join(text.replace("\\\n", " ").split())
    return line if len(line) <= 120 else line[:117] + "..."
