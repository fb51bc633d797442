"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from fwcheck.extraction.limits import Limits, Stop
    from fwcheck.jcstar.catalogue import Lang
    from fwcheck.model import GateResult, Report

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
    vex(command)


def vex(command: argparse.ArgumentParser) -> None:
    """Who says which known vulnerabilities do not count."""
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
    command.add_argument("--min-tier", type=str.upper, choices=TIERS, help="fail when the image refutes this level")
    command.add_argument(
        "--min-score", metavar="N", type=_percent, help="fail when the score at the target is below N (0 to 100)"
    )
    command.add_argument("--fail-on", type=str.lower, choices=SEVERITIES, help="fail on any finding of this severity or worse")
    command.add_argument("--policy", metavar="FILE", type=Path, help="fail where this policy is not met (policy.toml)")
    command.add_argument(
        "--baseline", metavar="REPORT.json", type=Path, help="fail only on what an earlier report does not know already"
    )
    command.add_argument(
        "--waivers", metavar="FILE", type=Path, help="findings that somebody answers for until a date (waivers.toml)"
    )


def gate_options(options: argparse.Namespace) -> dict[str, Any]:
    """The gates as the pipeline takes them."""
    names = ("min_tier", "min_score", "fail_on", "policy", "waivers", "baseline")
    return {name: getattr(options, name) for name in names}


def tell(gate: GateResult, image: str = "", *, lang: Lang = "en") -> None:
    """The reasons and notes of a gate on standard error, one line each; they are in this language already."""
    from fwcheck.reports.printable import plain  # noqa: PLC0415  # keeps --help quick

    words = ("ゲート", "注記") if lang == "ja" else ("gate", "note")
    if not gate.passed:
        for reason in gate.reasons:
            print(plain(f"fwcheck: {image}{words[0]}: {reason}"), file=sys.stderr)
    for note in gate.notes:
        print(plain(f"fwcheck: {image}{words[1]}: {note}"), file=sys.stderr)


def formats(options: argparse.Namespace, images: int) -> list[str]:
    """The formats asked for; raises InputError when they cannot be given the way they are asked for."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.reports.registry import named  # noqa: PLC0415

    names = [name for name in options.format.split(",") if name]
    try:
        files = [name for name in names if named(name).suffix is not None]
    except ValueError as error:
        raise InputError(f"--format: {error}") from error
    if options.output is None and (len(names) > 1 or (files and images > 1)):
        raise InputError("--format: several reports at once need --output DIR")
    if options.output is not None:
        try:
            options.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--output {options.output}: {_unusable(error)}") from error
    return names


def write(report: Report, name: str, formats: list[str], options: argparse.Namespace, *, show_secrets: bool = False) -> None:
    """The report in every format: files under ``--output`` named after the image, else on standard output."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.reports.registry import named  # noqa: PLC0415

    for each in map(named, formats):
        if each.name == "terminal" and sys.stdout.isatty():
            from fwcheck.reports import terminal  # noqa: PLC0415

            terminal.show(report, sys.stdout, lang=options.lang, show_secrets=show_secrets)
            continue
        content = each.render(report, lang=options.lang, show_secrets=show_secrets)
        raw = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
        if options.output is None or each.suffix is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(raw)
            continue
        target = options.output / f"{name}.{each.suffix}"
        try:
            _put(target, raw)
        except OSError as error:
            raise InputError(f"{target}: {error.strerror}") from error


def _put(target: Path, raw: bytes) -> None:
    """Writes a file in one step: a run that is ended leaves no half of a report that looks like one."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        fresh.write_bytes(raw)
        fresh.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def cache(options: argparse.Namespace) -> Path | None:
    """The directory of the facts cache, None when none is wanted; raises InputError for one that was named and is none."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    chosen: Path | None = None if options.no_cache else options.cache
    if chosen is not None and chosen != _home():
        try:
            chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(f"--cache {chosen}: {_unusable(error)}") from error
    return chosen


def _unusable(error: OSError) -> str:
    """Why a directory cannot be used."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return "is not a directory"
    return f"cannot be made: {error.strerror}"


def limits(options: argparse.Namespace, stop: Stop | None = None) -> Limits:
    """The bounds of one scan, and what it may do."""
    from fwcheck.extraction.limits import Limits  # noqa: PLC0415  # keeps --help quick

    return Limits(published_keys=options.published_keys, stop=stop)


def interruptible() -> Stop:
    """What Ctrl-C asks to stop from now on; a second Ctrl-C ends the command at once."""
    from fwcheck.extraction.limits import Stop  # noqa: PLC0415

    stop, process, before = Stop(), os.getpid(), signal.getsignal(signal.SIGINT)

    def interrupted(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            os._exit(130)
        if stop.asked and callable(before):
            before(number, frame)
        stop.ask()
        with contextlib.suppress(OSError):
            os.write(2, b"\r\x1b[2K" * os.isatty(2) + b"fwcheck: interrupted: reporting what was read so far\n")

    signal.signal(signal.SIGINT, interrupted)
    return stop


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "fwcheck"


def _count(text: str) -> int:
    return _within(text, 1, 256)


def _percent(text: str) -> int:
    return _within(text, 0, 100)


def _within(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:6]) <= most:
        raise argparse.ArgumentTypeError(f"takes a whole number from {least} to {most}, not {text!r}")
    return int(text)
