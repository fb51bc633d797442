"""The ``fwcheck`` command: finds the command asked for and runs it. Heavy imports wait inside the commands."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from fwcheck import __version__

COMMANDS = ("scan", "gate", "tree", "cat", "sbom", "explain", "db")
_DESCRIPTION = "What in a firmware image breaks the requirements of a JC-STAR level, with proof down to the byte."
_EXITS = """exit status:
  0  analysed; every gate asked for held
  1  analysed; a gate failed
  2  bad usage or unreadable input
  3  analysed, but too little of the image could be read for the gate asked for"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="fwcheck", description=_DESCRIPTION, epilog=_EXITS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"fwcheck {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"fwcheck.cli.{name}").add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit status. Errors the user can mend are one line on standard error."""
    options = parser().parse_args(arguments)
    from fwcheck.pipeline import InputError  # noqa: PLC0415  # keeps --help quick

    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except InputError as error:
        print(f"fwcheck: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fwcheck: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away: nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def command() -> NoReturn:
    """The entry point of the installed command: ends the process without taking native libraries down piece by piece (0.2 s)."""
    try:
        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
