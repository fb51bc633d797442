"""The parser of the command line: with examples in every help, and with what was probably meant in every error."""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
from collections.abc import Iterator
from typing import Any, NoReturn

from fwcheck.cli.examples import EXAMPLES

_CHOICE = re.compile(r"invalid choice: '?([^' ]+)'?")
_UNKNOWN = re.compile(r"unrecognized arguments: (.+)")


class Parser(argparse.ArgumentParser):
    """Says what was meant when a name is nearly right, and how to get help. One instance for each command."""

    def __init__(self, *given: Any, **named: Any) -> None:
        named.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        named.setdefault("allow_abbrev", False)
        super().__init__(*given, **named)

    def format_help(self) -> str:
        """The help with examples at its end."""
        shown = EXAMPLES.get(self.prog.removeprefix("fwcheck").strip())
        if not shown:
            return super().format_help()
        width = max(len(line) for line, _ in shown)
        fits = shutil.get_terminal_size((80, 24)).columns > width + max(len(what) for _, what in shown) + 6
        lines = [f"  {line:{width}}  # {what}" if fits else f"  # {what}\n  {line}" for line, what in shown]
        return super().format_help() + "\nexamples:\n" + "\n".join(lines) + "\n"

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Like its parent's, but the error about an unknown option comes from the command that was given it."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            command: Parser = getattr(options, "parser", self)
            command.error(f"unrecognized arguments: {' '.join(rest)}")
        return options

    def error(self, message: str) -> NoReturn:
        """The error, what was probably meant, and how to use it, in one line; exit status 2."""
        given = " ".join(str(each.metavar or each.dest) for each in self._actions if not each.option_strings)
        meant = next(self._meant(message), "")
        hint = f"; did you mean {meant}?" if meant else ""
        usage = f"usage: {self.prog} [options] {given}".rstrip()
        self.exit(2, f"{self.prog}: {_plainly(message)}{hint} ({usage}; {self.prog} --help tells more)\n")

    def _meant(self, message: str) -> Iterator[str]:
        if found := _CHOICE.search(message):
            names = [str(choice) for action in self._actions for choice in action.choices or ()]
            yield from _only(difflib.get_close_matches(found[1], names, 2, 0.6), found[1])
        if found := _UNKNOWN.search(message):
            options = [name for action in self._actions for name in action.option_strings]
            for word in found[1].split():
                yield from difflib.get_close_matches(word.partition("=")[0], options, 1, 0.6)


def _only(close: list[str], word: str) -> list[str]:
    """The nearest name, unless another is as near."""
    ratios = [difflib.SequenceMatcher(None, each, word).ratio() for each in close]
    return [] if len(close) > 1 and ratios[0] == ratios[1] else close[:1]


def _plainly(message: str) -> str:
    """The parser's message without quotes around choices and on one line; names of commands are not listed: --help does."""
    message = " ".join(message.replace("argument COMMAND: invalid choice", "no such command").split())
    if message.startswith("no such command"):
        return message.partition(" (choose from")[0]
    return message
