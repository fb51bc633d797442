"""A script in the small form followed along all its ways, with the machinery of shell scripts: states, checks, writes.

Commands that it hands to a shell are followed as such. What its functions mean for an update is said in
:mod:`fwcheck.device.updating.meanings`; functions of the script, and of modules of the image, are followed where they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeVar

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating import conditions, form
from fwcheck.device.updating.commands import Command, Sink, Unpack
from fwcheck.device.updating.conditions import Answer
from fwcheck.device.updating.form import Define, Expression, Program, Statement
from fwcheck.device.updating.script import Script
from fwcheck.device.updating.state import ANY, Outcome, State, States, Value, distinct, either, joined
from fwcheck.device.updating.table import MATTERS, may_write
from fwcheck.device.updating.walk import Leaving, answered

_T = TypeVar("_T")
OBJECT = f"{UNKNOWN}\2"  # begins the text of a value that is an object; its kind follows
UNCHECKED = "!"  # ends it where the object does not check certificates
_RESULT = "\1result"
_MOST_PAIRS = 24
_FUNCTION_DEPTH = 8
_EVALUATION_DEPTH = 70
_MOST_ENTRIES = 100
_STEP_LIMIT = 10_000
_TOTAL_LIMIT = 40_000


class Pair(NamedTuple):
    """An expression evaluated on one way."""

    state: State
    value: Value


Pairs = list[Pair]
Loader = Callable[[str, str, str], "tuple[str, Program] | None"]  # of the module that a name means, seen from a path


class Follower(Script):
    """Follows a program; like a shell script, its writes are in :attr:`sinks` afterwards."""

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
        self.entered: set[str] = set()
        self.total = 0
        self.unfinished = False  # a run was cut off
        self.cut: set[int] = set()  # writes of such a run
        self.elsewhere: set[int] = set()  # writes that only functions reach which nothing in the script calls

    def run(self, path: str, program: Program) -> None:
        """The script from its first line, then its functions that others may call: first those whose names it hands on.

        Each of these runs has a budget of its own; writes of one that was cut off are in :attr:`cut`.
        """
        self.program, self.path = program, path
        self.defined = dict(program.functions)
        ended: States = ()

        def first() -> None:
            nonlocal ended
            with self.frame("exit", "return", "break", "continue", "raise") as frame:
                ended = distinct((*self.block(program.body, (State(),)), *frame.good))

        self._budgeted(first)
        before = self._fresh(ended[0] if ended else State())
        mentioned = [each for each in program.functions if _bare(each) in program.mentioned]
        others = [each for each in program.functions if each not in mentioned]
        for names, outside in ((mentioned, False), (others, True)):
            known = set(self.sinks)
            for name in names[:_MOST_ENTRIES]:
                if name not in self.entered and self.total < _TOTAL_LIMIT:
                    self._budgeted(lambda name=name: self._enter(name, path, before))  # type: ignore[misc]
            if outside:
                self.elsewhere |= set(self.sinks) - known

    def _enter(self, name: str, path: str, state: State) -> None:
        made = self.program.functions[name]
        with self.frame("exit", "break", "continue", "raise"):
            self.invoke(made, self.origins.get(id(made), path), [ANY] * 9, state)

    def _budgeted(self, run: Callable[[], None]) -> None:
        """One run from an entry on."""
        reached = {number: len(states) for number, states in self.sinks.items()}
        self.steps, self.incomplete = 0, False
        run()
        self.total += self.steps
        if self.incomplete:
            self.unfinished = True
            self.cut |= {number for number, states in self.sinks.items() if len(states) != reached.get(number, 0)}
        self.incomplete = False

    @staticmethod
    def _fresh(state: State) -> State:
        """What the first run has left to functions that are called later: values, and nothing that was checked."""
        return State(values={name: value for name, value in state.values.items() if not value.checks})

    def bounded(self, found: list[_T]) -> list[_T]:
        """As many ways as can be kept apart; without the others nothing is said of the whole."""
        self.incomplete = self.incomplete or len(found) > _MOST_PAIRS
        return found[:_MOST_PAIRS]

    # --------------------------------------------------------------------- statements

    def block(self, body: Iterable[Statement], states: States) -> States:
        """Statements one after the other; the ways that get behind them."""
        for each in body:
            if not states or self.incomplete:
                break
            self.steps += len(states)
            if self.steps > _STEP_LIMIT:
                self.incomplete = True
                break
            self.line = each.line
            states = distinct(self._statement(each, states))
        return states

    def _statement(self, each: Statement, states: States) -> States:
        match each:
            case form.Do():
                return self.states(each.value, states)
            case form.Assign():
                return self._assign(each, states)
            case form.If():
                return self._choose(each, states)
            case form.While():
                return self._while(each, states)
            case form.Each():
                return self._each(each, states)
            case form.Once():
                with self.frame("break") as ended:
                    states = self.block(each.body, states)
                return distinct((*states, *ended.good))
            case form.Try():
                return self._try(each, states)
            case form.Include():
                return self._include(each, states)
            case form.Define():
                return states
            case _:
                return self._ends(each, states)

    def _ends(self, each: form.Return | form.Leave | form.Raise, states: States) -> States:
        if isinstance(each, form.Leave):
            for state in states:
                self.leave(each.kind, state, good=True)
            return ()
        kind: Leaving = "return" if isinstance(each, form.Return) else "raise"
        for state in states:
            for pair in self.evaluate(each.value, state) if each.value is not None else [Pair(state, self.program.truths.nil)]:
                self.leave(kind, pair.state.assign(_RESULT, pair.value) if kind == "return" else pair.state, good=True)
        return ()

    def _assign(self, each: form.Assign, states: States) -> States:
        out: list[State] = []
        for target, value in zip(each.targets, each.values, strict=False):
            if isinstance(target, form.Name) and isinstance(value, form.Items):
                self.lists[target.key] = value
        for state in states:
            at = [state]
            if len(each.values) == 1:
                out += [self._stored(each.targets, pair) for pair in self.evaluate(each.values[0], state)]
                continue
            for target, value in zip(each.targets, each.values, strict=False):
                at = self.bounded([self.store(target, pair) for now in at for pair in self.evaluate(value, now)])
            out += at
        return tuple(out)

    def _stored(self, targets: list[Expression], pair: Pair) -> State:
        """One value for one or several targets: what else a function gives is not known, but for what came of a check."""
        state = self.store(targets[0], pair) if targets else pair.state
        for target in targets[1:]:
            state = self.store(target, Pair(state, ANY._replace(of=pair.value.of)))
        return state

    def store(self, target: Expression, pair: Pair) -> State:
        """A value put where an expression says."""
        state, value = pair
        if isinstance(target, form.Name):
            inside, _, name = target.key.rpartition(".")
            if "." in target.dotted and unchecking(name, value):
                state = state.assign(inside, unchecked(state.values.get(inside, ANY)))
            return state.assign(target.key, value)
        if isinstance(target, form.Member):
            return self._member_set(target, value, state)
        if isinstance(target, form.Items):
            for _, inner in target.items:
                state = self.store(inner, Pair(state, ANY._replace(of=value.of, checks=value.checks)))
        return state

    def _member_set(self, target: form.Member, value: Value, state: State) -> State:
        """``session.verify = False`` and the like; else an attribute keeps its value under its own name."""
        key = key_of(target)
        if key is None:
            return state
        if unchecking(target.name, value):
            inside = key_of(target.of)
            if inside is not None:
                state = state.assign(inside, unchecked(state.values.get(inside, ANY)))
        return state.assign(key, value)

    def _choose(self, each: form.If, states: States) -> States:
        done: list[State] = []
        for asked, body in each.branches:
            answer = self.test(asked, states)
            done += self.block(body, distinct(answer.good))
            states = distinct(answer.bad)
            if not states:
                break
        return (*done, *self.block(each.otherwise, states))

    def _while(self, each: form.While, states: States) -> States:
        with self.frame("break") as ended:
            first = Outcome(states, ()) if each.first else self.test(each.asked, states)
            with self.frame("continue") as again:
                done = self.block(each.body, distinct(first.good))
            turns = distinct((*done, *again.good))
            last = self.test(each.asked, turns) if turns else Outcome()
        return (*first.bad, *last.bad, *ended.good)

    def _each(self, each: form.Each, states: States) -> States:
        out: list[State] = []
        some = isinstance(each.over, form.Items) and bool(each.over.items)
        for state in states:
            for pair in self.evaluate(each.over, state):
                items = each.over.items if isinstance(each.over, form.Items) else ()
                value = ANY._replace(of=pair.value.of, checks=pair.value.checks)
                if len(items) == 1 and isinstance(items[0][1], form.Constant):
                    value = items[0][1].value
                begun = pair.state
                for target in each.targets:
                    begun = self.store(target, Pair(begun, value))
                with self.frame("break") as ended, self.frame("continue") as again:
                    done = self.block(each.body, (begun,))
                out += [*([] if some else [pair.state]), *done, *again.good, *ended.good]
        return distinct(out)

    def _try(self, each: form.Try, states: States) -> States:
        with self.frame("raise") as raised:
            done = self.block(each.body, states)
        caught = distinct((*raised.good, *raised.bad, *states))
        out = [*self.block(each.otherwise, done)]
        for handler in each.handlers:
            out += self.block(handler, caught)
        if not each.handlers:
            for state in self.block(each.last, distinct((*raised.good, *raised.bad))):
                self.leave("raise", state, good=True)
        return self.block(each.last, distinct(out))

    def _include(self, each: form.Include, states: States) -> States:
        out: list[State] = []
        for state in states:
            for pair in self.evaluate(each.path, state):
                found = self.load(self.program.language, pair.value.text, self.path) if pair.value.known else None
                if found is None or found[0] in self.active or len(self.active) > _FUNCTION_DEPTH:
                    out.append(pair.state)
                    continue
                path, program = found
                for name, made in program.functions.items():
                    self.defined.setdefault(name, made)
                    self.origins.setdefault(id(made), path)
                with self.inside(path, path), self.frame("return") as frame:
                    done = self.block(program.body, (pair.state,))
                out += [*done, *frame.good]
        return tuple(out)

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
                    return _together(answered(pair.state, answer) for pair, answer in self._compared(asked, state))
                case _:
                    return _together(self.truth(pair) for pair in self.evaluate(asked, state))
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
                    Pair(now, joined([_plain(each) for each in values]) if values else ANY)
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
        if name in ("returncode", "ok", "valid") and value.checks | {0}:
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
            out += self._called(call, receiver, arguments, named, now)
        return out

    def _called(
        self, call: form.Call, receiver: Value | None, arguments: list[Value], named: Mapping[str, Value], state: State
    ) -> Pairs:
        name = call.name
        if call.callee is not None and receiver is not None and receiver.text.startswith(f"{OBJECT}function "):
            name = receiver.text.removeprefix(f"{OBJECT}function ")
        method = call.receiver is not None
        own = self._own(name, method=method)
        if own is None:
            pairs = self.means(call, name, receiver, arguments, named, state)
            if pairs is not None:
                return pairs
            own = self._of_module(name) if not method else None
        if own is not None:
            made, path = own
            given = arguments if not made.method or not method else [receiver or ANY, *arguments]
            with self.called_from(made, call):
                return self.invoke(made, path, given, state, named)
        pairs = self.guessed(call, name, receiver, arguments, named, state)
        if pairs is not None:
            return pairs
        given = [*arguments, *named.values(), *([receiver] if receiver is not None else [])]
        return [Pair(each, mixed(given)) for each in self.handed_on(given, state)]

    def means(
        self,
        call: form.Call,
        name: str,
        receiver: Value | None,
        arguments: list[Value],
        named: Mapping[str, Value],
        state: State,
    ) -> Pairs | None:
        """What a function that is not the script's own does; None where that is not known."""
        raise NotImplementedError

    def guessed(
        self,
        call: form.Call,
        name: str,
        receiver: Value | None,
        arguments: list[Value],
        named: Mapping[str, Value],
        state: State,
    ) -> Pairs | None:
        """What a function that is nowhere in reach may do, by its name."""
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
            functions.get(_bare(name)) if method or name.startswith(("self.", "this.", "cls.")) else None
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
        made = next((each for key, each in program.functions.items() if _bare(key) == function), None)
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
        out += [Pair(each, each.values.get(_RESULT, ANY)) for each in frame.good]
        forgotten = made.scope or "\1\1"
        return _distinct_pairs(Pair(_without(each, forgotten), value) for each, value in out)

    # --------------------------------------------------------------------- what meanings use

    def shell(self, text: Value, state: State) -> Outcome:
        """A command line given to a shell."""
        if not self._matters(text.text):
            return either((replace(state, output=ANY),))
        return self.isolated(lambda own: self._eval([_plain(text)], own[0]), (replace(state, output=Value("")),))

    def _matters(self, line: str) -> bool:
        """Whether a command line, or the script of the image that it calls, names a check, a download or a write."""
        if line not in self._mattering:
            worth = may_write(line) or MATTERS.search(line) is not None
            for word in line.split()[:40]:
                if worth:
                    break
                found = self._text(word.strip("\"';&|()")) if not word.startswith(("-", UNKNOWN)) else None
                worth = found is not None and (may_write(found[1]) or MATTERS.search(found[1]) is not None)
            self._mattering[line] = worth
        return self._mattering[line]

    def words(self, words: list[Value], state: State) -> Outcome:
        """A command by its words."""
        if not words:
            return Outcome((state,), (state,))
        clean = [_plain(each) for each in words]
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


