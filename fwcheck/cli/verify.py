"""``fwcheck verify``: whether an attestation holds for an image, by the key of who made it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.attest import image_digest

if TYPE_CHECKING:
    from fwcheck.attestation import Statement


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("verify", help="verify an attestation of an image")
    command.add_argument("attestation", metavar="ATTESTATION", type=Path)
    command.add_argument(
        "--key", metavar="FILE", type=Path, required=True, help="public key or certificate (PEM, DER, OpenSSH) of who attests"
    )
    command.add_argument("--image", metavar="IMAGE", type=Path, required=True, help="the image that it has to be about")
    command.add_argument("--report", metavar="REPORT.json", type=Path, help="a report that it has to be about")
    command.add_argument("--require-gate", action="store_true", help="fail unless gates were asked for, and all held")
    command.add_argument("--min-tier", choices=shared.TIERS, help="fail when this level was refuted")
    command.add_argument("--format", choices=("terminal", "json"), default="terminal", help="json: the verified statement")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0: it holds. 1: it does not, with the reason on standard error. 2: a file cannot be read."""
    from fwcheck.attestation import BadKey, NotVerified, read_public, verify  # noqa: PLC0415
    from fwcheck.attestation.envelope import LARGEST  # noqa: PLC0415
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    try:
        key = read_public(options.key)
        with options.attestation.open("rb") as file:
            content = file.read(LARGEST + 1)
    except BadKey as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{options.attestation}: {error.strerror}") from error
    digests = (image_digest(options.image), image_digest(options.report) if options.report is not None else "")
    try:
        statement = verify(content, key)
        _held(statement, options, *digests)
    except NotVerified as error:
        print(f"fwcheck: {options.attestation}: not verified: {error}", file=sys.stderr)
        return 1
    if options.format == "json":
        sys.stdout.buffer.write(statement.encoded() + b"\n")
    else:
        print(_sentence(statement))
    return 0


def _held(statement: Statement, options: argparse.Namespace, image: str, report: str) -> None:
    """Raises NotVerified where a valid statement is not the one that is asked for."""
    from fwcheck.attestation import NotVerified  # noqa: PLC0415

    if not any(each.digest.get("sha256") == image for each in statement.subject) or statement.predicate.image["sha256"] != image:
        raise NotVerified(f"it is about another image than {options.image}")
    if report and statement.predicate.report.get("sha256") != report:
        raise NotVerified(f"it is about another report than {options.report}")
    gate = statement.predicate.gate
    if options.require_gate and not (gate.asked and gate.passed):
        raise NotVerified("its gate did not hold" if gate.asked else "no gate was asked for")
    if options.min_tier:
        tier = next((each for each in statement.predicate.tiers if each.id == options.min_tier), None)
        if tier is None or tier.refuted:
            raise NotVerified(f"{options.min_tier} was {'refuted' if tier is not None else 'not judged'}")


def _sentence(statement: Statement) -> str:
    from fwcheck.reports.printable import plain  # noqa: PLC0415

    said = statement.predicate
    tier = next((each for each in said.tiers if each.id == said.target), None)
    level = "no level"
    if tier is not None:
        words = "refuted" if tier.refuted else f"not refuted ({tier.decidable} of {tier.total} criteria decidable from the image)"
        level = f"{tier.id} {words}, score {tier.score}"
    gate = ("held" if said.gate.passed else "did not hold") if said.gate.asked else "not asked for"
    made = f"fwcheck {said.tool.version}, vulnerability data of {said.database.date or 'unknown date'}"
    return plain(f"{statement.subject[0].name}: verified: {level}; gate {gate}; by {made}, at {said.attested_at}")
