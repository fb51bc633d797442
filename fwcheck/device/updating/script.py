"""What the simple commands of a script do on its ways: builtins, checks and their results, other scripts, writes.

Source: POSIX.1-2017, XCU 2.14 (special built-in utilities) and the utilities named in :mod:`fwcheck.device.updating.commands`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.grammar import parse
from fwcheck.device.shell.tree import UNKNOWN, Redirect, Simple
from fwcheck.device.updating import conditions
from fwcheck.device.updating.commands import SHELLS, Check, Digest, Fetch, Sink, Unpack, runs_foreign, words_of, written_device
from fwcheck.device.updating.conditions import Answer
from fwcheck.device.updating.expansion import expand, fields
from fwcheck.device.updating.state import (
    ANY,
    NETWORK,
    How,
    Outcome,
    State,
    States,
    Value,
    distinct,
    either,
    joined,
    replace,
    succeeded,
)
from fwcheck.device.updating.table import understand
from fwcheck.device.updating.walk import Flow, Leaving, answered

_SEARCH = ("/sbin", "/usr/sbin", "/bin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin")
_FILTERS = frozenset({"cat", "awk", "cut", "sed", "head", "tail", "tr", "sort", "tee", "uniq", "base64", "xxd", "hexdump", "od"})
_SAYS = frozenset({"echo", "printf"})
_DECLARES = frozenset({"local", "export", "declare", "readonly", "typeset"})
_GREPS = frozenset({"grep", "egrep", "fgrep"})
_GIVES_UP = re.compile(r"die|abort|bail\w*|fatal|\w*exit\w*|\w*fail\w*|\w*err(?:or)?\w*")
# One tool, judged as such, and what puts headers right at boot.
OF_SYSUPGRADE = re.compile(
    r"^/(?:sbin/sysupgrade|lib/upgrade/|lib/functions/|usr/libexec/validate_firmware_image|lib/preinit/|etc/uci-defaults/)"
)
_SHELL = re.compile(r"(?:^|/|\s)(?:ba|da|a|k|busybox )?sh\b")
_SCRIPT_LIMIT = 400_000
_MOST_WAYS = 64
_EVAL_LIMIT = 8
_EVAL_DEPTH = 40


def for_a_shell(interpreter: str) -> bool:
    """Whether the first line of a script names a shell."""
    return bool(_SHELL.search(interpreter))


class Script(Flow):
    """Follows one script; :attr:`sinks` then holds every write with the ways that lead to it."""

    def __init__(self, fs: FileSystem) -> None:
        super().__init__(fs)
        self._texts: dict[str, tuple[str, str] | None] = {}  # scripts of the image by the names that were asked for

    def follow(self, path: str, text: str) -> None:
        """The script from its first line with unknown arguments; then functions that only its callers can reach.

        An init script of OpenWrt holds functions only: ``/etc/rc.common`` calls them by the name of the action.
        """
        self.dynamic = "rc.common" in text.partition("\n")[0]
        with self.frame("exit", "return", "break", "continue"):
            self.source(path, text, (State(),))
        if self.dynamic:
            for name in [each for each in self.functions if each not in self.called][:64]:
                with self.frame("exit", "break", "continue"):
                    self.function(name, (ANY,) * 9, State())

    # --------------------------------------------------------------------- simple commands

    def simple(self, command: Simple, states: States) -> Outcome:
        """Substitutions, then the command on each way."""
        line = self.line
        words = [*(word for _, word in command.assignments), *command.words, *(each.target for each in command.redirects)]
        out = self.substituted(words, states)
        self.line = line
        if not command.words:
            return Outcome(
                *(
                    tuple(self._assigned(command, each).ended(status) for each in side)
                    for side, status in zip(out, ("0", "1"), strict=True)
                )
            )
        good: list[State] = []
        bad: list[State] = []
        for state in out.both:
            done = self._on(command, state)
            good += done.good
            bad += done.bad
        return Outcome(distinct(good), distinct(bad))

    def _assigned(self, command: Simple, state: State) -> State:
        for name, word in command.assignments:
            state = state.assign(name, expand(word, state))
        return state

    def _on(self, command: Simple, state: State) -> Outcome:
        """The command on one way, with its redirections."""
        line = self.line
        state = self._input(command.redirects, state)
        piped, state = state.piped, replace(state, output=Value(""))
        values = fields(command.words, state)
        out = self.call(values, state) if values else succeeded((state,))
        self.line = line
        silent = bool(values) and values[0].text in _SAYS
        out = Outcome(*(tuple(self._written(command.redirects, each, silent=silent) for each in side) for side in out))
        if piped is None:
            return out
        return Outcome(*(tuple(replace(each, piped=None) for each in side) for side in out))

    def redirected(self, redirects: list[Redirect], out: Outcome) -> Outcome:
        """``{ ...; } > device``."""
        if not redirects:
            return out
        return Outcome(*(tuple(self._written(redirects, each, silent=False) for each in side) for side in out))

    def _input(self, redirects: list[Redirect], state: State) -> State:
        for each in redirects:
            if each.op in ("<<<", "<<"):
                state = replace(state, piped=expand(each.target, state))
            elif each.op == "<":
                state = replace(state, piped=self._file(expand(each.target, state), state))
        return state

    def _written(self, redirects: list[Redirect], state: State, *, silent: bool) -> State:
        for each in redirects:
            if each.op in (">", ">>", ">|", "&>") and each.descriptor in (None, 1):
                target = expand(each.target, state).text
                if written_device(target) and not silent:
                    state = self._sink(Sink("raw write to flash"), state)
                state = replace(state.assign(f"file:{target}", state.output), output=Value(""))
        return state

    @staticmethod
    def _file(name: Value, state: State) -> Value:
        """What a check has written into a file, where one did."""
        return state.values.get(f"file:{name.text}", ANY)

    # --------------------------------------------------------------------- calls

    def call(self, values: list[Value], state: State) -> Outcome:
        """A command with its words on one way."""
        name = values[0].text
        if name in self.functions:
            return self.function(name, tuple(values[1:]), state)
        if name in ("exit", "return", "break", "continue"):
            return self._leaves(name, values[1:], state)  # type: ignore[arg-type]
        if name in ("[", "test", "[["):
            return self._test(values, state)
        if name in _DECLARES:
            return succeeded((self._declared(values[1:], state),))
        if name in _GREPS:
            return self._grep(values[1:], state)
        if name in _SAYS:
            told = [each for each in values[1:] if not each.text.startswith("-")]
            return succeeded((replace(state, output=joined(told) if told else Value("")),))
        if name in _FILTERS:
            return self._filter(values[1:], state)
        builtin = _BUILTINS.get(name)
        return builtin(self, values[1:], state) if builtin is not None else self._program(values, state)

    def _leaves(self, kind: Leaving, rest: list[Value], state: State) -> Outcome:
        code = "0"
        if kind in ("exit", "return"):
            code = rest[0].text.strip() if rest else state.status
        good = None if UNKNOWN in code else code.isdecimal() and int(code[:9]) == 0  # "exit -1" is none
        self.leave(kind, state, good=good)
        return Outcome()

    @staticmethod
    def _test(values: list[Value], state: State) -> Outcome:
        inner = values[1:]
        if inner and inner[-1].text in ("]", "]]"):
            inner = inner[:-1]
        return answered(state, conditions.test(inner, state))

    @staticmethod
    def _declared(rest: list[Value], state: State) -> State:
        for each in rest:
            name, equals, text = each.text.partition("=")
            if equals and re.fullmatch(r"\w+", name):
                state = state.assign(name, each._replace(text=text))
            elif re.fullmatch(r"\w+", each.text) and each.text not in state.values:
                state = state.assign(each.text, Value(""))
        return state

    def _grep(self, rest: list[Value], state: State) -> Outcome:
        files = [each for each in rest if not each.text.startswith("-")][1:]
        text = self._file(files[0], state) if files else state.piped or ANY
        answer = conditions.grep(rest, state, text)
        out = answered(state, answer)
        if text.how == "output":
            return Outcome(
                tuple(replace(each, output=text) for each in out.good), tuple(replace(each, output=Value("")) for each in out.bad)
            )
        return Outcome(*(tuple(replace(each, output=text) for each in side) for side in out))

    def _filter(self, rest: list[Value], state: State) -> Outcome:
        """What goes through as text: a digest stays one."""
        named = [each for each in rest if not each.text.startswith("-")]
        files = [text for each in named if (text := self._file(each, state)) is not ANY]
        piped = state.piped if state.piped is not None and state.piped.how else None
        if piped is None and not files:
            of = named[0].text if named and state.piped is None else state.piped.of if state.piped is not None else ""
            return either((replace(state, output=ANY._replace(of=of if of == NETWORK or UNKNOWN not in of else "")),))
        flowing = files[0] if files else piped or ANY
        return either((replace(state, output=flowing if flowing.how == "output" else flowing._replace(text=UNKNOWN)),))

    # --------------------------------------------------------------------- builtins with a method of their own

    def _set(self, rest: list[Value], state: State) -> Outcome:
        for each in rest:
            text = each.text
            if re.fullmatch(r"[-+][a-zA-Z]+", text) and "e" in text:
                state = replace(state, strict=text[0] == "-")
        texts = [each.text for each in rest]
        if "pipefail" in texts:
            state = replace(state, pipefail=texts[max(0, texts.index("pipefail") - 1)].startswith("-"))
        return succeeded((state,))

    def _true(self, _rest: list[Value], state: State) -> Outcome:
        return succeeded((state,))

    def _false(self, _rest: list[Value], state: State) -> Outcome:
        return Outcome((), (state.ended("1"),))

    def _shift(self, rest: list[Value], state: State) -> Outcome:
        if state.arguments is None:
            return either((state,))
        count = int(rest[0].text[:3]) if rest and rest[0].text.isdecimal() else 1
        return succeeded((replace(state, arguments=state.arguments[count:]),))

    def _cd(self, rest: list[Value], state: State) -> Outcome:
        return either((state.assign("PWD", rest[0] if rest else ANY),))

    def _read(self, rest: list[Value], state: State) -> Outcome:
        names = [each.text for each in rest if re.fullmatch(r"[A-Za-z_]\w*", each.text)][:32]
        value = state.piped if state.piped is not None and state.piped.how else ANY
        for name in names:
            state = state.assign(name, value._replace(text=UNKNOWN))
        return either((state,))

    def _eval(self, rest: list[Value], state: State) -> Outcome:
        text = " ".join(each.text for each in rest)
        if UNKNOWN in text.split(" ", 1)[0]:
            self.dynamic = self.dynamic or text.startswith(UNKNOWN)
            return either((state,))
        if len(self.active) >= _EVAL_LIMIT or self.depth > _EVAL_DEPTH:
            return either((state,))
        line, standing = self.line, self.standing
        self.standing = line
        try:
            return self.sequence(parse(text.replace(UNKNOWN, "$_")).body, (state,))
        finally:
            self.line, self.standing = line, standing

    def _source(self, rest: list[Value], state: State) -> Outcome:
        path = rest[0].text if rest else ""
        if runs_foreign(path):
            return either((self._sink(Sink("program of a removable medium", path), state),))
        if self._came(path, state):
            return either((self._sink(Sink("program that was brought in", path), state),))
        found = self._text(path)
        return either((state,)) if found is None else self.source(*found, (state,))

    def _shell(self, rest: list[Value], state: State) -> Outcome:
        texts = [each.text for each in rest]
        if "-c" in texts[:3] and len(texts) > texts.index("-c") + 1:
            at = texts.index("-c") + 1
            return self.isolated(lambda own: self._eval(rest[at : at + 1], own[0]), (state,))
        while rest and rest[0].text.startswith("-"):
            rest = rest[1:]
        if not rest:
            if self._came("", state):
                return either((self._sink(Sink("run as it comes"), state),))
            return either((state,))
        return self._program(rest, state)

    def _cmp(self, rest: list[Value], state: State) -> Outcome:
        plain = [each for each in rest if not each.text.startswith("-") or each.text == "-"]
        held = [state.piped or ANY if each.text == "-" else self._file(each, state) for each in plain[:2]]
        checks = frozenset[int]().union(*(each.checks for each in held))
        return answered(state, Answer(gained=checks))

    # --------------------------------------------------------------------- programs

    def _program(self, values: list[Value], state: State) -> Outcome:
        words = words_of([each.text for each in values])
        if not words:
            return either((state,))
        behind = values[len(values) - len(words) :]
        told = len(words) < len(values) or values[0].text.startswith(("/bin/", "/usr/bin/", "/sbin/"))
        if told and (words[0] in _BUILTINS or (words[0] in self.functions and len(words) < len(values))):
            return self.call([Value(words[0]), *behind[1:]], state)
        command = understand(words)
        if command is None:
            return self._foreign(behind, state)
        if isinstance(command, Sink):
            return either((self._sink(command, state),))
        if isinstance(command, Fetch) and command.transport == "authenticated" and self._is_applet(words[0]):
            command = command._replace(transport="unknown")  # its wget checks certificates in some builds only
        if isinstance(command, Unpack) and self._over_root(command, state):
            return either((self._sink(Sink("unpacked over the root", command.what), state),))
        number = self.reached(command, state)
        state = replace(state, seen=state.seen | {number})
        if isinstance(command, Fetch):
            state = self.replaced(command.target, state) if command.target and UNKNOWN not in command.target else state
            return either((replace(state, output=ANY if command.target else ANY._replace(of=NETWORK)),))
        if isinstance(command, Check):
            return self._checked(number, command, behind, state)
        if isinstance(command, Digest):
            how: How = "recovered" if command.recovered else "digest"
            return either((replace(state, output=Value(UNKNOWN, how, frozenset({number}))),))
        return either((replace(state, output=ANY),))

    def replaced(self, file: str, state: State) -> State:
        """A file brought in anew: what was checked of it before says nothing any more."""
        told = (self.events[each].command for each in state.passed)
        stale = {each for each, command in zip(state.passed, told, strict=True) if getattr(command, "what", "") == file}
        return replace(state, passed=state.passed - stale) if stale else state

    def _over_root(self, unpack: Unpack, state: State) -> bool:
        """Whether an archive that was brought in is taken apart over the root."""
        where = unpack.where or state.values.get("PWD", ANY).text
        return where != "" and not where.strip("/") and self._came(unpack.what, state)

    def _checked(self, number: int, check: Check, behind: list[Value], state: State) -> Outcome:
        """A check parts the ways; in a script of the image, what that script does comes first."""
        said = replace(state, output=Value(UNKNOWN, "output", frozenset({number})))
        passed = said if check.flaw else replace(said, passed=said.passed | {number})
        if check.kind == "vendor" and (found := self._text(behind[0].text)) is not None:
            return self.script(*found, tuple(behind[1:]), state)
        return Outcome((passed.ended("0"),), (said.ended("1"),))

    def _sink(self, sink: Sink, state: State) -> State:
        number = self.event(sink)
        reached = self.sinks.setdefault(number, [])
        if len(reached) < _MOST_WAYS:
            reached.append(state)
        else:
            self.incomplete = True  # a weaker way may be among those that are left out
        return replace(state, seen=state.seen | {number})

    def _foreign(self, values: list[Value], state: State) -> Outcome:
        """A program that is no part of an update by its name: a script of the image, one that was brought in, or anything."""
        name = values[0].text
        if name.startswith(UNKNOWN):
            self.dynamic = True
            return either((replace(state, output=ANY),))
        if runs_foreign(name) or self._came(name, state):
            return either((self._sink(Sink("program that was brought in", name), state),))
        if (found := self._text(name)) is not None:
            return self.script(*found, tuple(values[1:]), state)
        if _GIVES_UP.fullmatch(name) and not any(self.fs.exists(f"{place}/{name}") for place in _SEARCH):
            checks = {each for each in state.seen if isinstance(self.events[each].command, Check | Digest)}
            state = replace(state, doubted=state.doubted | (checks - state.passed))
        return either((replace(state, output=ANY),))

    def _is_applet(self, name: str) -> bool:
        """Whether a program is one of BusyBox."""
        nodes = (self.fs.resolve(f"{place}/{name}") for place in _SEARCH)
        return any(node is not None and posixpath.basename(node.path).startswith("busybox") for node in nodes)

    def _came(self, name: str, state: State) -> bool:
        """Whether a file, or without a name standard input, is what a download brought."""
        if name in ("", "-", "/dev/stdin"):
            of = state.piped.of if state.piped is not None else ""
            return of == NETWORK or (bool(of) and self._came(of, state))
        if state.values.get(f"file:{name}", ANY).of == NETWORK:
            return True
        brought = (self.events[each].command for each in state.seen)
        return any(isinstance(each, Fetch) and _same(each.target, name) for each in brought)

    def _text(self, name: str) -> tuple[str, str] | None:
        """The path and text of a script of the image."""
        if name not in self._texts:
            self._texts[name] = self._looked_up(name)
        return self._texts[name]

    def _looked_up(self, name: str) -> tuple[str, str] | None:
        if not name or UNKNOWN in name or "\n" in name or OF_SYSUPGRADE.search(name):
            return None
        places = (name,) if name.startswith("/") else () if "/" in name else tuple(f"{place}/{name}" for place in _SEARCH)
        for place in places:
            if OF_SYSUPGRADE.search(place):
                return None
            node = self.fs.resolve(place)
            facts = self.fs.facts(place) if node is not None else None
            if node is None or facts is None or facts.text is None:
                continue
            if (
                for_a_shell(facts.interpreter or "sh")
                and len(facts.text) <= _SCRIPT_LIMIT
                and (facts.kind == "script" or "/" in name)
            ):
                return node.path, facts.text
        return None


def _same(target: str, name: str) -> bool:
    """Whether two names can be the same file; one without a directory lies in that of the moment."""
    if not target or UNKNOWN in target or UNKNOWN in name:
        return False
    target, name = target.removeprefix("./"), name.removeprefix("./")
    if "/" in target and "/" in name:
        return posixpath.normpath(target) == posixpath.normpath(name)
    return posixpath.basename(target) == posixpath.basename(name)


_BUILTINS: Mapping[str, Callable[[Script, list[Value], State], Outcome]] = {
    "set": Script._set,
    **dict.fromkeys(("true", ":"), Script._true),
    "false": Script._false,
    "shift": Script._shift,
    "cd": Script._cd,
    "read": Script._read,
    "eval": Script._eval,
    **dict.fromkeys((".", "source"), Script._source),
    **dict.fromkeys(("cmp", "diff"), Script._cmp),
    **dict.fromkeys(SHELLS, Script._shell),
}
