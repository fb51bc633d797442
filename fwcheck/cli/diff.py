"""``fwcheck diff``: what appeared, went and changed between two images or two reports."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress

if TYPE_CHECKING:
    from fwcheck.model import Report

_JSON = (b"{", b"\xef\xbb\xbf{")


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("diff", help="what changed between two images or two JSON reports")
    command.add_argument("old", metavar="OLD", type=Path, help="an image, or the JSON report of one")
    command.add_argument("new", metavar="NEW", type=Path, help="an image, or the JSON report of one")
    command.add_argument(
        "--target", type=str.upper, choices=shared.TIERS, default="STAR-1", help="the level to compare (default: %(default)s)"
    )
    command.add_argument("--format", choices=("terminal", "json", "markdown", "html"), default="terminal")
    command.add_argument("--lang", choices=("en", "ja"), default="en", help="language of the output for people")
    command.add_argument("--quiet", action="store_true", help="no progress")
    shared.reading(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the difference; the exit status is 0 whatever it is."""
    import msgspec  # noqa: PLC0415

    from fwcheck.difference import compare  # noqa: PLC0415
    from fwcheck.language.told import told  # noqa: PLC0415

    old, new = _report(options.old, options), _report(options.new, options)
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(compare(old, new))).decode())
    else:
        from fwcheck.reports import comparison  # noqa: PLC0415

        shown = {"terminal": comparison.text, "markdown": comparison.markdown, "html": comparison.html}[options.format]
        content = shown(compare(told(old, options.lang), told(new, options.lang)), options.lang)
        sys.stdout.flush()
        sys.stdout.buffer.write(content.encode(errors="backslashreplace"))
    return 0


def _report(path: Path, options: argparse.Namespace) -> Report:
    """A report that was made earlier, or one made now of an image."""
    import msgspec  # noqa: PLC0415

    from fwcheck.pipeline import InputError, Options, scan  # noqa: PLC0415
    from fwcheck.reports.json import read  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            begins = file.read(64).lstrip().startswith(_JSON)
        if begins:
            return read(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a report of this version: {error}") from error
    asked = Options(
        target=options.target,
        jobs=options.jobs,
        cache=shared.cache(options),
        second_opinions=shared.opinions(options),
        limits=shared.limits(options),
    )
    with Progress(path.name, options.quiet) as progress:
        return scan(path, asked, progress)
