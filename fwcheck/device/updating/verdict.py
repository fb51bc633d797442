"""From a followed script to update paths: for each write, the weakest way that leads to it, told as steps."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating.commands import Check, Digest, Fetch, Other, Sink, Unpack
from fwcheck.device.updating.script import Script
from fwcheck.device.updating.state import State
from fwcheck.device.updating.walk import Event
from fwcheck.model import Evidence, StepAction, UpdateStep

Verified = Literal["signature", "hash", "checksum", "none", "unknown"]
Transport = Literal["authenticated", "unchecked", "plain", "none", "unknown"]
_RANK: dict[str, int] = {"": 0, "checksum": 1, "hash": 2, "signature": 3}
_KINDS: tuple[Verified, ...] = ("none", "checksum", "hash", "signature")
_SIGNATURE = _RANK["signature"]
BEHIND = "it stands behind the write"  # why a check is not honoured
_MOST_STEPS = 40
_LONGEST = 1024  # characters of a line that are shown
_LOGIN = re.compile(r"://[^/\s:@\"']{0,80}:[^/\s@\"']{1,160}@")
_WORDS = {"signature": "signature", "hash": "hash", "checksum": "checksum", "vendor": "check by a program of the image"}


class Write(NamedTuple):
    """A command that writes software, with the verdict over all ways that reach it."""

    event: Event
    verified: Verified
    reason: str  # why it is no better, in words
    proof: Event | None  # the check that it rests on
    steps: tuple[UpdateStep, ...]
    transport: Transport


def writes(script: Script, fs: FileSystem) -> Iterator[Write]:
    """Every write of a followed script, in the order of the ways."""
    for number, states in script.sinks.items():
        verified, reason, proof = _judged(script, number, states)
        yield Write(
            event=script.events[number],
            verified=verified,
            reason=reason,
            proof=script.events[proof] if proof is not None else None,
            steps=tuple(_steps(script, fs, number, states)),
            transport=_transport(script, states),
        )


# --------------------------------------------------------------------------- the verdict


def _judged(script: Script, number: int, states: list[State]) -> tuple[Verified, str, int | None]:
    """The weakest of the ways. A way that goes around a check is only held against it where an absent file leads there."""
    ways = [(_rank(script, number, state), state) for state in states]
    if script.incomplete and all(each.best for each, _ in ways):
        return "unknown", "the script is too long to follow to its end", None
    doubt = next((each.doubt for each, _ in ways if each.doubt), "")
    if doubt:
        return "unknown", doubt, None
    lowest, strongest = min(each.best for each, _ in ways), max(each.best for each, _ in ways)
    if strongest > lowest:
        checks = {each for state in states for each in state.passed if _rank_of(script, each) > lowest}
        weak = [state for each, state in ways if each.best == lowest]
        if not any(checks & state.seen for state in weak):
            if not any(state.skipped for state in weak):
                return "unknown", "a way leads around the check", _proof(script, states, strongest)
            reason = "without a signature or hash beside it the software is taken unchecked"
            return _KINDS[lowest], reason, _proof(script, states, lowest)
    return _KINDS[lowest], _reason(script, states) if lowest < _SIGNATURE else "", _proof(script, states, lowest)


class _Way(NamedTuple):
    """The best check that has succeeded on a way, and what may make it better than it looks."""

    best: int
    doubt: str = ""


def _rank(script: Script, number: int, state: State) -> _Way:
    best = max((_rank_of(script, each) for each in state.passed), default=0)
    if best == _SIGNATURE and not _about(script, number, state):
        return _Way(0, "the signature that is checked is that of another file")
    if best < _SIGNATURE and any(_kind(script, each) == "vendor" for each in state.passed):
        return _Way(best, "what the program checks is not known")
    if best < _SIGNATURE and state.doubted - state.passed:
        return _Way(best, "the result of a check is used in a manner that could not be followed")
    return _Way(best)


def _rank_of(script: Script, number: int) -> int:
    return _RANK.get(_kind(script, number), 0)


def _kind(script: Script, number: int) -> str:
    command = script.events[number].command
    return command.kind if isinstance(command, Check | Digest) else ""


def _about(script: Script, number: int, state: State) -> bool:
    """Whether a signature that was checked can be about what is written: the same file, or one that it binds or holds."""
    sink = script.events[number].command
    written = sink.what if isinstance(sink, Sink) else ""
    passed = [script.events[each].command for each in state.passed]
    signed = [each.what for each in passed if isinstance(each, Check | Digest) and each.kind == "signature"]
    if not written or UNKNOWN in written or any(not each or UNKNOWN in each or each == written for each in signed):
        return True
    if any(_binds(each, signed) for each in passed if isinstance(each, Check | Digest) and each.kind == "hash"):
        return True
    behind = [script.events[each].command for each in state.seen]
    unpacked = [each.what for each in behind if isinstance(each, Unpack)]
    return any(each in signed or UNKNOWN in each or not each for each in unpacked)


def _binds(check: Check | Digest, signed: list[str]) -> bool:
    """Whether a hash ties the software to what is signed: a list of sums has to be the signed file, a digest may come from it."""
    if isinstance(check, Digest) or UNKNOWN in check.what:
        return True
    return posixpath.basename(check.what) in {posixpath.basename(each) for each in signed}


def _proof(script: Script, states: list[State], rank: int) -> int | None:
    if rank == 0:
        return None
    passed = sorted({each for state in states for each in state.passed if _rank_of(script, each) == rank})
    return passed[0] if passed else None


def _reason(script: Script, states: list[State]) -> str:
    """What is wrong with the checks that were seen and do not count."""
    for state in states:
        for number in sorted(state.seen - state.passed):
            if _kind(script, number) in ("signature", "hash", "checksum"):
                return _flaw(script, number)
    return ""


def _flaw(script: Script, number: int) -> str:
    command = script.events[number].command
    if isinstance(command, Check) and command.flaw:
        return command.flaw
    return "its result is never compared" if isinstance(command, Digest) else "software is written although it fails"


# --------------------------------------------------------------------------- transport and steps


def _transport(script: Script, states: list[State]) -> Transport:
    """What the software came over: the weakest of the downloads on the ways."""
    behind = [script.events[each].command for state in states for each in state.seen]
    fetched = {each.transport for each in behind if isinstance(each, Fetch)}
    order: tuple[Transport, ...] = ("plain", "unchecked", "unknown", "authenticated")
    return next((kind for kind in order if kind in fetched), "unknown")


def _steps(script: Script, fs: FileSystem, number: int, states: list[State]) -> Iterator[UpdateStep]:
    """What lies before the write, the write, and the checks and restarts that come behind it."""
    before = sorted(frozenset[int]().union(*(each.seen for each in states)) - {number})
    for each in before[-_MOST_STEPS:]:
        yield _step(script, fs, each, states)
    yield _step(script, fs, number, states)
    behind = [each for each, seen in script.before.items() if number in seen and each not in before]
    for each in behind[:_MOST_STEPS]:
        command, path, _ = script.events[each]
        if isinstance(command, Check | Digest) and command.kind != "vendor" and path == script.events[number].path:
            yield _late(script, fs, each)


def _step(script: Script, fs: FileSystem, number: int, states: Iterable[State]) -> UpdateStep:
    event = script.events[number]
    command = event.command
    where = _where(fs, event)
    if isinstance(command, Sink):
        return UpdateStep(action="write", what=f"{command.name}{_of(command.what)}", evidence=where)
    if isinstance(command, Fetch):
        address = _shown(command.address) or "an address from elsewhere"
        what = f"{address}; {command.flaw}" if command.flaw else address
        return UpdateStep(action="fetch", what=what, reason=command.flaw, evidence=where)
    if isinstance(command, Check | Digest):
        honoured, reason = _honoured(script, number, states)
        action: StepAction = "verify" if command.kind in ("signature", "vendor") else "compare"
        what = f"{_WORDS[command.kind]}{_of(command.what)}"
        if command.kind == "vendor":
            return UpdateStep(action=action, what=what, honoured=honoured, reason=reason, evidence=where)
        return UpdateStep(action=action, what=what, check=command.kind, honoured=honoured, reason=reason, evidence=where)
    action = command.action if isinstance(command, Other) else "unpack"
    return UpdateStep(action=action, what=_shown(command.what), evidence=where)


def checked(kind: Verified, where: Evidence) -> UpdateStep:
    """A check of another reader whose result can stop the update."""
    action: StepAction = "verify" if kind == "signature" else "compare"
    if kind == "none" or kind == "unknown":  # noqa: PLR1714 (mypy narrows it so)
        return UpdateStep(action=action, what=_WORDS["vendor"], honoured="unknown", evidence=where)
    return UpdateStep(action=action, what=_WORDS[kind], check=kind, honoured="yes", evidence=where)


def _honoured(script: Script, number: int, states: Iterable[State]) -> tuple[Literal["yes", "no", "unknown"], str]:
    held = list(states)
    if all(number in state.passed for state in held):
        return "yes", ""
    if any(number in state.doubted for state in held):
        return "unknown", "how its result is used could not be followed"
    if any(number in state.seen and number not in state.passed for state in held):
        return "no", _flaw(script, number)
    return "unknown", "a way leads around it"


def _late(script: Script, fs: FileSystem, number: int) -> UpdateStep:
    made = _step(script, fs, number, ())
    return msgspec.structs.replace(made, honoured="no", reason=BEHIND)


def _of(what: str) -> str:
    return f" of {shown}" if (shown := _shown(what)) else ""


def _shown(text: str) -> str:
    return _LOGIN.sub("://****@", text.replace(UNKNOWN, "…")[:160]) if text.strip(UNKNOWN) else ""


def _where(fs: FileSystem, event: Event) -> Evidence:
    text = fs.text(event.path) or ""
    lines = text.split("\n", event.line)
    line = lines[event.line - 1].strip() if event.line <= len(lines) else ""
    return fs.evidence(event.path, _LOGIN.sub("://****@", line[:_LONGEST]), line=event.line)
