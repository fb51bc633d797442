"""``fwcheck gate``: the gates of ``scan`` on a report that was made earlier."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared

if TYPE_CHECKING:
    from fwcheck.model import Report


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("gate", help="hold an earlier JSON report against gates")
    command.add_argument("report", metavar="REPORT.json", type=Path, help="the JSON report; - for standard input")
    shared.gates(command)
    command.add_argument(
        "--format", metavar="F,F", default="", help="write the report anew, with this gate's result (default: nothing is written)"
    )
    command.add_argument("--output", metavar="DIR", type=Path, help="write one file per format here")
    command.add_argument("--lang", choices=("en", "ja"), default="en", help="language of reports for people")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluates the gates; reasons go to standard error."""
    from fwcheck.gate import exit_status  # noqa: PLC0415
    from fwcheck.language.told import told  # noqa: PLC0415

    formats = shared.formats(options, 1)
    report = judged(options)
    if formats:
        shared.write(report, Path(report.image.name).name or "report", formats, options)
    shared.tell(told(report, options.lang).gate, lang=options.lang)
    return exit_status(report.gate)


def judged(options: argparse.Namespace) -> Report:
    """The report with the gates that are asked for; raises InputError when a file of theirs is broken."""
    from fwcheck.analysers.registry import rules  # noqa: PLC0415
    from fwcheck.gate import BrokenFile  # noqa: PLC0415
    from fwcheck.judging import read_report  # noqa: PLC0415
    from fwcheck.pipeline import InputError, Options, ran, read_gates  # noqa: PLC0415

    asked = Options(**shared.gate_options(options))
    try:
        report = read_report(Path("/dev/stdin") if str(options.report) == "-" else options.report)
        return read_gates(asked).again(report, ran(rules(), report.device.declared))
    except BrokenFile as error:
        raise InputError(str(error)) from error
    except ValueError as error:
        raise InputError(f"{options.report}: {error}") from error
