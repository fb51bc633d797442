"""``fwcheck attest``: signs what a report says of an image, for those who take the image over."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        "attest", help="sign what a report says of its image (in-toto statement in a DSSE envelope)"
    )
    command.add_argument("report", metavar="REPORT.json", type=Path)
    command.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        required=True,
        help="private key: Ed25519, ECDSA P-256 or P-384 (PEM, DER, OpenSSH); its password in FWCHECK_KEY_PASSWORD",
    )
    command.add_argument("--image", metavar="IMAGE", type=Path, help="the image, to make sure that the report is about it")
    command.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to write (default: standard output)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the attestation."""
    from fwcheck.attestation import BadKey, read_private, sign, state  # noqa: PLC0415
    from fwcheck.gate import BrokenFile  # noqa: PLC0415
    from fwcheck.judging import read_report  # noqa: PLC0415
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    try:
        key = read_private(options.key, os.environ.get("FWCHECK_KEY_PASSWORD"))
        report = read_report(options.report)
        content = options.report.read_bytes()
    except (BadKey, BrokenFile) as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{options.report}: {error.strerror}") from error
    if options.image is not None and image_digest(options.image) != report.image.sha256:
        raise InputError(f"{options.image}: is not the image that {options.report} is about")
    raw = sign(state(report, content, _now()), key)
    if options.output is None:
        sys.stdout.buffer.write(raw)
        return 0
    try:
        options.output.write_bytes(raw)
    except OSError as error:
        raise InputError(f"{options.output}: {error.strerror}") from error
    return 0


def image_digest(path: Path) -> str:
    """SHA-256 of an image; raises InputError when it cannot be read."""
    import hashlib  # noqa: PLC0415

    from fwcheck.pipeline import InputError  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _now() -> dt.datetime:
    """The time; builds that have to be repeatable give it (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdecimal() and len(epoch) < 12:
        return dt.datetime.fromtimestamp(int(epoch), tz=dt.UTC)
    return dt.datetime.now(tz=dt.UTC)
