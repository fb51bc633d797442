"""Which functions of a script can lead to a write, told from what stands in them: the others need not be followed.

Nothing is given up by this: a command is known only where its words stand in the function, in one that it can reach, or in a
variable that the script's first run has set; what is only brought in and run needs both a download and something that runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating import form
from fwcheck.device.updating.commands import DEVICE, REMOVABLE
from fwcheck.device.updating.form import Define, Inside, Program
from fwcheck.device.updating.state import Value
from fwcheck.device.updating.table import TAKING, WRITING, may_write
from fwcheck.device.updating.values import bare, kind_of

_RUNS = re.compile(r"(?:^|[\s;&|(/])(?:ba|da|a|k)?sh\b|\bsource\b|chmod|/tmp/|/var/|/run/|(?:^|[\s;&|(])\.{1,2}/")
_TAKES = TAKING | {"exec", "compile", "load"}


class Told(NamedTuple):
    """What stands in a function."""

    texts: set[str]
    called: set[str]
    writes: bool  # for itself, whatever the texts say


class Reach:
    """The functions in reach of a script, after its first run."""

    def __init__(
        self,
        program: Program,
        functions: Mapping[str, Define],
        held: Mapping[str, Value],
        lists: Mapping[str, form.Items],
        brings: frozenset[str],
        *,
        runs_script: Callable[[str], bool],
        load: Callable[[str], tuple[str, Program] | None],
    ) -> None:
        self.program, self.held, self.lists = program, held, lists
        self.brings, self.runs_script, self.load = brings, runs_script, load
        self._by_part: dict[str, list[Define]] = {}
        self._modules: set[str] = set()
        self._known: dict[int, tuple[Told, list[Define]]] = {}
        self._add(functions)

    def _add(self, functions: Mapping[str, Define]) -> None:
        for name, made in functions.items():
            for part in {bare(name)} if self.program.language == "lua" else set(re.split(r"[.:]+", name)):
                self._by_part.setdefault(part, []).append(made)

    def _of_module(self, name: str) -> Iterator[Define]:
        """The functions of a module that a dotted name can mean; they call others of their module."""
        module, _, function = name.replace("::", ".").rpartition(".")
        found = self.load(module) if module else None
        if found is None:
            return
        path, program = found
        if path not in self._modules:
            self._modules.add(path)
            self._add(program.functions)
        yield from (each for key, each in program.functions.items() if bare(key) == function)

    def leads(self, made: Define) -> bool:
        """Whether a function, with all that it may call, can lead to a write."""
        todo, met = [made], {id(made)}
        texts: set[str] = set()
        called: set[str] = set()
        while todo:
            told, calls = self._looked(todo.pop())
            if told.writes:
                return True
            texts |= told.texts
            called |= told.called
            todo += [each for each in calls if id(each) not in met]
            met |= {id(each) for each in calls}
        whole = "\n".join(texts).replace(UNKNOWN, "$_")  # a command may be put together of the texts of several functions
        if DEVICE.search(whole) or REMOVABLE.search(whole) or may_write(whole, brought=False):
            return True
        return bool(called & _TAKES or _RUNS.search(whole)) and bool(called & self.brings or may_write(whole))

    def _looked(self, made: Define) -> tuple[Told, list[Define]]:
        known = self._known.get(id(made))
        if known is None:
            inside = made.inside
            texts = {*inside.texts, *self._given(inside)}
            writes = inside.includes or bool(inside.called & WRITING) or any(map(self.runs_script, texts))
            known = self._known[id(made)] = (Told(texts, inside.called, writes), list(self._calls(inside)))
        return known

    def _given(self, inside: Inside) -> Iterator[str]:
        """Texts that the first run has put into variables of other functions or of the script."""
        for name in inside.names:
            if (value := self.held.get(name)) is not None:
                yield value.text
                yield value.of
            if name in self.lists:
                yield from (each.value.text for _, each in self.lists[name].items if isinstance(each, form.Constant))

    def _calls(self, inside: Inside) -> Iterator[Define]:
        """The functions that may be called: by name, by a text that is a name, as a value, of a module."""
        for name in {*map(bare, inside.names), *inside.called, *(each for each in inside.texts if each.isidentifier())}:
            yield from self._by_part.get(name, ())
        for name in inside.names:
            kind = kind_of(self.held.get(name))
            if kind.startswith("function "):
                yield from self._by_part.get(bare(kind.removeprefix("function ")), ())
            elif "." in name or "::" in name:
                yield from self._of_module(name)