# --------------------------------------------------------------------------- values


def object_of(kind: str, of: str = "", checks: frozenset[int] = frozenset()) -> Value:
    """An object of a kind that somebody knows."""
    return Value(OBJECT + kind, "", checks, of)


def kind_of(value: Value | None) -> str:
    """The kind of an object, "" for other values."""
    return value.text.removeprefix(OBJECT).removesuffix(UNCHECKED) if value is not None and value.text.startswith(OBJECT) else ""


def is_unchecked(value: Value | None) -> bool:
    """Whether an object was told not to check certificates."""
    return value is not None and value.text.startswith(OBJECT) and value.text.endswith(UNCHECKED)


def unchecked(value: Value) -> Value:
    """The object, told not to check certificates."""
    text = value.text if value.text.startswith(OBJECT) else OBJECT
    return value._replace(text=text if text.endswith(UNCHECKED) else text + UNCHECKED)


_UNCHECKING = frozenset(
    {"verify", "verify_ssl", "verify_hostname", "verify_mode", "verify_peer", "verify_peer_name", "ssl_verify_peer", "cert_reqs"}
    | {"check_hostname", "SSL_verify_mode", "SSL_VERIFY_PEER", "verify_SSL", "verify_certs", "ssl_verify", "validate_certs"}
    | {"CURLOPT_SSL_VERIFYPEER", "CURLOPT_SSL_VERIFYHOST", "OPT_SSL_VERIFYPEER", "ssl_verifypeer", "sslverify", "ssl"}
    | {"SSL_VERIFYPEER", "SSL_VERIFYHOST"}
)  # fmt: skip
_NOTHING = frozenset({"none", "CERT_NONE", "ssl.CERT_NONE", "SSL_VERIFY_NONE", "VERIFY_NONE"})


