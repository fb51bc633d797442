"""A script in the small form followed along all its ways, with the machinery of shell scripts: states, checks, writes.

Commands that it hands to a shell are followed as such. What its functions mean for an update is said in
:mod:`fwcheck.device.updating.meanings`; functions of the script, and of modules of the image, are followed where they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fwcheck.device.updating import form
from fwcheck.device.updating.evaluation import Evaluator
from fwcheck.device.updating.form import Expression, Program, Statement
from fwcheck.device.updating.reach import Reach
from fwcheck.device.updating.state import ANY, Outcome, State, States, Value, distinct
from fwcheck.device.updating.values import (
    RESULT,
    Pair,
    bare,
    key_of,
    unchecked,
    unchecking,
)
from fwcheck.device.updating.walk import Leaving

_MOST_ENTRIES = 100
_STEP_LIMIT = 10_000
_TOTAL_LIMIT = 40_000
_FUNCTION_DEPTH = 8


class Follower(Evaluator):
    """Follows a program; like a shell script, its writes are in :attr:`sinks` afterwards."""

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
        mentioned = [each for each in program.functions if bare(each) in program.mentioned]
        others = [each for each in program.functions if each not in mentioned]
        reach = self._reach(before)
        for names, outside in ((mentioned, False), (others, True)):
            known = set(self.sinks)
            for name in names[:_MOST_ENTRIES]:
                if name not in self.entered and self.total < _TOTAL_LIMIT and reach.leads(program.functions[name]):
                    self._budgeted(lambda name=name: self._enter(name, path, before))  # type: ignore[misc]
            if outside:
                self.elsewhere |= set(self.sinks) - known

    def _reach(self, before: State) -> Reach:
        def load(name: str) -> tuple[str, Program] | None:
            return self.load(self.program.language, name, self.path)

        return Reach(self.program, self.defined, before.values, self.lists, self.brings, runs_script=self.calls_script, load=load)

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
                self.leave(kind, pair.state.assign(RESULT, pair.value) if kind == "return" else pair.state, good=True)
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
