"""Commands that started programs hold as constant texts of calls (``system``, ``popen``, ``exec``).

Whether such a call is ever reached the image does not tell, so all of it is under the condition that the program runs it.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from dataclasses import replace

from fwcheck.device._graph import tentative
from fwcheck.device.daemons import daemon_of
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.vocabulary import COMMANDS
from fwcheck.device.shell.world import Call, Place, Run, World
from fwcheck.model import CallFact

_LINES = re.compile(r"system|popen|cmd|command|shell", re.IGNORECASE)
_WORD = re.compile(r"[\w./+-]+")
_LISTS = frozenset(("execl", "execlp", "execle"))
_NO_LINES = frozenset(("execv", "execvp", "execve", "posix_spawn", "posix_spawnp"))
_FORMAT = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z|j)?[a-zA-Z%]")
_PROGRAMS_LIMIT = 48
_COMMANDS_LIMIT = 3000  # in one boot
_DEPTH_LIMIT = 3
_STEPS = 1000  # for one command with the scripts it calls
_BUDGET = 24_000  # for all of them


def follow(world: World) -> None:
    """Follows the commands of every started program that is no tool of the system, and of what these start."""
    todo = deque((run, 0) for run in world.runs)
    seen: set[str] = set()
    commands, begin = 0, world.steps
    while todo and len(seen) < _PROGRAMS_LIMIT and commands < _COMMANDS_LIMIT:
        run, depth = todo.popleft()
        facts = run.found.fs.facts_of(run.found.node) if run.found is not None else None
        if facts is None or not facts.calls or facts.sha256 in seen or run.name in COMMANDS or depth >= _DEPTH_LIMIT:
            continue
        if posixpath.basename(run.found.node.path if run.found is not None else "").startswith("busybox"):
            continue
        seen.add(facts.sha256)
        before = len(world.runs)
        # What may start a daemon comes first: where the budget ends, the rest is known to be untold.
        for call in sorted(dict.fromkeys(facts.calls), key=lambda each: not _names_daemon(each)):
            commands += 1
            if commands >= _COMMANDS_LIMIT or world.steps - begin > _BUDGET:
                if run.found is not None:
                    place = Place(run.found.fs, run.found.node.path, 0)
                    world.hole(place, f"{run.name} runs more commands than are followed")
                return
            _one(world, run, call)
        todo.extend((new, depth + 1) for new in world.runs[before:])


def _names_daemon(call: CallFact) -> bool:
    """Whether a word of the command is the name of a known daemon."""
    text = " ".join(str(each) for each in call.arguments if isinstance(each, str))
    return any(daemon_of(posixpath.basename(word)) is not None for word in _WORD.findall(text[:400]))


def _one(world: World, run: Run, call: CallFact) -> None:
    """Follows one call."""
    assert run.found is not None
    texts = [text for text in call.arguments if isinstance(text, str)]
    if not texts:
        return
    words: list[str] = []
    line = ""
    if call.function in _LISTS:
        words = [texts[0], *texts[2:]] if len(texts) > 1 else texts
    elif call.function not in _NO_LINES and _LINES.search(call.function):
        line = _filled(call)
    if not words and not line.strip():
        return
    shell = Shell(world, run.found.fs, run.found.node.path, [])
    shell.line = 0
    shell.variables["__unknown"] = UNKNOWN
    shown = " ".join((line or " ".join(words)).split())[:80].replace("$__unknown", "...")
    before = len(world.runs)
    action = (lambda: shell.process(lambda: shell.dispatch(Call.of(*words)))) if words else (lambda: shell.run_line(line))
    tentative(world, (*run.conditions, f"{run.name} runs {shown}"), action, _STEPS)
    world.runs[before:] = [_placed(new, shell.path, call) for new in world.runs[before:] if new.found is not None and new.present]


def _placed(run: Run, path: str, call: CallFact) -> Run:
    """A run whose command stands in a program has an offset instead of a line."""
    if run.place.path != path:
        return run
    return replace(run, place=run.place._replace(line=0), detail={**run.detail, "offset": f"{call.offset:#x}"})


def _filled(call: CallFact) -> str:
    """The command line with what is known of its arguments put into its format; the rest is a variable nobody knows."""
    at = next(index for index, text in enumerate(call.arguments) if isinstance(text, str))
    line, rest = str(call.arguments[at]), iter(call.arguments[at + 1 :])

    def put(found: re.Match[str]) -> str:
        if found.group().endswith("%"):
            return "%"
        value = next(rest, None)
        return "$__unknown" if value is None else str(value)

    return _FORMAT.sub(put, line) if "%" in line else line
