"""``fwcheck gate``: the gates of ``scan`` on a report that was made earlier."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fwcheck.cli import options as shared


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("gate", help="hold an earlier JSON report against gates")
    command.add_argument("report", metavar="REPORT.json", type=Path)
    shared.gates(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluates the gates; reasons go to standard error."""
    import msgspec  # noqa: PLC0415

    from fwcheck.gate import evaluate, exit_status  # noqa: PLC0415
    from fwcheck.model import Severity  # noqa: PLC0415
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.reports.json import read  # noqa: PLC0415

    try:
        report = read(options.report.read_bytes())
    except OSError as error:
        raise InputError(f"{options.report}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{options.report}: is not a report of this version: {error}") from error
    severity = Severity(options.fail_on) if options.fail_on else None
    try:
        result = evaluate(report, min_tier=options.min_tier, min_score=options.min_score, fail_on=severity)
    except ValueError as error:
        raise InputError(f"{options.report}: {error}") from error
    for reason in result.reasons:
        print(f"fwcheck: gate: {reason}", file=sys.stderr)
    return exit_status(result)
