"""``fwcheck audit``: many images, one report each, and a page about all of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress

if TYPE_CHECKING:
    from fwcheck.audit import Job, Target
    from fwcheck.extraction.limits import Stop
    from fwcheck.fleet import Entry, Fleet

_WORST = (2, 1, 3, 0)  # exit statuses, the one that wins first


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("audit", help="many images: one report each and a page about all")
    command.add_argument("paths", metavar="DIR|FILE", type=Path, nargs="+", help="folders with images, and images")
    command.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("fwcheck-audit"),
        help="where results are kept; the same command goes on where an earlier run ended (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--target",
        type=str.upper,
        choices=shared.TIERS,
        default="STAR-1",
        help="the level to hold images against (default: %(default)s)",
    )
    command.add_argument(
        "--format", metavar="F,F", default="html,json", help="reports of each image, comma separated (default: %(default)s)"
    )
    command.add_argument(
        "--exclude", metavar="GLOB", action="append", default=[], help="names in folders that are no images; may be given again"
    )
    command.add_argument("--retry-failed", action="store_true", help="try images again that an earlier run could not read")
    shared.gates(command)
    shared.reading(command)
    shared.update_keys(command)
    shared.knowledge(command)
    command.add_argument("--lang", choices=("en", "ja"), default="en", help="language of reports for people")
    command.add_argument("--quiet", action="store_true", help="no progress, no table")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Goes through the images; the exit status is the worst of all, 130 when it was interrupted."""
    from fwcheck.audit import Store, targets  # noqa: PLC0415
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    job = _job(options)
    wanted, left_out = targets(options.paths, options.output, options.exclude)
    if not wanted:
        raise InputError(f"{', '.join(map(str, options.paths))}: no image there")
    store = Store(options.output)
    entries: dict[str, Entry] = {}
    try:
        stop = shared.interruptible()  # from here on results are on disk, and the page tells of them
        interrupted = not _all(wanted, job, store, options, entries, stop)
        fleet = _write(entries, wanted, left_out, options)
    finally:
        store.close()
    if not options.quiet:
        from fwcheck.reports import fleet as pages  # noqa: PLC0415

        print(pages.text(fleet, lang=options.lang) + str(options.output / "fleet.html"))
    if interrupted:
        left = len(fleet.pending)
        print(f"fwcheck: interrupted: {left} images left; the same command goes on from here", file=sys.stderr)
        return 130
    return next(status for status in _WORST if status in {_status(each) for each in fleet.entries})


def _job(options: argparse.Namespace) -> Job:
    from fwcheck.audit import Job  # noqa: PLC0415
    from fwcheck.pipeline import InputError, Options  # noqa: PLC0415
    from fwcheck.reports.registry import named  # noqa: PLC0415

    formats = tuple(dict.fromkeys(name for name in options.format.split(",") if name))
    try:
        shown = [name for name in formats if named(name).suffix is None]
    except ValueError as error:
        raise InputError(f"--format: {error}") from error
    if shown:
        raise InputError(f"--format: {shown[0]} is for one image; an audit writes files")
    wanted = Options(
        target=options.target,
        jobs=options.jobs,
        cache=shared.cache(options),
        second_opinions=shared.opinions(options),
        limits=shared.limits(options),
        update_keys=tuple(options.update_key),
        database=options.database,
        vex=tuple(options.vex),
        **shared.gate_options(options),
    )
    return Job(options=wanted, formats=formats, lang=options.lang)


def _all(wanted: list[Target], job: Job, store: Any, options: argparse.Namespace, entries: dict[str, Entry], stop: Stop) -> bool:
    """Fills ``entries``; False when the user ended it."""
    from fwcheck.audit import Interrupted  # noqa: PLC0415
    from fwcheck.audit import run as steps  # noqa: PLC0415

    bars: list[Progress] = []

    def progress(target: Target, done: int) -> Progress:
        for each in bars:
            each.__exit__()
        bars[:] = [Progress(f"[{done + 1}/{len(wanted)}] {target.label}", options.quiet)]
        return bars[0]

    def changes(names: list[str], count: int) -> None:
        if not options.quiet:
            images = "one image is" if count == 1 else f"{count} images are"
            print(f"fwcheck: changed since the last run: {', '.join(names)}; {images} read again", file=sys.stderr)

    try:
        for step in steps(wanted, job, store, progress, changes=changes, retry=options.retry_failed, stopped=lambda: stop.asked):
            entries[step.entry.label] = step.entry
            if step.entry.state == "failed" and not step.known and not options.quiet:
                print(f"fwcheck: {step.entry.label}: {step.entry.reason}", file=sys.stderr)
    except Interrupted:
        return False
    finally:
        for each in bars:
            each.__exit__()
    return True


def _write(entries: dict[str, Entry], wanted: list[Target], left_out: list[str], options: argparse.Namespace) -> Fleet:
    """The pages about all images."""
    from fwcheck import __version__  # noqa: PLC0415
    from fwcheck.audit import put  # noqa: PLC0415
    from fwcheck.fleet import gather  # noqa: PLC0415
    from fwcheck.pipeline import InputError, knowledge_date, rules_digest  # noqa: PLC0415
    from fwcheck.reports import fleet as pages  # noqa: PLC0415

    fleet = gather(
        entries.values(),
        tool=__version__,
        rules_digest=rules_digest(),
        database_date=knowledge_date(options.database),
        target=options.target,
        pending=[each.label for each in wanted if each.label not in entries],
        left_out=left_out,
    )
    try:
        put(options.output / "fleet.html", pages.html(fleet, lang=options.lang).encode())
        put(options.output / "fleet.csv", pages.table(fleet).encode())
        put(options.output / "fleet.json", pages.plain_json(fleet).encode())
    except OSError as error:
        raise InputError(f"{options.output}: {error.strerror}") from error
    return fleet


def _status(each: Entry) -> int:
    if each.state == "failed":
        return 2
    if each.gate_undecided:
        return 3
    return 0 if each.gate_passed else 1
