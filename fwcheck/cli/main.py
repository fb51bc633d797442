"""The ``fwcheck`` command: finds the command asked for and runs it. Heavy imports wait inside the commands."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from fwcheck import __version__
from fwcheck.cli.parser import Parser

COMMANDS = (
    "scan",
    "gate",
    "check",
    "attest",
    "verify",
    "tree",
    "cat",
    "extract",
    "sbom",
    "diff",
    "audit",
    "explain",
    "level",
    "db",
    "completion",
    "serve",
    "worker",
    "upload",
)
_DESCRIPTION = "What in a firmware image breaks the requirements of a JC-STAR level, with proof down to the byte."
_EXITS = """exit status:
  0  analysed; every gate asked for held
  1  analysed; a gate failed
  2  bad usage or unreadable input
  3  analysed, but too little of the image could be read for the gate asked for
  130  interrupted: what was read until then is reported"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = Parser(prog="fwcheck", description=_DESCRIPTION, epilog=_EXITS)
    top.add_argument("--version", action="version", version=f"fwcheck {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"fwcheck.cli.{name}").add(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
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
    except OSError as error:
        if error.filename is not None:
            raise
        print(f"fwcheck: standard output: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    return status


def command() -> NoReturn:
    """The entry point of the installed command: ends the process without taking native libraries down piece by piece (0.2 s)."""
    _standard_streams()
    signal.signal(signal.SIGINT, partial(_interrupted, os.getpid()))
    try:
        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 2
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _standard_streams() -> None:
    """Fills descriptors that were closed by the caller, so that no image is opened as standard output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free descriptor is the one that is missing. Writing to it fails, as it did before.
            os.open(os.devnull, os.O_RDONLY)
            if number:
                setattr(sys, name, open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115


def _interrupted(process: int, _signal: int, _frame: object) -> NoReturn:
    """Ends at once: an exception in the middle of a native library's start would abort it. Workers die with their parent."""
    if os.getpid() == process:
        clear = b"\r\x1b[2K\x1b[?25h" if os.isatty(2) else b""  # the progress line hides the cursor
        with contextlib.suppress(OSError):
            os.write(2, clear + b"fwcheck: interrupted\n")
    os._exit(130)
