"""Values of the small form beyond texts: objects, whether they check certificates, and where a value is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating import form
from fwcheck.device.updating.form import Expression
from fwcheck.device.updating.state import Outcome, State, Value, distinct, replace

OBJECT = f"{UNKNOWN}\2"  # begins the text of a value that is an object; its kind follows
UNCHECKED = "!"  # ends it where the object does not check certificates
RESULT = "\1result"  # where the value of a function is kept on its way out
MOST_PAIRS = 24


class Pair(NamedTuple):
    """An expression evaluated on one way."""

    state: State
    value: Value


Pairs = list[Pair]


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


def plain(value: Value) -> Value:
    """A value as text: objects have none."""
    return value._replace(text=UNKNOWN) if value.text.startswith((OBJECT, "\2")) else value


def bare(name: str) -> str:
    """The last part of a dotted name."""
    return name.replace(":", ".").rpartition(".")[2]


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Several outcomes as one."""
    held = list(outcomes)
    return Outcome(distinct(each for out in held for each in out.good), distinct(each for out in held for each in out.bad))


def without(state: State, scope: str) -> State:
    """The variables of a function forgotten."""
    values = {name: value for name, value in state.values.items() if name != RESULT and not name.startswith(scope)}
    return replace(state, values=values)


def distinct_pairs(pairs: Iterable[Pair]) -> Pairs:
    """Pairs without repetition; of too many, the ways with the same value are joined."""
    out: Pairs = []
    for each in pairs:
        if each not in out:
            out.append(each)
    if len(out) <= MOST_PAIRS:
        return out
    by_value: dict[Value, list[State]] = {}
    for each in out:
        by_value.setdefault(each.value, []).append(each.state)
    return [Pair(state, value) for value, states in by_value.items() for state in distinct(states)]
