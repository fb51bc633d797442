"""What is known at one place of a script: checks that have succeeded, steps that may lie behind, values of variables.

A script is followed along all its ways at once. Where the outcome of a check parts the ways, each keeps its own state, so that a
flag that is set after a check and asked for later is understood without knowing what a flag is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from fwcheck.device.shell.tree import UNKNOWN

_MOST_STATES = 12
_VALUE_LIMIT = 1024  # characters of a value that are kept

How = Literal["", "digest", "output", "recovered"]


class Value(NamedTuple):
    """The value of a word; ``checks`` are the events that it came out of, ``how`` says as what.

    ``of`` is the file whose content it is, or :data:`NETWORK`; ``truth`` is what a condition makes of it.
    """

    text: str = UNKNOWN
    how: How = ""
    checks: frozenset[int] = frozenset()
    of: str = ""
    truth: bool | None = None

    @property
    def known(self) -> bool:
        """Whether the whole text is known."""
        return UNKNOWN not in self.text


NETWORK = "\0network"  # content that came over a network and went into no file
ANY = Value()
EMPTY = Value("")


def joined(values: Iterable[Value]) -> Value:
    """Values written one after the other."""
    parts = list(values)
    if len(parts) == 1:
        return parts[0]
    told = next((each for each in parts if each.how), None)
    text = "".join(each.text for each in parts)[:_VALUE_LIMIT]
    checks = frozenset[int]().union(*(each.checks for each in parts))
    of = {each.of for each in parts if each.of}
    return Value(text, told.how if told is not None else "", checks, of.pop() if len(of) == 1 else "")


_NO_VALUES: Mapping[str, Value] = MappingProxyType({})


class State(NamedTuple):
    """One way through the script, as far as it has come; a tuple, as so many are made and compared."""

    passed: frozenset[int] = frozenset()  # checks that have succeeded on this way
    seen: frozenset[int] = frozenset()  # steps that lie behind
    doubted: frozenset[int] = frozenset()  # checks whose result was asked for in a manner that is not understood
    skipped: bool = False  # the absence of a file that a check needs led here
    values: Mapping[str, Value] = _NO_VALUES
    arguments: tuple[Value, ...] | None = None  # None: whatever the caller gives
    outer: tuple[tuple[Mapping[str, Value], tuple[Value, ...] | None], ...] = ()  # of the callers
    status: str = "0"  # of the last command: "0", "1" or unknown
    output: Value = EMPTY  # what the last command wrote
    piped: Value | None = None  # what stands at standard input
    strict: bool = False  # set -e
    pipefail: bool = False

    def value(self, name: str) -> Value:
        """The value of a parameter; one that was never set may come from the environment."""
        if name == "?":
            return Value(self.status)
        if name.isdigit():
            number = int(name[:4])
            if number == 0 or self.arguments is None:
                return ANY
            return self.arguments[number - 1] if number <= len(self.arguments) else Value("")
        if name in ("@", "*"):
            return ANY if self.arguments is None else joined([*self.arguments]) if self.arguments else Value("")
        if name == "#":
            return ANY if self.arguments is None or ANY in self.arguments else Value(str(len(self.arguments)))
        return self.values.get(name, ANY)

    def assign(self, name: str, value: Value) -> State:
        """With a variable set."""
        if len(value.text) > _VALUE_LIMIT:
            value = value._replace(text=UNKNOWN)
        if self.values.get(name) == value:
            return self
        return self._replace(values={**self.values, name: value})

    def ended(self, status: str) -> State:
        """With the status of the last command."""
        return self if self.status == status else self._replace(status=status)


replace = State._replace
States = tuple[State, ...]


class Outcome(NamedTuple):
    """The ways on which a command succeeds and those on which it fails; a way that leaves the script is in neither."""

    good: States = ()
    bad: States = ()

    @property
    def both(self) -> States:
        """All ways that go on."""
        return distinct((*self.good, *self.bad))


def either(states: States) -> Outcome:
    """A command of which nobody knows whether it succeeds: its outcome does not part the ways."""
    undecided = tuple(each.ended(UNKNOWN) for each in states)
    return Outcome(undecided, undecided)


def succeeded(states: States) -> Outcome:
    """A command that succeeds."""
    return Outcome(tuple(each.ended("0") for each in states), ())


def distinct(states: Iterable[State]) -> States:
    """States without repetition; of too many, those with the same checks behind them are joined."""
    once: list[State] = []
    for state in states:
        if not once or state not in once:
            once.append(state)
    if len(once) <= _MOST_STATES:
        return tuple(once)
    groups: dict[object, list[State]] = {}
    for state in once:
        groups.setdefault((state.passed, len(state.outer), state.skipped), []).append(state)
    merged = [_merged(each) for each in groups.values()]
    if len(merged) <= _MOST_STATES:
        return tuple(merged)
    return tuple(_merged([each for each in merged if len(each.outer) == depth]) for depth in {len(each.outer) for each in merged})


def _merged(states: list[State]) -> State:
    """What holds on every one of several ways."""
    first = states[0]
    if len(states) == 1:
        return first
    values = {name: value for name, value in first.values.items() if all(each.values.get(name) == value for each in states[1:])}
    return replace(
        first,
        passed=first.passed.intersection(*(each.passed for each in states[1:])),
        seen=first.seen.union(*(each.seen for each in states[1:])),
        doubted=first.doubted.union(*(each.doubted for each in states[1:])),
        skipped=any(each.skipped for each in states),
        values=values,
        arguments=first.arguments if all(each.arguments == first.arguments for each in states[1:]) else None,
        status=first.status if all(each.status == first.status for each in states[1:]) else UNKNOWN,
        output=first.output if all(each.output == first.output for each in states[1:]) else ANY,
        piped=first.piped if all(each.piped == first.piped for each in states[1:]) else ANY,
        strict=all(each.strict for each in states),
        pipefail=all(each.pipefail for each in states),
    )
