"""Functions that run commands: through a shell, by words, in the background."""

from __future__ import annotations

from fwcheck.device.updating import form
from fwcheck.device.updating.meanings.invocation import Invocation
from fwcheck.device.updating.state import ANY, Outcome, State, Value, replace
from fwcheck.device.updating.values import (
    Pair,
    Pairs,
    key_of,
    object_of,
)


def statuses(inv: Invocation, out: Outcome) -> Pairs:
    """The status of a command: 0 where it succeeds. One that does not part the ways is not known."""
    truths = inv.truths
    both = [each for each in out.good if _in(each, out.bad)]
    parted = frozenset[int]().union(*(each.passed for each in out.good)) - frozenset[int]().union(
        *(each.passed for each in out.bad)
    )
    good = Value("0", truth=not truths.zero_is_false)
    bad = Value("1", truth=True)
    if inv.program.program.language == "lua" and inv.name == "os.execute":
        # Since Lua 5.2 it gives true or nil; before, a number that is always true.
        bad = Value("1", "", parted)
    return [
        *(Pair(each, ANY) for each in both),
        *(Pair(each, good) for each in out.good if not _in(each, out.bad)),
        *(Pair(each, bad) for each in out.bad if not _in(each, out.good)),
    ]


def _in(state: State, others: tuple[State, ...]) -> bool:
    return any(each is state or replace(each, status="") == replace(state, status="") for each in others)


def run(inv: Invocation, line: Value, *, words: bool = False) -> Outcome:
    """A command line for a shell, or the words of a command."""
    inv.program.line = inv.program.place(inv.call.arguments[0] if inv.call.arguments else None)
    given = _list(inv, 0) if words else None
    if given is not None:
        return inv.program.words(given, inv.state)
    if words and (only := line.text.split()) and len(only) == 1 and line.known:
        return inv.program.words([line], inv.state)
    return inv.program.shell(line, inv.state)


def _list(inv: Invocation, at: int) -> list[Value] | None:
    """The words of an argument that is a list."""
    given = inv.call.arguments[at] if at < len(inv.call.arguments) else inv.call.named.get("args")
    if isinstance(given, form.Name):
        return None if (held := inv.program.lists.get(given.key)) is None else _words(inv, held)
    return _words(inv, given) if isinstance(given, form.Items) else None


def _words(inv: Invocation, items: form.Items) -> list[Value]:
    return [inv.program.evaluate(value, inv.state)[0].value for _, value in items.items[:64]]


def status(inv: Invocation) -> Pairs:
    """``os.execute(line)``, ``luci.sys.call(line)``, ``os.system(line)``."""
    return statuses(inv, run(inv, inv.argument(0)))


def words_status(inv: Invocation) -> Pairs:
    """Words one by one, or a line where there is only one: ``system`` of Perl, ``os.execv``, ``nixio.exec``."""
    if len(inv.arguments) > 1:
        inv.program.line = inv.program.place(inv.call.arguments[-1])
        listed = _list(inv, 1)
        out = inv.program.words(listed or inv.arguments, inv.state)
    else:
        out = run(inv, inv.argument(0))
    return _kept(inv, statuses(inv, out))


def _kept(inv: Invocation, pairs: Pairs) -> Pairs:
    """Perl keeps the status in ``$?``, too."""
    if inv.program.program.language != "perl":
        return pairs
    return [Pair(each.assign("\1.$?", value), value) for each, value in pairs]


def output(inv: Invocation) -> Pairs:
    """A command's output; the status is lost."""
    out = run(inv, inv.argument(0))
    if inv.program.program.language == "perl":
        return [Pair(each, each.output) for each, _ in _kept(inv, statuses(inv, out))]
    return [Pair(each, each.output if each.output.text else ANY) for each in out.both]


def php_command(inv: Invocation) -> Pairs:
    """``exec($line, $lines, $status)`` and ``system($line, $status)``: the status goes into the last argument."""
    out = run(inv, inv.argument(0))
    at = 2 if inv.name == "exec" else 1
    kept = inv.call.arguments[at] if len(inv.call.arguments) > at else None
    made: Pairs = []
    for state, value in statuses(inv, out):
        now = state.assign(key, value) if kept is not None and (key := key_of(kept)) is not None else state
        if inv.name == "exec" and len(inv.call.arguments) > 1 and (lines := key_of(inv.call.arguments[1])) is not None:
            now = now.assign(lines, state.output)
        made.append(Pair(now, state.output))
    return made


def process(inv: Invocation) -> Pairs:
    """``subprocess.run`` and its like: the value stands for the finished process."""
    shell = inv.named.get("shell", ANY).truth
    line = inv.argument(0, "args")
    out = run(inv, line, words=shell is not True)
    pairs = statuses(inv, out)
    strict = inv.name.rpartition(".")[2] in ("check_call", "check_output") or inv.named.get("check", ANY).truth is True
    made: Pairs = []
    for state, value in pairs:
        if strict and value.text == "1":
            inv.program.leave("raise", state, good=True)
        elif inv.name.endswith((".call", ".check_call")):
            made.append(Pair(state, value))
        elif inv.name.endswith("check_output"):
            made.append(Pair(state, state.output if state.output.text else ANY))
        else:  # an object is true whatever its status is
            made.append(Pair(state, value._replace(truth=True, of=state.output.of)))
    return made


def status_of(inv: Invocation) -> Pairs:
    """``process.wait()``, ``process.poll()``: the object's own status."""
    value = inv.receiver or ANY
    truth = value.text != "0" if value.known else None
    return inv.to(value._replace(truth=truth))


def piped(inv: Invocation) -> Pairs:
    """``io.popen``, ``os.popen``: an object to read from."""
    out = run(inv, inv.argument(0))
    return [Pair(each, object_of("pipe", of=each.output.of, checks=each.output.checks)) for each in out.both]
