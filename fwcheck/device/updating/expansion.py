"""Words of a script on one of its ways: their text as far as known, and the checks they came out of."""

from __future__ import annotations

from collections.abc import Iterable

from fwcheck.device.shell.patterns import known, trim
from fwcheck.device.shell.tree import UNKNOWN, CommandSubstitution, Literal, Parameter, Word
from fwcheck.device.updating.state import ANY, State, Value, joined

_MOST_FIELDS = 256


def slot(part: CommandSubstitution) -> str:
    """The name under which the output of a command substitution is kept until its word is expanded."""
    return f"\0{id(part)}"


def expand(word: Word, state: State) -> Value:
    """A word as one value, as between double quotes."""
    return joined([_part(part, state) for part in word.parts]) if word.parts else Value("")


def fields(words: Iterable[Word], state: State) -> list[Value]:
    """The words of a command; unquoted values that are known are split at blanks."""
    out: list[Value] = []
    for word in words:
        parts = [part for part in word.parts if not (isinstance(part, Literal) and not part.text)]  # a quote opens with one
        only = parts[0] if len(parts) == 1 else None
        if isinstance(only, Parameter) and only.name in ("@", "*") and not only.op and state.arguments is not None:
            out += state.arguments
            continue
        value = expand(word, state)
        if isinstance(only, Parameter) and not only.quoted and not value.how:
            out += [Value(text) for text in value.text.split()]
        else:
            out.append(value)
        if len(out) > _MOST_FIELDS:
            return out[:_MOST_FIELDS]
    return out


def _part(part: object, state: State) -> Value:
    if isinstance(part, Literal):
        return Value(part.text)
    if isinstance(part, CommandSubstitution):
        return ANY if part.opaque else state.values.get(slot(part), ANY)
    if isinstance(part, Parameter):
        return _parameter(part, state)
    return ANY


def _parameter(part: Parameter, state: State) -> Value:
    value = state.value(part.name)
    if not part.op:
        return value
    if part.op in ("-", "=") and part.argument is not None:
        default = expand(part.argument, state)
        if part.name in state.values and (value.text or not part.colon):
            return value
        return default if value.text == "" or part.name in state.values else value._replace(text=UNKNOWN)
    if part.op in ("#", "##", "%", "%%") and part.argument is not None:
        pattern = expand(part.argument, state)
        if known(value.text) and known(pattern.text) and not value.how:
            return Value(trim(value.text, pattern.text, part.op))
    return value._replace(text=UNKNOWN)
