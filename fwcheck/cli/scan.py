"""``fwcheck scan``: images in, verdicts out."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress

if TYPE_CHECKING:
    from fwcheck.extraction.limits import Stop
    from fwcheck.jcstar.catalogue import Lang
    from fwcheck.model import Report

_WORST = (2, 1, 3, 0)  # exit statuses, the one that wins first


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("scan", help="analyse images against a level, and gate on the result")
    command.add_argument("images", metavar="IMAGE", type=Path, nargs="+", help="firmware images")
    command.add_argument(
        "--target",
        type=str.upper,
        choices=shared.TIERS,
        help="the level to hold the image against (default: the product's target, else STAR-1)",
    )
    command.add_argument("--product", metavar="FILE", type=Path, help="what the maker states of the product (product.toml)")
    command.add_argument(
        "--format", metavar="F,F", default="terminal", help="report formats, comma separated (default: %(default)s)"
    )
    command.add_argument("--output", metavar="DIR", type=Path, help="write one file per image and format here")
    shared.gates(command)
    shared.reading(command)
    shared.update_keys(command)
    shared.knowledge(command)
    command.add_argument("--lang", choices=("en", "ja"), default="en", help="language of reports for people")
    command.add_argument("--quiet", action="store_true", help="no progress, and no summary when files are written")
    command.add_argument("--show-secrets", action="store_true", help="do not mask passwords in reports")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Scans every image; the exit status is the worst of all. One image that cannot be read does not stop the others."""
    from fwcheck.gate import exit_status  # noqa: PLC0415
    from fwcheck.language.told import told  # noqa: PLC0415
    from fwcheck.pipeline import InputError, scan  # noqa: PLC0415

    formats = _formats(options)
    stop = shared.interruptible()
    wanted = _pipeline_options(options, stop)
    statuses: set[int] = set()
    for path in options.images:
        if stop.asked:
            break
        try:
            with Progress(path.name, options.quiet) as progress:
                report = scan(path, wanted, progress)
            _write(report, path, formats, options)
        except InputError as error:
            if len(options.images) == 1:
                raise
            print(f"fwcheck: {error}", file=sys.stderr)
            statuses.add(2)
            continue
        statuses.add(exit_status(report.gate))
        shared.tell(told(report, options.lang).gate, f"{path.name}: ", lang=options.lang)
    return 130 if stop.asked else next(status for status in _WORST if status in statuses)


def _pipeline_options(options: argparse.Namespace, stop: Stop) -> Any:
    from fwcheck.pipeline import Options  # noqa: PLC0415

    return Options(
        target=options.target,
        product=options.product,
        jobs=options.jobs,
        cache=shared.cache(options),
        second_opinions=shared.opinions(options),
        limits=shared.limits(options, stop),
        update_keys=tuple(options.update_key),
        database=options.database,
        vex=tuple(options.vex),
        **shared.gate_options(options),
        recall=not options.show_secrets,
    )


def _formats(options: argparse.Namespace) -> list[str]:
    """The formats asked for; raises InputError when they cannot be given the way they are asked for."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    names = shared.formats(options, len(options.images))
    if not names:
        raise InputError("--format: names no format")
    if options.output is not None:
        twice = sorted(name for name, count in Counter(path.name for path in options.images).items() if count > 1)
        if twice:
            raise InputError(f"--output: several images are named {twice[0]}: their reports would replace each other")
    return names


def _write(report: Report, path: Path, formats: list[str], options: argparse.Namespace) -> None:
    shared.write(report, path.name, formats, options, show_secrets=options.show_secrets)
    if options.output is not None and "terminal" not in formats and not options.quiet:
        print(f"{path.name}: {verdict(report, options.lang)}", file=sys.stderr)


def verdict(report: Report, lang: Lang = "en") -> str:
    """The result in one line."""
    if lang == "ja":
        from fwcheck.reports import view  # noqa: PLC0415
        from fwcheck.reports.labels import label  # noqa: PLC0415

        return f"{view.level_sentence(view.target(report), lang)}、{label('score', lang)} {report.tier.score}"
    tier = next(each for each in report.tiers if each.id == report.tier.target)
    state = "refuted" if tier.refuted else f"not refuted ({tier.decidable} of {tier.total} criteria decidable from the image)"
    return f"{tier.id} {state}, score {report.tier.score}"
