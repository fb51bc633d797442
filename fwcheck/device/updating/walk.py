"""A shell script followed along all its ways, from its first line to every command that writes software.

What a check means for a write is read off the ways that reach it: it guards the write when no way leads there on which it did not
succeed. Loops are followed once, functions and scripts of the image where they are called. Everything is bounded; what exceeds a
bound is left open (``incomplete``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.patterns import matches
from fwcheck.device.shell.tree import (
    UNKNOWN,
    AndOr,
    Case,
    CommandSubstitution,
    For,
    Function,
    Group,
    If,
    Loop,
    Parameter,
    Pipeline,
    Redirect,
    Sequence,
    Simple,
    Word,
)
from fwcheck.device.shell.tree import Command as Node
from fwcheck.device.updating import conditions
from fwcheck.device.updating.commands import Command
from fwcheck.device.updating.conditions import Answer
from fwcheck.device.updating.expansion import expand, slot
from fwcheck.device.updating.state import ANY, Outcome, State, States, Value, distinct, either, replace, succeeded

_STEP_LIMIT = 10_000  # commands times ways
_EVENT_LIMIT = 400
_DEPTH_LIMIT = 60
_LEAVING_LIMIT = 512  # ways that leave one frame
_CALL_LIMIT = 10  # functions and scripts inside each other

Leaving = Literal["exit", "return", "break", "continue", "raise"]


class Event(NamedTuple):
    """A command that matters for the update, and where it stands."""

    command: Command
    path: str
    line: int


@dataclass(slots=True)
class Frame:
    """What ``exit``, ``return``, ``break`` and ``continue`` end, with the ways that left by them."""

    kinds: tuple[Leaving, ...]
    good: list[State] = field(default_factory=list)
    bad: list[State] = field(default_factory=list)


class Flow:
    """The control flow; what a simple command does is for the subclass."""

    def __init__(self, fs: FileSystem) -> None:
        self.fs = fs
        self.events: list[Event] = []
        self._numbers: dict[Event, int] = {}
        self.before: dict[int, frozenset[int]] = {}  # by event: what lay behind on the ways that reached it
        self.sinks: dict[int, list[State]] = {}  # by event: the ways on which it was reached
        self.functions: dict[str, tuple[Function, str]] = {}
        self.called: set[str] = set()  # functions that were entered
        self.frames: list[Frame] = []
        self.active: list[str] = []  # functions and scripts that run
        self.path = ""
        self.line = 0
        self.standing: int | None = None  # the line of the text that is read as a script now, where that is no file of its own
        self.steps = 0
        self.depth = 0
        self.tested = 0  # inside a condition, where ``set -e`` does nothing
        self.incomplete = False
        self.dynamic = False  # calls something by a name that only its caller knows

    def simple(self, command: Simple, states: States) -> Outcome:
        """A simple command on several ways."""
        raise NotImplementedError

    def event(self, command: Command) -> int:
        """The number of what happens at the present line."""
        made = Event(command, self.path, self.line)
        if made not in self._numbers:
            self.incomplete = self.incomplete or len(self.events) >= _EVENT_LIMIT
            self._numbers[made] = len(self.events)
            self.events.append(made)
        return self._numbers[made]

    def reached(self, command: Command, state: State) -> int:
        """The number of what happens on a way."""
        number = self.event(command)
        self.before[number] = self.before.get(number, frozenset()) | state.seen
        return number

    # --------------------------------------------------------------------- lists

    def sequence(self, body: Sequence, states: States) -> Outcome:
        """Commands one after the other; with ``set -e`` a failing one ends the script."""
        outcome = Outcome(states)
        for item in body.items:
            if not states:
                return Outcome()
            if self.incomplete:
                return either(states)
            outcome = self.item(item, states)
            if not self.tested and len(item.parts) == 1 and not item.parts[0][1].negated:
                outcome = self._strict(outcome)
            states = outcome.both
        return outcome

    def _strict(self, outcome: Outcome) -> Outcome:
        for state in outcome.bad:
            if state.strict:
                self.leave("exit", state, good=False)
        return Outcome(outcome.good, tuple(each for each in outcome.bad if not each.strict))

    def item(self, item: AndOr, states: States) -> Outcome:
        """An and-or list; in the background its outcome is lost."""
        if not item.background:
            return self.and_or(item, states)
        done = self.isolated(lambda own: self.and_or(item, own), states).both
        seen = frozenset[int]().union(*(each.seen for each in done))
        return succeeded(tuple(replace(each, seen=each.seen | seen) for each in states))

    def and_or(self, item: AndOr, states: States) -> Outcome:
        """``a && b || c``."""
        out = Outcome(states)
        last = len(item.parts) - 1
        for at, (op, pipeline) in enumerate(item.parts):
            with self.condition(at < last):
                if op == "&&":
                    got = self.pipeline(pipeline, out.good)
                    out = Outcome(got.good, distinct((*out.bad, *got.bad)))
                elif op == "||":
                    got = self.pipeline(pipeline, out.bad)
                    out = Outcome(distinct((*out.good, *got.good)), got.bad)
                else:
                    out = self.pipeline(pipeline, states)
        return out

    @contextmanager
    def condition(self, tested: bool = True) -> Iterator[None]:
        """Where failing is an answer, no end."""
        self.tested += tested
        try:
            yield
        finally:
            self.tested -= tested

    def pipeline(self, pipeline: Pipeline, states: States) -> Outcome:
        """``a | b``: the status is that of the last command, what the first ones found out only goes on as text."""
        if not states:
            return Outcome()
        *first, last = pipeline.commands
        if not first:
            out = self.command(last, states)
        else:
            failed: list[State] = []
            for command in first:
                got = self.isolated(lambda own, command=command: self.command(command, own), states)  # type: ignore[misc]
                if any(each.pipefail for each in got.bad):
                    failed += [replace(each, piped=None, output=ANY, status="1") for each in got.bad if each not in got.good]
                    got = Outcome(got.good, tuple(each for each in got.bad if each in got.good))
                states = tuple(replace(each, piped=each.output) for each in got.both)
            out = self.isolated(lambda own: self.command(last, own), states)
            good, bad = (tuple(replace(each, piped=None) for each in side) for side in out)
            out = Outcome(distinct(good), distinct((*bad, *failed)))
        return Outcome(out.bad, out.good) if pipeline.negated else out

    # --------------------------------------------------------------------- processes and frames

    def isolated(self, run: Callable[[States], Outcome], states: States) -> Outcome:
        """A subshell: what it sets and where it exits stays inside."""
        with self.frame("exit", "return", "break", "continue") as frame:
            out = run(tuple(replace(each, outer=((each.values, each.arguments), *each.outer)) for each in states))
        return Outcome(
            distinct(_back(each) for each in (*out.good, *frame.good)), distinct(_back(each) for each in (*out.bad, *frame.bad))
        )

    @contextmanager
    def frame(self, *kinds: Leaving) -> Iterator[Frame]:
        """Something that can be left; afterwards the frame holds the ways that left."""
        frame = Frame(kinds)
        self.frames.append(frame)
        try:
            yield frame
        finally:
            self.frames.pop()

    def leave(self, kind: Leaving, state: State, *, good: bool | None) -> None:
        """A way ends here and goes on behind the innermost frame of the kind."""
        frame = next((each for each in reversed(self.frames) if kind in each.kinds), None)
        if frame is None:
            return
        if len(frame.good) + len(frame.bad) >= _LEAVING_LIMIT:
            self.incomplete = True
            return
        if good is not False:
            frame.good.append(state.ended("0" if good else UNKNOWN))
        if good is not True:
            frame.bad.append(state.ended("1" if good is False else UNKNOWN))

    # --------------------------------------------------------------------- compound commands

    def command(self, command: Node, states: States) -> Outcome:
        """One command of any kind."""
        self.steps += len(states)
        if self.steps > _STEP_LIMIT or self.depth > _DEPTH_LIMIT:
            self.incomplete = True
        if self.incomplete:
            return either(states)
        self.depth += 1
        self.line = command.line if self.standing is None else self.standing
        try:
            return self._command(command, distinct(states))
        finally:
            self.depth -= 1

    def _command(self, command: Node, states: States) -> Outcome:
        match command:
            case Simple():
                return self.simple(command, states)
            case Function():
                self.functions[command.name] = (command, self.path)
                return succeeded(states)
            case If():
                out = self._if(command, states)
            case Loop():
                out = self._loop(command, states)
            case For():
                out = self._for(command, states)
            case Case():
                out = self._case(command, states)
            case Group():
                body = command.body
                out = (
                    self.isolated(lambda own: self.sequence(body, own), states)
                    if command.subshell
                    else self.sequence(body, states)
                )
        return self.redirected(command.redirects, out)

    def redirected(self, redirects: list[Redirect], out: Outcome) -> Outcome:
        """What redirections of a compound command do."""
        return out

    def _if(self, command: If, states: States) -> Outcome:
        good: list[State] = []
        bad: list[State] = []
        for asked, body, _ in command.branches:
            with self.condition():
                answer = self.sequence(asked, states)
            done = self.sequence(body, answer.good) if answer.good else Outcome()
            good += done.good
            bad += done.bad
            states = answer.bad
            if not states:
                break
        if command.otherwise is not None and states:
            done = self.sequence(command.otherwise, states)
            return Outcome(distinct((*good, *done.good)), distinct((*bad, *done.bad)))
        return Outcome(distinct((*good, *(each.ended("0") for each in states))), distinct(bad))

    def _asked(self, command: Loop, states: States) -> Outcome:
        with self.condition():
            answer = self.sequence(command.condition, states)
        return Outcome(answer.bad, answer.good) if command.until else answer

    def _loop(self, command: Loop, states: States) -> Outcome:
        """The body once; behind it every way on which the condition ends the loop, or that broke out of it."""
        with self.frame("break") as ended:
            first = self._asked(command, states)
            with self.frame("continue") as again:
                done = self.sequence(command.body, first.good) if first.good else Outcome()
            turns = distinct((*done.both, *again.good, *again.bad))
            last = self._asked(command, turns) if turns else Outcome()
        return succeeded(distinct((*first.bad, *last.bad, *ended.good, *ended.bad)))

    def _for(self, command: For, states: States) -> Outcome:
        certain = command.words is not None and any(_literal(word) for word in command.words)
        states = self.substituted(command.words or [], states).both
        only = command.words[0] if command.words is not None and len(command.words) == 1 else None
        begun = tuple(each.assign(command.name, expand(only, each) if only is not None else ANY) for each in states)
        with self.frame("break") as ended, self.frame("continue") as again:
            done = self.sequence(command.body, begun)
        around = () if certain else states
        return succeeded(distinct((*around, *done.both, *again.good, *again.bad, *ended.good, *ended.bad)))

    def _case(self, command: Case, states: States) -> Outcome:
        good: list[State] = []
        bad: list[State] = []
        states = self.substituted([command.subject], states).both
        for globs, body in command.arms:
            inside: list[State] = []
            on: list[State] = []
            for state in states:
                taken, passed_by = self._arm(command.subject, globs, state)
                inside += taken
                on += passed_by
            done = self.sequence(body, distinct(inside)) if inside else Outcome()
            good += done.good
            bad += done.bad
            states = distinct(on)
            if not states:
                break
        return Outcome(distinct((*good, *(each.ended("0") for each in states))), distinct(bad))

    def _arm(self, subject: Word, globs: list[Word], state: State) -> tuple[States, States]:
        """The ways into an arm of ``case``, and those that pass it by."""
        value = expand(subject, state)
        taken: list[State] = []
        passed_by: States = (state,)
        for glob in globs:
            if not passed_by:
                break
            out = answered(passed_by[0], _fits(value, expand(glob, state), state))
            taken += out.good
            passed_by = out.bad
        return distinct(taken), passed_by

    # --------------------------------------------------------------------- words

    def substituted(self, words: list[Word], states: States) -> Outcome:
        """Runs the command substitutions of words; the status is that of the last of them."""
        out = Outcome(states)
        for part in _substitutions(words):
            name = slot(part)
            got = self.isolated(lambda own, part=part: self.sequence(part.body, own), out.both)  # type: ignore[misc]
            out = Outcome(*(tuple(each.assign(name, each.output) for each in side) for side in got))
        return out

    # --------------------------------------------------------------------- scripts and functions

    def function(self, name: str, arguments: tuple[Value, ...], state: State) -> Outcome:
        """A function of the script called."""
        definition, path = self.functions[name]
        if name in self.active or len(self.active) > _CALL_LIMIT:
            self.incomplete = self.incomplete or len(self.active) > _CALL_LIMIT
            return either((state,))
        self.called.add(name)
        mark = (state.values, state.arguments)
        inner = replace(state, arguments=arguments, outer=(mark, *state.outer))
        with self.inside(name, path), self.frame("return") as frame:
            out = self.command(definition.body, (inner,))
        good, bad = ((*out.good, *frame.good), (*out.bad, *frame.bad))
        return Outcome(distinct(_returned(each) for each in good), distinct(_returned(each) for each in bad))

    def script(self, path: str, text: str, arguments: tuple[Value, ...] | None, state: State) -> Outcome:
        """Another script run: a process of its own, of which the status and the checks come back."""
        if path in self.active or len(self.active) > _CALL_LIMIT:
            return either((state,))
        functions, self.functions = self.functions, {}
        try:
            with self.inside(path, path):
                self.tested = 0  # a process of its own: its ``set -e`` holds wherever it is called
                return self.isolated(
                    lambda own: self.sequence(parse(text).body, tuple(_fresh(each, arguments) for each in own)), (state,)
                )
        finally:
            self.functions = functions

    def source(self, path: str, text: str, states: States) -> Outcome:
        """A script read in: its functions and variables stay."""
        if path in self.active or len(self.active) > _CALL_LIMIT:
            return either(states)
        with self.inside(path, path), self.frame("return") as frame:
            out = self.sequence(parse(text).body, states)
        return Outcome(distinct((*out.good, *frame.good)), distinct((*out.bad, *frame.bad)))

    @contextmanager
    def inside(self, name: str, path: str) -> Iterator[None]:
        """While something else runs: its name against cycles, its path for evidence."""
        kept, tested = (self.path, self.line, self.standing), self.tested
        self.active.append(name)
        self.path, self.standing = path, None
        try:
            yield
        finally:
            self.active.pop()
            (self.path, self.line, self.standing), self.tested = kept, tested


def answered(state: State, answer: Answer) -> Outcome:
    """The ways on which a condition holds and on which it does not."""
    if answer.doubted:
        state = replace(state, doubted=state.doubted | answer.doubted)
    good = bad = state
    if answer.gained:
        good = replace(good, passed=good.passed | answer.gained)
    if answer.lost:
        bad = replace(bad, passed=bad.passed | answer.lost)
    if answer.absent:
        bad = replace(bad, skipped=True)
    if answer.present:
        good = replace(good, skipped=True)
    return Outcome((good.ended("0"),) if answer.holds is not False else (), (bad.ended("1"),) if answer.holds is not True else ())


def _fits(value: Value, glob: Value, state: State) -> Answer:
    if glob.text == "*" and not glob.how:
        return Answer(holds=True)
    if value.how or glob.how:
        return conditions.test([value, Value("="), glob], state)
    return Answer(matches(value.text, glob.text))


def _back(state: State) -> State:
    """Out of a subshell: its variables are forgotten."""
    (values, arguments), *outer = state.outer
    return replace(state, values=values, arguments=arguments, outer=tuple(outer))


def _returned(state: State) -> State:
    """Out of a function: the arguments are those of the caller again."""
    (_, arguments), *outer = state.outer
    return replace(state, arguments=arguments, outer=tuple(outer))


def _fresh(state: State, arguments: tuple[Value, ...] | None) -> State:
    return replace(state, values={}, arguments=arguments, strict=False, pipefail=False)


def _literal(word: Word) -> bool:
    return bool(word.raw) and not any(mark in word.raw for mark in "$`*?[")


def _substitutions(words: list[Word]) -> Iterator[CommandSubstitution]:
    for word in words:
        for part in word.parts:
            if isinstance(part, CommandSubstitution):
                yield part
            elif isinstance(part, Parameter) and part.argument is not None:
                yield from _substitutions([part.argument])
