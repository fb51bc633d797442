"""Expressions of the small form evaluated on all ways at once: conditions that part them, calls, functions of the script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating import conditions, form
from fwcheck.device.updating.commands import Command, Sink, Unpack
from fwcheck.device.updating.conditions import Answer
from fwcheck.device.updating.form import Define, Expression, Program, Statement
from fwcheck.device.updating.script import Script
from fwcheck.device.updating.state import ANY, Outcome, State, States, Value, distinct, either, joined, replace
from fwcheck.device.updating.table import MATTERS, may_write
from fwcheck.device.updating.values import (
    MOST_PAIRS,
    OBJECT,
    RESULT,
    Pair,
    Pairs,
    bare,
    distinct_pairs,
    is_unchecked,
    key_of,
    kind_of,
    mixed,
    object_of,
    plain,
    together,
    unchecked,
    unchecking,
    without,
)
from fwcheck.device.updating.walk import answered

_T = TypeVar("_T")
_FUNCTION_DEPTH = 8
_EVALUATION_DEPTH = 70
_STEP_LIMIT = 10_000
_WORD = re.compile(r"[\w./+~@-]{1,255}")

Loader = Callable[[str, str, str], "tuple[str, Program] | None"]  # of the module that a name means, seen from a path


class Called(NamedTuple):
    """A call on one way, its receiver and arguments evaluated."""

    call: form.Call
    name: str
    receiver: Value | None
    arguments: list[Value]
    named: Mapping[str, Value]
    state: State


class Evaluator(Script):
    """Follows expressions; statements are for the subclass."""

    def __init__(self, fs: FileSystem, load: Loader) -> None:
        super().__init__(fs)
        self.load = load
        self.program = Program("", form.Truths(ANY, ANY, ANY, zero_is_false=False, empty_is_false=False))
        self.modules: dict[str, Program | None] = {}
        self.defined: dict[str, Define] = {}  # the functions in reach: the script's own, and those of what it reads in
        self.origins: dict[int, str] = {}  # the files of functions that stand in another one
        self.lists: dict[str, form.Items] = {}  # lists of words that variables were given
        self.calls: list[tuple[Define, form.Call, int]] = []  # functions of the script that run, and how they were called
        self._mattering: dict[str, bool] = {}
        self._scripts: dict[str, bool] = {}
        self.entered: set[str] = set()
        self.total = 0
        self.unfinished = False  # a run was cut off
        self.cut: set[int] = set()  # writes of such a run
        self.elsewhere: set[int] = set()  # writes that only functions reach which nothing in the script calls

    def bounded(self, found: list[_T]) -> list[_T]:
        """As many ways as can be kept apart; without the others nothing is said of the whole."""
        self.incomplete = self.incomplete or len(found) > MOST_PAIRS
        return found[:MOST_PAIRS]

    def block(self, body: Iterable[Statement], states: States) -> States:
        """Statements one after the other; the ways that get behind them."""
        raise NotImplementedError

    def store(self, target: Expression, pair: Pair) -> State:
        """A value put where an expression says."""
        raise NotImplementedError

    # --------------------------------------------------------------------- conditions

    def test(self, asked: Expression, states: States) -> Outcome:
        """The ways on which a condition holds, and those on which it does not."""
        good: list[State] = []
        bad: list[State] = []
        for state in states:
            out = self._holds(asked, state)
            good += out.good
            bad += out.bad
        return Outcome(distinct(good), distinct(bad))

    def _holds(self, asked: Expression, state: State) -> Outcome:
        self.depth += 1
        try:
            if self.depth > _EVALUATION_DEPTH:
                self.incomplete = True
                return Outcome((state,), (state,))
            match asked:
                case form.Not():
                    out = self._holds(asked.of, state)
                    return Outcome(out.bad, out.good)
                case form.Logic():
                    return self._logic(asked, state)
                case form.Compare():
                    return together(answered(pair.state, answer) for pair, answer in self._compared(asked, state))
                case _:
                    return together(self.truth(pair) for pair in self.evaluate(asked, state))
        finally:
            self.depth -= 1

    def _logic(self, asked: form.Logic, state: State) -> Outcome:
        first = self._holds(asked.left, state)
        if asked.op == "and":
            second = self.test(asked.right, first.good)
            return Outcome(second.good, distinct((*first.bad, *second.bad)))
        second = self.test(asked.right, first.bad)
        return Outcome(distinct((*first.good, *second.good)), second.bad)

    def _compared(self, asked: form.Compare, state: State) -> list[tuple[Pair, Answer]]:
        out: list[tuple[Pair, Answer]] = []
        for left in self.evaluate(asked.left, state):
            for right in self.evaluate(asked.right, left.state):
                answer = conditions.test([left.value, Value(asked.op), right.value], right.state)
                if not (left.value.how or right.value.how or answer.holds is not None):
                    answer = answer._replace(doubted=left.value.checks | right.value.checks)
                out.append((Pair(right.state, ANY), answer))
        return self.bounded(out)

    def truth(self, pair: Pair) -> Outcome:
        """A value as a condition."""
        state, value = pair
        truths = self.program.truths
        holds: bool | None = None
        if value.truth is not None:
            holds = value.truth
        elif value.how == "output" and truths.empty_is_false:
            return answered(state, conditions.test([Value("-n"), value], state))
        elif value.known and not value.how and not value.checks:
            holds = bool(value.text) or not truths.empty_is_false
            if value.text == "0" and truths.zero_is_false:
                holds = False
        elif value.text.startswith(OBJECT):
            return Outcome((state,), (state,))
        return answered(state, Answer(holds, doubted=value.checks if holds is None else frozenset()))

    # --------------------------------------------------------------------- expressions

    def states(self, expression: Expression, states: States) -> States:
        """An expression for what it does."""
        if isinstance(expression, form.Logic | form.Not):  # ``verify() or die``
            return self.test(expression, states).both
        return tuple(pair.state for state in states for pair in self.evaluate(expression, state))

    def evaluate(self, expression: Expression, state: State) -> Pairs:
        """The values of an expression, with the way on which each comes out."""
        self.depth += 1
        self.steps += 1
        try:
            if self.depth > _EVALUATION_DEPTH or self.steps > _STEP_LIMIT:
                self.incomplete = True
                return [Pair(state, ANY)]
            return self.bounded(self._evaluate(expression, state))
        finally:
            self.depth -= 1

    def _evaluate(self, expression: Expression, state: State) -> Pairs:
        match expression:
            case form.Constant():
                return [Pair(state, expression.value)]
            case form.Name():
                if expression.key not in state.values and expression.dotted in self.defined:
                    return [Pair(state, object_of(f"function {expression.dotted}"))]
                return [Pair(state, self._named(expression, state))]
            case form.Call():
                return self._call(expression, state)
            case form.Join():
                return [
                    Pair(now, joined([plain(each) for each in values]) if values else ANY)
                    for now, values in self.all(expression.parts, state)
                ]
            case form.Member():
                return self._member(expression, state)
            case form.Not() | form.Compare():
                return self.asked(expression, state)
            case form.Logic():
                return self._either(expression, state)
            case form.Choice():
                out = self.test(expression.asked, (state,))
                return [
                    pair
                    for side, value in ((out.good, expression.then), (out.bad, expression.otherwise))
                    for each in side
                    for pair in self.evaluate(value, each)
                ]
            case form.Assigned():
                return [Pair(self.store(expression.target, pair), pair.value) for pair in self.evaluate(expression.value, state)]
            case form.Guarded():
                return self._guarded(expression, state)
            case form.Closure():
                return [Pair(state, object_of(f"function {expression.name}"))]
            case form.Items():
                return self._items(expression, state)
            case form.Opaque():
                return [Pair(now, mixed(values)) for now, values in self.all(expression.parts, state)]

    def _named(self, name: form.Name, state: State) -> Value:
        """The value of a variable, or of an attribute of one."""
        if name.key not in state.values and "." in name.dotted:
            inside, _, attribute = name.key.rpartition(".")
            if inside in state.values:
                return self.member(attribute, state.values[inside])
        return state.values.get(name.key, ANY)

    def all(self, parts: Iterable[Expression], state: State) -> list[tuple[State, list[Value]]]:
        """Several expressions one after the other."""
        out: list[tuple[State, list[Value]]] = [(state, [])]
        for part in parts:
            out = self.bounded([(pair.state, [*values, pair.value]) for now, values in out for pair in self.evaluate(part, now)])
        return out

    def _items(self, expression: form.Items, state: State) -> Pairs:
        """A list or table: that it turns off the check of certificates is kept."""
        out: Pairs = []
        for now, values in self.all([value for _, value in expression.items], state):
            keys = [key for key, _ in expression.items]
            value = mixed(values)
            if any(unchecking(key, each) or is_unchecked(each) for key, each in zip(keys, values, strict=False)):
                value = unchecked(value)
            out.append(Pair(now, value))
        return out

    def _member(self, expression: form.Member, state: State) -> Pairs:
        key = key_of(expression)
        if key is not None and key in state.values:
            return [Pair(state, state.values[key])]
        return [Pair(pair.state, self.member(expression.name, pair.value)) for pair in self.evaluate(expression.of, state)]

    def member(self, name: str, value: Value) -> Value:
        """An attribute of a value: that of a finished process is its status, or what it printed."""
        if name in ("returncode", "ok", "valid"):
            return value if name == "returncode" else ANY._replace(checks=value.checks)
        if name in ("stdout", "stderr", "output"):
            return Value(UNKNOWN, "output" if value.checks else "", value.checks)
        return value if value.how else ANY._replace(of=value.of, checks=value.checks)

    def asked(self, expression: form.Not | form.Compare, state: State) -> Pairs:
        out = self.test(expression, (state,))
        if out.good == out.bad:
            return [Pair(each, ANY) for each in out.good]
        truths = self.program.truths
        return [Pair(each, value) for side, value in ((out.good, truths.true), (out.bad, truths.false)) for each in side]

    def _either(self, expression: form.Logic, state: State) -> Pairs:
        out: Pairs = []
        for pair in self.evaluate(expression.left, state):
            side = self.truth(pair)
            stays, goes_on = (side.bad, side.good) if expression.op == "and" else (side.good, side.bad)
            out += [Pair(each, pair.value) for each in stays]
            out += [more for each in goes_on for more in self.evaluate(expression.right, each)]
        return out

    def _guarded(self, expression: form.Guarded, state: State) -> Pairs:
        if not expression.catches:
            return [Pair(each, ANY) for each in self.block(expression.body, (state,))]
        with self.frame("raise") as raised:
            done = self.block(expression.body, (state,))
        truths = self.program.truths
        good = [Pair(each.assign(expression.error, truths.false) if expression.error else each, truths.true) for each in done]
        caught = distinct((*raised.good, *raised.bad, state))
        return good + [
            Pair(each.assign(expression.error, truths.true) if expression.error else each, truths.false) for each in caught
        ]

    # --------------------------------------------------------------------- calls

    def _call(self, call: form.Call, state: State) -> Pairs:
        """A call with its receiver and arguments evaluated."""
        parts = [*call.arguments, *call.named.values()]
        lead = call.receiver if call.receiver is not None else call.callee
        out: Pairs = []
        for now, values in self.all([*([lead] if lead is not None else []), *parts], state):
            self.line = call.line
            receiver = values.pop(0) if lead is not None else None
            arguments = values[: len(call.arguments)]
            named = dict(zip(call.named, values[len(call.arguments) :], strict=True))
            out += self._called(Called(call, call.name, receiver, arguments, named, now))
        return out

    def _called(self, called: Called) -> Pairs:
        call, name, receiver, arguments, named, state = called
        if call.callee is not None and receiver is not None and receiver.text.startswith(f"{OBJECT}function "):
            name = receiver.text.removeprefix(f"{OBJECT}function ")
            called = called._replace(name=name)
        method = call.receiver is not None
        own = self._own(name, method=method)
        if own is None:
            pairs = self.means(called)
            if pairs is not None:
                return pairs
            own = self._of_module(name) if not method else None
        if own is not None:
            made, path = own
            given = arguments if not made.method or not method else [receiver or ANY, *arguments]
            with self.called_from(made, call):
                return self.invoke(made, path, given, state, named)
        pairs = self.guessed(called)
        if pairs is not None:
            return pairs
        given = [*arguments, *named.values(), *([receiver] if receiver is not None else [])]
        return [Pair(each, mixed(given)) for each in self.handed_on(given, state)]

    def means(self, called: Called) -> Pairs | None:
        """What a function that is not the script's own does; None where that is not known."""
        raise NotImplementedError

    def guessed(self, called: Called) -> Pairs | None:
        """What a function that is nowhere in reach may do, by its name."""
        raise NotImplementedError

    @property
    def brings(self) -> frozenset[str]:
        """The last parts of the names of functions that bring something over a network."""
        raise NotImplementedError

    @contextmanager
    def called_from(self, made: Define, call: form.Call) -> Iterator[None]:
        """While a function of the script runs: where it was called, with what."""
        self.calls.append((made, call, self.line))
        try:
            yield
        finally:
            self.calls.pop()

    def place(self, expression: Expression | None) -> int:
        """The line that an argument comes from: where a parameter was given, not where it is used."""
        line = self.line
        for made, call, called in reversed(self.calls):
            at = (
                made.parameters.index(expression.key)
                if isinstance(expression, form.Name) and expression.key in made.parameters
                else -1
            )
            if not 0 <= at < len(call.arguments) or self.origins.get(id(made), self.path) != self.path:
                break
            expression, line = call.arguments[at], called
        return line

    def handed_on(self, values: list[Value], state: State) -> States:
        """Functions given to one that nobody knows: it may call them, or not."""
        out = [state]
        for value in values:
            made = self.function_of(value)
            if made is not None:
                out += [pair.state for pair in self.invoke(made, self.origins.get(id(made), self.path), [ANY] * 9, state)]
        return distinct(out)

    def function_of(self, value: Value) -> Define | None:
        """The function that a value is."""
        kind = kind_of(value)
        return self.defined.get(kind.removeprefix("function ")) if kind.startswith("function ") else None

    def _own(self, name: str, *, method: bool) -> tuple[Define, str] | None:
        """A function of the script."""
        functions = self.defined
        made = functions.get(name) or (
            functions.get(bare(name)) if method or name.startswith(("self.", "this.", "cls.")) else None
        )
        if made is not None and (not method or made.method):
            return made, self.origins.get(id(made), self.path)
        return None

    def _of_module(self, name: str) -> tuple[Define, str] | None:
        """A function of a module of the image."""
        module, _, function = name.replace("::", ".").rpartition(".")
        if not module or (found := self.load(self.program.language, module, self.path)) is None:
            return None
        path, program = found
        made = next((each for key, each in program.functions.items() if bare(key) == function), None)
        if made is None:
            return None
        self.origins.setdefault(id(made), path)
        for key, each in program.functions.items():  # what it calls in its own file
            if each is not made and key not in self.defined:
                self.defined[key] = each
                self.origins.setdefault(id(each), path)
        return made, path

    def invoke(
        self, made: Define, path: str, arguments: list[Value], state: State, named: Mapping[str, Value] | None = None
    ) -> Pairs:
        """A function of the script called: its parameters set, its variables forgotten afterwards."""
        self.entered.add(made.name)
        if made.name in self.active or len(self.active) > _FUNCTION_DEPTH:
            return [Pair(state, ANY)]
        given = dict(named or {})
        for at, key in enumerate(made.parameters):
            bare = key.rpartition(".")[2]
            state = state.assign(key, arguments[at] if at < len(arguments) else given.get(bare, ANY))
        with self.inside(made.name, path), self.frame("return") as frame:
            through = self.block(made.body, (state,))
        out = [Pair(each, self.program.truths.nil) for each in through]
        out += [Pair(each, each.values.get(RESULT, ANY)) for each in frame.good]
        forgotten = made.scope or "\1\1"
        return distinct_pairs(Pair(without(each, forgotten), value) for each, value in out)

    # --------------------------------------------------------------------- what meanings use

    def shell(self, text: Value, state: State) -> Outcome:
        """A command line given to a shell."""
        if not self._matters(text.text):
            return either((replace(state, output=ANY),))
        return self.isolated(lambda own: self._eval([plain(text)], own[0]), (replace(state, output=Value("")),))

    def _matters(self, line: str) -> bool:
        """Whether a command line, or the script of the image that it calls, names a check, a download or a write."""
        if line not in self._mattering:
            self._mattering[line] = may_write(line) or MATTERS.search(line) is not None or self.calls_script(line)
        return self._mattering[line]

    def calls_script(self, line: str) -> bool:
        """Whether a command line names a script of the image that is worth following."""
        return any(self._is_script(word.strip("\"';&|()")) for word in line.split()[:40] if not word.startswith(("-", UNKNOWN)))

    def _is_script(self, word: str) -> bool:
        if word not in self._scripts:
            found = self._text(word) if _WORD.fullmatch(word) else None
            self._scripts[word] = found is not None and (may_write(found[1]) or MATTERS.search(found[1]) is not None)
        return self._scripts[word]

    def words(self, words: list[Value], state: State) -> Outcome:
        """A command by its words."""
        if not words:
            return Outcome((state,), (state,))
        clean = [plain(each) for each in words]
        return self.isolated(lambda own: self.call(clean, own[0]), (replace(state, output=Value("")),))

    def seen(self, command: Command, state: State) -> tuple[int, State]:
        """Something that matters, at the present line."""
        number = self.reached(command, state)
        return number, replace(state, seen=state.seen | {number})

    def write(self, sink: Sink, state: State) -> State:
        """A write on one way."""
        return self._sink(sink, state)

    def over_root(self, unpack: Unpack, state: State) -> bool:
        """Whether an archive that was brought in is taken apart over the root."""
        return self._over_root(unpack, state)

    def brought(self, name: str, state: State) -> bool:
        """Whether a file, or content, came over a network."""
        return self._came(name, state)
