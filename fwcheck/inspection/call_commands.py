"""Commands that a program puts together first (``sprintf``, then ``system``), and its own functions that run commands.

The format stands for the command where a call before puts it into the same buffer; its values are filled in as far as they are
constant. A function of the program runs commands when hardly more is in it than a call that does, with what it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fwcheck.inspection.call_values import Tracer
from fwcheck.inspection.machines import machine as ops
from fwcheck.inspection.machines.machine import Machine, Site

# Where the buffer, the format and the first value stand among the arguments.
FORMATS = {"sprintf": (0, 1, 2), "snprintf": (0, 2, 3), "__sprintf_chk": (0, 3, 4), "__snprintf_chk": (0, 4, 5)}
GIVEN = frozenset({"vsnprintf", "vsprintf", "vasprintf", "__vsnprintf_chk", "__vsprintf_chk", "__vasprintf_chk"})
"""Functions that fill a format with what their caller was given."""
RUNS = frozenset({"system", "popen", "execl", "execlp", "execle", "execv", "execvp", "execve"})
OWN = "command@"
"""How functions of the program that run commands are named: with the place where they begin."""
_BEFORE = 6  # calls that fill buffers between the filling and the running
_FAR = 1024  # bytes between them
_STEPS = 200  # instructions that are looked back
_SMALL = 1024  # bytes of a function that runs commands and hardly more
_TINY = 96
_MOST_OWN = 8
_PLACE = re.compile(r"%(?P<form>[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z|j)?[a-zA-Z%])")

_LEAVING = (ops.CALL, ops.JUMP)
Origin = tuple[str, int, int, int]
"""What a register holds: a place on the stack, an address, an argument, a register, or a word that is kept on the stack."""


class Commands(NamedTuple):
    """The calls of a program in their order, and what traces them."""

    machine: Machine
    tracer: Tracer
    sites: Sequence[Site]

    def put_together(self, index: int, argument: int) -> str | None:
        """The format that was put into the buffer which call number ``index`` runs; None where that is not seen."""
        site = self.sites[index]
        wanted = self._buffer(site, argument)
        if wanted is None:
            return None
        start = self.machine.start_of(site.address)
        seen = 0
        for before in reversed(self.sites[max(index - 4 * _BEFORE, 0) : index]):
            if site.address - before.address > _FAR or self.machine.start_of(before.address) != start or seen >= _BEFORE:
                return None
            found = FORMATS.get(before.name)
            if found is None and before.name not in GIVEN:
                continue
            seen += 1
            if self._buffer(before, 0) == wanted:
                return self._filled(before, *found[1:]) if found is not None else None
        return None

    def _buffer(self, site: Site, argument: int) -> Origin | None:
        """The buffer that a call is given."""
        value = self.tracer.arguments(site, argument + 1)[argument]
        if value is not None:
            return "address", value, 0, 0
        found = origin(self.machine, site.address, argument)
        return found if found is not None and found[0] != "kept" else None

    def _filled(self, site: Site, place: int, first: int) -> str | None:
        values = self.tracer.arguments(site, min(first + 3, max(len(self.machine.arguments), first)))
        at = values[place] if len(values) > place else None
        text = self.tracer.text(at) if at is not None and at > 0xFF else None
        if not text:
            return None
        rest = iter(values[first:])

        def put(found: re.Match[str]) -> str:
            if found["form"].endswith("%"):
                return "%%"
            value = next(rest, None)
            word = self.tracer.text(value) if value is not None and value > 0xFF else None
            if word and found["form"] == "s" and "%" not in word:
                return word
            return str(value) if value is not None and found["form"] in ("d", "u", "i") else found.group()

        return _PLACE.sub(put, text)[:240]

    def own(self) -> Iterator[int]:
        """Where functions of the program begin that do nothing but run what they are given."""
        by_start: dict[int, list[Site]] = {}
        for site in self.sites:
            start = self.machine.start_of(site.address)
            if start is not None:
                by_start.setdefault(start, []).append(site)
        told = 0
        for start, sites in by_start.items():
            runs = [site for site in sites if site.name in RUNS]
            if not runs or len(runs) > 2 or sites[-1].address - start > _SMALL or told >= _MOST_OWN:
                continue
            if self._runs_what_it_is_given(start, sites, runs):
                told += 1
                yield start

    def _runs_what_it_is_given(self, start: int, sites: list[Site], runs: list[Site]) -> bool:
        others = [site for site in sites if site.name not in RUNS and site.name not in GIVEN]
        if len(others) > 2 or start not in self.machine.entries | set(self.machine.image.functions):
            return False
        known = [any(value is not None and self.tracer.text(value) for value in self.tracer.arguments(site, 1)) for site in runs]
        if runs[0].name in ("system", "popen"):
            if any(known):
                return False
            if any(site.name in GIVEN for site in sites):
                return True
            return self._is_given(start, runs[0], 0, others)
        shell = self.tracer.arguments(runs[0], 3)
        texts = [self.tracer.text(value) if value else None for value in shell]
        if not (texts[0] or "").endswith("/sh") or texts[2:] != ["-c"]:
            return False
        if any(site.name in GIVEN for site in sites):
            return True
        return self._is_given(start, runs[0], 3, others)

    def _is_given(self, start: int, run: Site, argument: int, others: list[Site]) -> bool:
        """Whether a call hands on what its function was given; in a tiny function that may lie on the stack for a while."""
        found = origin(self.machine, run.address, argument)
        if found is not None and found[0] == "kept":
            return not others and run.address - start <= _TINY
        return found is not None and found[0] == "argument" and found[2] == 0


def origin(machine: Machine, site: int, argument: int) -> Origin | None:
    """Where an argument of a call comes from: the stack, a fixed address, a saved register or an argument of the function."""
    if machine.stack_arguments or argument >= len(machine.arguments):
        return None
    code = machine.code_of(site)
    at = code.places.get(site)
    if at is None:
        return None
    register, behind = machine.arguments[argument], 0
    for index in range(at - 1, max(at - _STEPS, -1), -1):
        address, (kind, written, a, b) = code.ops[index]
        saved = register in machine.saved
        if written == register and kind < ops.CALL:
            if kind == ops.MOVE:
                register = a
            elif kind == ops.ADDI:
                register, behind = a, behind + b
            elif kind in (ops.CONST, ops.PC):
                return "address", (a if kind == ops.CONST else (address & ~b) + a) + behind, 0, 0
            elif kind == ops.LOAD and a in machine.stack and not behind:
                return "kept", a, b, 0
            else:
                return ("register", register, behind, address) if saved else None
            if register in machine.stack:
                return "stack", register, behind, 0
        elif (kind == ops.SPOIL and a >> register & 1) or (not saved and (kind in _LEAVING or address in code.labels)):
            return None
    if at - _STEPS > 0 or not code.known:
        return ("register", register, behind, 0) if register in machine.saved else None
    if register in machine.arguments:
        return "argument", machine.arguments.index(register), behind, 0
    return None