def unchecking(name: str, value: Value) -> bool:
    """Whether an option of this name and value turns the check of certificates off."""
    return name in _UNCHECKING and (value.truth is False or value.text in ("0", "false") or value.text in _NOTHING)


def mixed(values: Iterable[Value]) -> Value:
    """What an unknown function makes of values: where it came from is kept."""
    held = list(values)
    of = {each.of for each in held if each.of}
    checks = frozenset[int]().union(*(each.checks for each in held)) if held else frozenset[int]()
    made = Value(UNKNOWN, "", checks, of.pop() if len(of) == 1 else "")
    return unchecked(made) if any(is_unchecked(each) for each in held) else made


def key_of(expression: Expression) -> str | None:
    """Where the value of a variable, or of an attribute of one, is kept."""
    if isinstance(expression, form.Name):
        return expression.key
    if isinstance(expression, form.Member):
        inside = key_of(expression.of)
        return f"{inside}.{expression.name}" if inside is not None else None
    return None


def _plain(value: Value) -> Value:
    """A value as text: objects have none."""
    return value._replace(text=UNKNOWN) if value.text.startswith((OBJECT, "\2")) else value


def _bare(name: str) -> str:
    return name.replace(":", ".").rpartition(".")[2]


def _together(outcomes: Iterable[Outcome]) -> Outcome:
    held = list(outcomes)
    return Outcome(distinct(each for out in held for each in out.good), distinct(each for out in held for each in out.bad))


def _without(state: State, scope: str) -> State:
    """The variables of a function forgotten."""
    values = {name: value for name, value in state.values.items() if name != _RESULT and not name.startswith(scope)}
    return replace(state, values=values)


def _distinct_pairs(pairs: Iterable[Pair]) -> Pairs:
    out: Pairs = []
    for each in pairs:
        if each not in out:
            out.append(each)
    if len(out) <= _MOST_PAIRS:
        return out
    by_value: dict[Value, list[State]] = {}
    for each in out:
        by_value.setdefault(each.value, []).append(each.state)
    return [Pair(state, value) for value, states in by_value.items() for state in distinct(states)]
