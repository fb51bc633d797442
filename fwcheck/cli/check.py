"""``fwcheck check``: whether policy, waiver, product and VEX files are what a scan takes, before a scan needs them."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

Kind = Literal["policy", "waivers", "product", "vex"]
_WORDS: tuple[Kind, ...] = ("waivers", "policy", "product")
_SOON = 30  # days


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        "check", help="read policy, waiver, product and VEX files as strictly as a scan does"
    )
    command.add_argument("files", metavar="FILE", type=Path, nargs="+")
    command.add_argument(
        "--as",
        dest="kind",
        choices=("policy", "waivers", "product", "vex"),
        help="what the files are (default: told by their names, else by what stands in them)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0: all are fine. 1: a waiver has expired. 2: one cannot be read or is broken; each is told in one line."""
    status = 0
    for path in options.files:
        try:
            kind = options.kind or _kind(path)
            said = list(_read(path, kind))
        except ValueError as error:
            print(f"fwcheck: {error}", file=sys.stderr)
            status = 2
            continue
        for expired, words in said:
            print(f"fwcheck: {path}: {words}", file=sys.stderr)
            status = max(status, int(expired))
    return status


def _read(path: Path, kind: Kind) -> Iterator[tuple[bool, str]]:
    """Reads the file; yields whether something fails, and its words. Raises ValueError, in one line, for a broken one."""
    from fwcheck.gate import Policy, Waivers  # noqa: PLC0415

    if kind == "policy":
        Policy.read(path)
    elif kind == "waivers":
        today = dt.datetime.now(tz=dt.UTC).date()
        for number, entry in enumerate(Waivers.read(path).entries, 1):
            left = (entry.expires - today).days
            if left < 0:
                yield True, f"waiver {number} (owner {entry.owner}) expired on {entry.expires}: extend or remove it"
            elif left <= _SOON:
                yield False, f"waiver {number} (owner {entry.owner}) expires on {entry.expires}"
    elif kind == "product":
        from fwcheck.declaration import load  # noqa: PLC0415

        load(path)
    else:
        from fwcheck.vulnerabilities.vex import read  # noqa: PLC0415

        read(path)


def _kind(path: Path) -> Kind:
    """By its name, else by its first table: waivers are a list of their own, product files have tables that policies have not."""
    import tomllib  # noqa: PLC0415

    from fwcheck.gate import Policy  # noqa: PLC0415
    from fwcheck.gate.files import BrokenFile  # noqa: PLC0415

    name = path.name.lower()
    if name.endswith(".json"):
        return "vex"
    for word in _WORDS:
        if word in name or (word == "waivers" and "waiver" in name):
            return word
    try:
        with path.open("rb") as file:
            keys = tomllib.loads(file.read(1 << 20).decode("utf-8", "replace")).keys()
    except OSError as error:
        raise BrokenFile(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        Policy.read(path)  # says where it is broken
        raise BrokenFile(f"{path}: {' '.join(str(error).split())}") from error
    if "waiver" in keys:
        return "waivers"
    return "policy" if keys & {"all", "type", "tier"} else "product"
