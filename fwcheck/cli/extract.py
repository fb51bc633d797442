"""``fwcheck extract``: the tree of an image as files on disk."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress

if TYPE_CHECKING:
    from fwcheck.writing import Manifest


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        "extract",
        help="write the tree out as files",
        description="Writes everything inside an image below DIR. No path leads out of it; devices, setuid bits and owners are "
        "not made but listed in DIR/manifest.json; links are rewritten to stay inside their file system.",
    )
    shared.image(command)
    command.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="a directory that is empty, or not there"
    )
    shared.workers(command)
    shared.published_keys(command)
    shared.second_opinions(command)
    command.add_argument("--quiet", action="store_true", help="no progress, no summary")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the tree; exit status 0, or 2 when something that was read could not be written."""
    from fwcheck.pipeline import InputError, Options, extract, open_image  # noqa: PLC0415
    from fwcheck.writing import CannotWrite, Writer  # noqa: PLC0415

    open_image(options.image)
    stop = shared.interruptible()
    try:
        writer = Writer(options.output)
        with Progress(options.image.name, options.quiet) as progress:
            wanted = Options(jobs=options.jobs, second_opinions=shared.opinions(options), limits=shared.limits(options, stop))
            firmware = extract(options.image, wanted, progress, sink=writer.content)
        manifest = writer.finish(firmware.nodes, firmware.image, firmware.coverage)
    except CannotWrite as error:
        raise InputError(str(error)) from error
    status = _told(manifest, options)
    return 130 if stop.asked else status


def _told(manifest: Manifest, options: argparse.Namespace) -> int:
    written = Counter(entry.kind for entry in manifest.nodes if entry.written is not None)
    failed = [entry for entry in manifest.nodes if entry.written is None and entry.reason and entry.kind != "device"]
    if not options.quiet:
        devices = sum(entry.kind == "device" for entry in manifest.nodes)
        print(
            f"{options.output}: {written['file']} files, {written['region']} regions, {written['directory']} directories, "
            f"{written['symlink']} links; {devices} special files left out; {len(manifest.coverage.gaps)} gaps "
            "(see manifest.json)",
            file=sys.stderr,
        )
    if failed:
        print(
            f"fwcheck: {len(failed)} could not be written, the first: {failed[0].address}: {failed[0].reason}",
            file=sys.stderr,
        )
    return 2 if failed else 0
