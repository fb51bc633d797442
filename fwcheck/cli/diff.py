"""``fwcheck diff``: what appeared, went and changed between two images or two reports."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress

if TYPE_CHECKING:
    from fwcheck.difference import Change, Difference
    from fwcheck.jcstar.catalogue import Lang
    from fwcheck.model import Report

_GROUPS = (
    ("verdicts", "Verdicts", "判定"),
    ("findings", "Findings", "検出事項"),
    ("components", "Components", "構成部品"),
    ("services", "Services", "サービス"),
    ("accounts", "Accounts", "アカウント"),
    ("coverage", "Coverage", "読み取り範囲"),
)
_WORDS = {
    "en": ("old", "new", "worse", "nothing differs"),
    "ja": ("旧", "新", "悪化", "相違なし"),
}
_MARKS = {"appeared": "+", "went": "-", "changed": "~"}
_JSON = (b"{", b"\xef\xbb\xbf{")


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("diff", help="what changed between two images or two JSON reports")
    command.add_argument("old", metavar="OLD", type=Path, help="an image, or the JSON report of one")
    command.add_argument("new", metavar="NEW", type=Path, help="an image, or the JSON report of one")
    command.add_argument("--target", choices=shared.TIERS, default="STAR-1", help="the level to compare (default: %(default)s)")
    command.add_argument("--format", choices=("terminal", "json"), default="terminal")
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
        _show(compare(told(old, options.lang), told(new, options.lang)), options.lang)
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
    asked = Options(target=options.target, jobs=options.jobs, cache=shared.cache(options), limits=shared.limits(options))
    with Progress(path.name, options.quiet) as progress:
        return scan(path, asked, progress)


def _show(found: Difference, lang: Lang) -> None:
    from fwcheck.reports.printable import plain  # noqa: PLC0415

    old, new, _, same = _WORDS[lang]
    print(f"{old}: {plain(found.old)}\n{new}: {plain(found.new)}")
    for name, *headings in _GROUPS:
        changes: tuple[Change, ...] = getattr(found, name)
        if changes:
            print(f"\n{headings[lang == 'ja']}")
            for change in changes:
                print(plain(_line(change, lang)))
    if found.nothing:
        print(f"\n{same}")
    sys.stdout.flush()


def _line(change: Change, lang: Lang) -> str:
    from fwcheck.language.told import said  # noqa: PLC0415

    states = " -> ".join(said(each, lang) for each in (change.before, change.after) if each)
    place = f"  ({change.place})" if change.place else ""
    worse = f"  {_WORDS[lang][2]}" if change.worse else ""
    what = said(change.what, lang) if change.kind == "changed" and not change.place else change.what
    return f"{_MARKS[change.kind]} {what}: {states}{place}{worse}"
