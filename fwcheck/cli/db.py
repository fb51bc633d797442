"""``fwcheck db``: the vulnerability knowledge: what is in use, build it, add to it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fwcheck.vulnerabilities.imports.run import Imported

_KINDS = "NVD 2.0 feeds, CVE List v5, OSV, KEV, EPSS, endoflife.date, CSAF, OpenVEX, CycloneDX; plain, compressed or in archives"


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        "db", help="the vulnerability knowledge: what it holds, build it, add to it"
    )
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    info = verbs.add_parser("info", aliases=["status"], help="date and size of the knowledge in use")
    _file(info)
    info.set_defaults(run=_info)
    build = verbs.add_parser("build", help="build a knowledge file from a folder of published sources")
    build.add_argument("sources", metavar="DIR", type=Path, help="folder with the sources named in docs/vulnerabilities.md")
    build.add_argument("output", metavar="FILE", type=Path)
    build.set_defaults(run=_build)
    importing = verbs.add_parser("import", help="add published data that was carried here", description=f"Reads {_KINDS}.")
    importing.add_argument("files", metavar="FILE", type=Path, nargs="+", help="files or directories")
    _file(importing)
    importing.set_defaults(run=_import)
    update = verbs.add_parser("update", help="fetch published data and import it: the only command that uses a network")
    update.add_argument("--source", metavar="NAME", action="append", default=[], help="this source (default: the usual ones)")
    update.add_argument(
        "--url", metavar="URL", action="append", default=[], help="this address instead, https; may be given again"
    )
    _file(update)
    update.set_defaults(run=_update)


def _file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--database", metavar="FILE", type=Path, help="the knowledge file (default: FWCHECK_DB, or the user's own)"
    )


def _target(options: argparse.Namespace) -> Path:
    from fwcheck.vulnerabilities.database import user_file  # noqa: PLC0415

    chosen: Path = options.database or user_file()
    return chosen


def _info(options: argparse.Namespace) -> int:
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.vulnerabilities.database import Knowledge  # noqa: PLC0415

    try:
        knowledge = Knowledge.open(options.database)
    except (OSError, ValueError) as error:
        raise InputError(f"{_target(options)}: {getattr(error, 'strerror', None) or error}") from error
    print(f"knowledge as of {knowledge.date}, for {len(list(knowledge.components()))} components")
    print(f"file: {knowledge.path or 'the one shipped with the program'}")
    own = 0
    for name, as_of, ranges in knowledge.sources():
        if name.startswith("https://"):
            own += ranges
            continue
        print(f"  {name}: {ranges} ranges" + (f", as of {as_of}" if as_of else ""))
    print(f"  the project's own table: {own} ranges")
    return 0


def _build(options: argparse.Namespace) -> int:
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.vulnerabilities.build import build  # noqa: PLC0415

    if not options.sources.is_dir():
        raise InputError(f"{options.sources}: is not a folder")
    try:
        counts = build(options.sources, options.output)
    except (OSError, ValueError) as error:
        raise InputError(f"{options.sources}: {error}") from error
    print(", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts._asdict().items()))
    return 0


def _import(options: argparse.Namespace) -> int:
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.vulnerabilities.imports.documents import BadDocument  # noqa: PLC0415
    from fwcheck.vulnerabilities.imports.run import run  # noqa: PLC0415

    target = _target(options)
    try:
        imported = run(options.files, target)
    except BadDocument as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{target}: {error.strerror or error}") from error
    return _done(imported, target)


def _update(options: argparse.Namespace) -> int:
    import tempfile  # noqa: PLC0415

    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.vulnerabilities.imports.documents import BadDocument  # noqa: PLC0415
    from fwcheck.vulnerabilities.imports.fetch import addresses, fetch  # noqa: PLC0415
    from fwcheck.vulnerabilities.imports.run import run  # noqa: PLC0415

    target = _target(options)
    try:
        urls = options.url or addresses(options.source)
        with tempfile.TemporaryDirectory() as directory:
            imported = run(list(fetch(urls, Path(directory))), target)
    except BadDocument as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{target}: {error.strerror or error}") from error
    return _done(imported, target)


def _done(imported: Imported, target: Path) -> int:
    print(_told(imported))
    if imported.rebased:
        print("the file was brought up to the knowledge shipped with this release")
    print(f"knowledge file: {target}")
    return 0


def _told(imported: Imported) -> str:
    read = ", ".join(f"{count} {kind}" for kind, count in sorted(imported.records.items()))
    changed = ", ".join(f"{count} {table}" for table, count in sorted(imported.changed.items()))
    unlike = f", {imported.unlike} not understood" if imported.unlike else ""
    return f"read {read}{unlike}; " + (f"rows changed: {changed}" if changed else "nothing changed")
