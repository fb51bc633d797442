"""One call of a function on one way, as the handlers see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fwcheck.device.updating import form
from fwcheck.device.updating.commands import (
    Command,
)
from fwcheck.device.updating.evaluation import Evaluator
from fwcheck.device.updating.state import ANY, State, Value
from fwcheck.device.updating.values import (
    Pair,
    Pairs,
    is_unchecked,
    key_of,
    unchecking,
)

URL = re.compile(r"(?:https?|ftps?|tftp)://")


class Invocation(NamedTuple):
    """One call on one way."""

    program: Evaluator
    call: form.Call
    name: str
    receiver: Value | None
    arguments: list[Value]
    named: Mapping[str, Value]
    state: State

    def argument(self, at: int, *names: str) -> Value:
        """An argument by its place or name."""
        for name in names:
            if name in self.named:
                return self.named[name]
        return self.arguments[at] if 0 <= at < len(self.arguments) else ANY

    @property
    def given(self) -> list[Value]:
        """Everything that is given."""
        return [*self.arguments, *self.named.values()]

    @property
    def truths(self) -> form.Truths:
        """The language's own values."""
        return self.program.program.truths

    @property
    def unchecked(self) -> bool:
        """Whether certificates are told not to be checked."""
        told = any(unchecking(name, value) for name, value in self.named.items())
        return told or any(map(is_unchecked, self.given)) or is_unchecked(self.receiver)

    def to(self, value: Value, state: State | None = None) -> Pairs:
        """The one way on, with a value."""
        return [Pair(state if state is not None else self.state, value)]

    def rebound(self, value: Value) -> Pairs:
        """The receiver, or the first argument, changed where it is kept."""
        at = self.call.receiver if self.call.receiver is not None else self.call.arguments[0] if self.call.arguments else None
        key = key_of(at) if at is not None else None
        return self.to(value, self.state.assign(key, value) if key is not None else self.state)


Meaning = Callable[[Invocation], Pairs]


def unproven(inv: Invocation, file: str, state: State) -> State:
    """A file brought in anew: what was checked of it before says nothing any more."""
    return inv.program.replaced(file, state) if file else state


def event(inv: Invocation, command: Command, state: State | None = None) -> tuple[int, State]:
    """Something that matters, with its number and the way behind it."""
    return inv.program.seen(command, state if state is not None else inv.state)
