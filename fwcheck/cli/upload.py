"""``fwcheck upload``: sends an image to a service, waits for its report, and ends with the gate's status."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress

if TYPE_CHECKING:
    from fwcheck.service.client import Client

_POLL = (0.3, 3.0)  # seconds between two looks at a scan: at first, at most


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("upload", help="scan an image by a service, and gate on the result")
    shared.image(command)
    command.add_argument("--server", metavar="URL", default=os.environ.get("FWCHECK_SERVER"), help="default: $FWCHECK_SERVER")
    command.add_argument("--token-file", metavar="FILE", type=Path, help="holds the token (default: $FWCHECK_TOKEN)")
    command.add_argument("--authority", metavar="FILE", type=Path, help="certificates of the authority that the server's is from")
    command.add_argument("--product", metavar="NAME", required=True, help="whose firmware it is")
    command.add_argument("--version", metavar="V", dest="product_version", help="default: the image's name")
    command.add_argument(
        "--target", type=str.upper, choices=shared.TIERS, help="the level to hold the image against (default: STAR-1)"
    )
    command.add_argument(
        "--declaration", metavar="FILE", type=Path, help="what the maker states (product.toml), instead of what the product keeps"
    )
    shared.vex(command)
    shared.update_keys(command)
    command.add_argument("--fresh", action="store_true", help="scan again what was scanned before")
    command.add_argument(
        "--no-wait", action="store_true", help="end when the image has arrived, with the scan's id on standard output"
    )
    command.add_argument("--timeout", metavar="SECONDS", type=float, default=7200.0, help="for the report (default: %(default)g)")
    command.add_argument("--format", metavar="F,F", default="json", help="report formats (default: %(default)s)")
    command.add_argument("--output", metavar="DIR", type=Path, help="write the reports here")
    shared.gates(command)
    command.add_argument("--lang", choices=("en", "ja"), default="en", help="language of reports for people")
    command.add_argument("--quiet", action="store_true", help="no progress, and no summary")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Uploads, waits, writes, gates."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.service.client import Client, ServiceError  # noqa: PLC0415

    if not options.server:
        raise InputError("--server: which service? (or set FWCHECK_SERVER)")
    suffixes = _suffixes(options)
    if options.policy or options.waivers or options.baseline:
        from fwcheck.pipeline import Options, read_gates  # noqa: PLC0415

        # What is broken is told before anything is sent.
        read_gates(Options(policy=options.policy, waivers=options.waivers, baseline=options.baseline))
    if not options.image.is_file():
        raise InputError(f"{options.image}: {'is a directory' if options.image.is_dir() else 'no such file'}")
    try:
        client = Client(options.server, _token(options), options.authority, _retrying(options.quiet))
        return _upload(client, options, suffixes)
    except ServiceError as error:
        raise InputError(f"{options.server}: {error}") from error
    except OSError as error:
        raise InputError(f"{error.filename or options.image}: {error.strerror}") from error


def _upload(client: Client, options: argparse.Namespace, suffixes: dict[str, str]) -> int:
    fields = {"product": options.product, "version": options.product_version or options.image.name[:100]}
    fields |= {"target": options.target} if options.target else {}
    fields |= {"fresh": "true"} if options.fresh else {}
    files = [("declaration", options.declaration)] if options.declaration else []
    files += [*(("vex", path) for path in options.vex), *(("update_key", path) for path in options.update_key)]
    with Progress(options.image.name, options.quiet) as progress:
        accepted = client.upload(options.image, fields, lambda done, total: progress("uploading", done, total), files)
        if options.no_wait:
            print(accepted["id"])
            return 0
        scan = _wait(client, accepted["status_url"], options.timeout, progress)
    if scan["status"] == "failed":
        from fwcheck.pipeline import InputError  # noqa: PLC0415

        raise InputError(f"{options.image}: {scan['problem']}")
    for name, suffix in suffixes.items():
        answer = client.get(f"{accepted['status_url']}/report", format=name, lang=options.lang)
        target = options.output / f"{options.image.name}.{suffix}"
        _write(target, answer.body)
    return _gate(client, accepted["status_url"], scan, options)


def _wait(client: Client, url: str, seconds: float, progress: Progress) -> dict[str, Any]:
    from fwcheck.service.client import ServiceError  # noqa: PLC0415

    until, pause = time.monotonic() + seconds, _POLL[0]
    while True:
        scan: dict[str, Any] = client.get(url).json()
        if scan["status"] in {"done", "failed"}:
            return scan
        progress(scan["progress"]["stage"] or scan["status"], scan["progress"]["done"], max(1, scan["progress"]["total"]))
        if time.monotonic() > until:
            raise ServiceError(f"no report after {seconds:g} seconds; the scan goes on as {scan['id']}")
        time.sleep(pause)
        pause = min(_POLL[1], pause * 1.2)


def _gate(client: Client, url: str, scan: dict[str, Any], options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from fwcheck.model import GateResult  # noqa: PLC0415

    if not options.quiet:
        target = scan["tier"]["target"]
        print(f"{options.image.name}: scan {scan['id']}, score {scan['score']} at {target}", file=sys.stderr)
    here = options.policy or options.waivers or options.baseline
    asked = {} if here else {"min_tier": options.min_tier, "min_score": options.min_score, "fail_on": options.fail_on}
    gate = client.get(f"{url}/gate", **asked, lang=options.lang).json()  # with what the server asks of the product
    shared.tell(msgspec.convert(gate, GateResult), f"{options.image.name}: ", lang=options.lang)
    statuses = {gate["exit_status"], _held_here(client, url, options) if here else 0}
    return 1 if 1 in statuses else max(statuses)


def _held_here(client: Client, url: str, options: argparse.Namespace) -> int:
    """The gates of files that only this machine has."""
    from fwcheck.analysers.registry import rules  # noqa: PLC0415
    from fwcheck.gate import exit_status  # noqa: PLC0415
    from fwcheck.language.told import told  # noqa: PLC0415
    from fwcheck.pipeline import InputError, Options, ran, read_gates  # noqa: PLC0415
    from fwcheck.reports.json import read  # noqa: PLC0415

    asked = Options(**shared.gate_options(options))
    gates = read_gates(asked)
    report = read(client.get(f"{url}/report").body)
    try:
        report = gates.again(report, ran(rules(), report.device.declared))
    except ValueError as error:
        raise InputError(f"{options.image}: {error}") from error
    shared.tell(told(report, options.lang).gate, f"{options.image.name}: ", lang=options.lang)
    return exit_status(report.gate)


def _suffixes(options: argparse.Namespace) -> dict[str, str]:
    """The formats to write with their suffixes; raises InputError for one that is none."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415
    from fwcheck.reports.registry import named  # noqa: PLC0415

    found: dict[str, str] = {}
    if options.output is None:
        return found
    try:
        for name in options.format.split(","):
            found |= {name: suffix} if (suffix := named(name).suffix) is not None else {}
        options.output.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        raise InputError(f"--format: {error}") from error
    except OSError as error:
        raise InputError(f"{options.output}: {error.strerror}") from error
    return found


def _write(target: Path, content: bytes) -> None:
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    try:
        target.write_bytes(content)
    except OSError as error:
        raise InputError(f"{target}: {error.strerror}") from error


def _token(options: argparse.Namespace) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    if options.token_file is None:
        found = os.environ.get("FWCHECK_TOKEN", "")
        if not found:
            raise InputError("no token: set FWCHECK_TOKEN or name a --token-file")
        return found
    try:
        return str(options.token_file.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{options.token_file}: {getattr(error, 'strerror', None) or 'holds no token'}") from error


def _retrying(quiet: bool) -> Any:
    def tell(seconds: float, why: str) -> None:
        if not quiet:
            print(f"fwcheck: {why}; trying again in {seconds:.1f} s", file=sys.stderr)

    return tell
