"""``fwcheck worker``: takes scans from the service's database on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from fwcheck.cli import serve


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("worker", help="do the scans of a service on this machine")
    serve.settings(command)
    command.add_argument(
        "--concurrency",
        metavar="N",
        type=int,
        default=1,
        help="scans at once, with a broker (default: %(default)s)",
    )
    command.add_argument("--scans", metavar="N", type=int, default=0, help="end after so many (default: never)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Works until it is told to stop."""
    settings = serve.loaded(options)
    if settings.broker:
        from fwcheck.service.distributed import work as distributed  # noqa: PLC0415

        return distributed(settings, options.concurrency)
    from fwcheck.service.worker import run as work  # noqa: PLC0415

    return work(settings, scans=options.scans)
