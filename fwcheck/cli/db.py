"""``fwcheck db``: the vulnerability knowledge that ships with the program."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("db", help="the vulnerability knowledge: what it holds, build it anew")
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    info = verbs.add_parser("info", help="date and size of the knowledge in use")
    info.set_defaults(run=_info)
    build = verbs.add_parser("build", help="build a knowledge file from a folder of published sources")
    build.add_argument("sources", metavar="DIR", type=Path, help="folder with the sources named in docs/vulnerabilities.md")
    build.add_argument("output", metavar="FILE", type=Path)
    build.set_defaults(run=_build)


def _info(_options: argparse.Namespace) -> int:
    from fwcheck.vulnerabilities.database import Knowledge  # noqa: PLC0415

    knowledge = Knowledge.open()
    print(f"knowledge as of {knowledge.date}, for {len(list(knowledge.components()))} components")
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
