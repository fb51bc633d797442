"""``fwcheck sbom``: the components of an image as CycloneDX or SPDX on standard output."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("sbom", help="the components of an image as CycloneDX or SPDX")
    shared.image(command)
    shared.reading(command)
    shared.knowledge(command)
    command.add_argument(
        "--format", choices=("cyclonedx", "spdx"), default="cyclonedx", help="default: cyclonedx (1.6); spdx is 2.3"
    )
    command.add_argument("--quiet", action="store_true", help="no progress")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the bill of materials; exit status 0, or 130 when it was interrupted and holds what was read until then."""
    from fwcheck.pipeline import Options, scan  # noqa: PLC0415
    from fwcheck.reports.registry import named  # noqa: PLC0415

    stop = shared.interruptible()
    with Progress(options.image.name, options.quiet) as progress:
        wanted = Options(
            jobs=options.jobs,
            cache=shared.cache(options),
            second_opinions=shared.opinions(options),
            limits=shared.limits(options, stop),
            database=options.database,
            vex=tuple(options.vex),
        )
        report = scan(options.image, wanted, progress)
    content = named(options.format).render(report)
    sys.stdout.buffer.write(content if isinstance(content, bytes) else content.encode())
    return 130 if stop.asked else 0
