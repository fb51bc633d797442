"""Functions on texts and errors, and what ends a program."""

from __future__ import annotations

import posixpath
import re

from fwcheck.device.updating.commands import (
    Other,
)
from fwcheck.device.updating.meanings.invocation import Invocation, event
from fwcheck.device.updating.state import ANY, Value, joined
from fwcheck.device.updating.values import (
    Pair,
    Pairs,
)

_PLACES = re.compile(r"%[-+ 0#]*\d*(?:\.\d+)?[a-zA-Z]|\{[^{}]{0,40}\}")


def same_text(inv: Invocation) -> Pairs:
    """Functions that quote, trim or convert their first argument."""
    return inv.to(inv.argument(0) if inv.receiver is None else inv.receiver)


def path_of(inv: Invocation) -> Pairs:
    """``os.path.join(a, b)``."""
    parts = inv.arguments
    if all(each.known for each in parts):
        return inv.to(Value(posixpath.join(*(each.text for each in parts)))) if parts else inv.to(ANY)
    return inv.to(joined([part for each in parts for part in (Value("/"), each)][1:]))


def formatted(inv: Invocation) -> Pairs:
    """``string.format``, ``sprintf``, ``"...".format()``: the places filled."""
    parts = [*([inv.receiver] if inv.receiver is not None else []), *inv.given]
    if not parts:
        return inv.to(ANY)
    return inv.to(filled(parts[0], parts[1:]))


def filled(shape: Value, values: list[Value]) -> Value:
    """A text with places for values."""
    out: list[Value] = []
    at = 0
    rest = list(values)
    for place in _PLACES.finditer(shape.text):
        out += [Value(shape.text[at : place.start()]), rest.pop(0) if rest else ANY]
        at = place.end()
    return joined([*out, Value(shape.text[at:])])


def protected(inv: Invocation) -> Pairs:
    """``pcall(f, ...)``: true where it came to its end."""
    made = inv.program.function_of(inv.argument(0))
    if made is None:
        return inv.to(ANY)
    path = inv.program.origins.get(id(made), inv.program.path)
    with inv.program.frame("raise") as raised:
        done = inv.program.invoke(made, path, inv.arguments[1:], inv.state)
    return [
        *(Pair(state, inv.truths.true) for state, _ in done),
        *(Pair(state, inv.truths.false) for state in (*raised.good, *raised.bad, inv.state)),
    ]


def asserted(inv: Invocation) -> Pairs:
    """``assert(x)`` of Lua: goes on where it holds."""
    out = inv.program.truth(Pair(inv.state, inv.argument(0)))
    for state in out.bad:
        inv.program.leave("raise", state, good=True)
    return [Pair(state, inv.argument(0)) for state in out.good]


def ends(inv: Invocation) -> Pairs:
    """``os.exit``, ``die`` of PHP."""
    inv.program.leave("exit", inv.state, good=True)
    return []


def throws(inv: Invocation) -> Pairs:
    """``error(...)`` of Lua, ``die`` of Perl."""
    inv.program.leave("raise", inv.state, good=True)
    return []


def restarts(inv: Invocation) -> Pairs:
    """The device is started anew."""
    _, state = event(inv, Other("restart", inv.name))
    return inv.to(ANY, state)


def nothing(inv: Invocation) -> Pairs:
    """Known to do nothing for an update."""
    return inv.to(ANY)


def last_result(inv: Invocation) -> Pairs:
    """Without an effect of its own, the receiver goes on: ``ua:timeout(3)``."""
    return inv.to(inv.receiver or ANY)
