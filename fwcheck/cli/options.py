"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fwcheck.extraction.limits import Limits

TIERS = ("STAR-1", "STAR-2", "STAR-3", "STAR-4")
SEVERITIES = ("critical", "high", "medium", "low")


def image(command: argparse.ArgumentParser) -> None:
    """One image."""
    command.add_argument("image", metavar="IMAGE", type=Path, help="the firmware image")


def workers(command: argparse.ArgumentParser) -> None:
    """How many processes read."""
    command.add_argument("--jobs", metavar="N", type=_count, default=0, help="worker processes (default: one per core)")


def published_keys(command: argparse.ArgumentParser) -> None:
    """Whether vendor schemes are decrypted whose keys anybody can look up."""
    command.add_argument(
        "--published-keys", action="store_true", help="decrypt vendor schemes whose keys are published (default: only name them)"
    )


def update_keys(command: argparse.ArgumentParser) -> None:
    """Which keys the signatures of the image are verified with."""
    command.add_argument(
        "--update-key",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a public key or certificate that updates are signed for (PEM, DER, OpenSSH, usign, AVB); may be given again",
    )


def knowledge(command: argparse.ArgumentParser) -> None:
    """What known vulnerabilities are looked up in, and who says which of them do not count."""
    command.add_argument("--database", metavar="FILE", type=Path, help="the knowledge file (see fwcheck db)")
    command.add_argument(
        "--vex",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="statements on vulnerabilities of this product (OpenVEX, CycloneDX, CSAF); may be given again",
    )


def second_opinions(command: argparse.ArgumentParser) -> None:
    """Which other extractors are asked about what stays unknown."""
    command.add_argument(
        "--second-opinion",
        metavar="NAME,NAME",
        default="",
        help="ask unblob or binwalk, where installed, about what stays unknown",
    )


def opinions(options: argparse.Namespace) -> tuple[str, ...]:
    """The second opinions asked for, in order."""
    return tuple(dict.fromkeys(name for name in options.second_opinion.split(",") if name))


def reading(command: argparse.ArgumentParser) -> None:
    """How an image is read."""
    workers(command)
    published_keys(command)
    second_opinions(command)
    cache = command.add_mutually_exclusive_group()
    cache.add_argument(
        "--cache", metavar="DIR", type=Path, help="where facts about contents are kept (default: %(default)s)", default=_home()
    )
    cache.add_argument("--no-cache", action="store_true", help="keep no facts between runs")


def gates(command: argparse.ArgumentParser) -> None:
    """Which gates decide the exit status."""
    command.add_argument("--min-tier", choices=TIERS, help="fail when the image refutes this level")
    command.add_argument(
        "--min-score", metavar="N", type=_percent, help="fail when the score at the target is below N (0 to 100)"
    )
    command.add_argument("--fail-on", choices=SEVERITIES, help="fail on any finding of this severity or worse")


def cache(options: argparse.Namespace) -> Path | None:
    """The directory of the facts cache, None when none is wanted."""
    chosen: Path | None = None if options.no_cache else options.cache
    return chosen


def limits(options: argparse.Namespace) -> Limits:
    """The bounds of one scan, and what it may do."""
    from fwcheck.extraction.limits import Limits  # noqa: PLC0415  # keeps --help quick

    return Limits(published_keys=options.published_keys)


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "fwcheck"


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 256:
        raise argparse.ArgumentTypeError("takes 1 to 256")
    return value


def _percent(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError("takes 0 to 100")
    return value
