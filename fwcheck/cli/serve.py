"""``fwcheck serve``: the service for a team, started by one command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("serve", help="take uploads, keep history, answer gates")
    command.add_argument("--host", default="127.0.0.1", help="where requests are taken (default: %(default)s)")
    command.add_argument("--port", metavar="N", type=int, default=8400, help="default: %(default)s; 0: any that is free")
    command.add_argument("--certificate", metavar="FILE", type=Path, help="TLS: the certificate chain (PEM)")
    command.add_argument("--key", metavar="FILE", type=Path, help="TLS: its key (PEM)")
    settings(command)
    command.add_argument("--workers", metavar="N", type=int, help="local workers (default: one per two cores; -1: none)")
    command.add_argument("--reindex", action="store_true", help="make the search anew from the reports that are kept, and end")
    command.set_defaults(run=run)


def settings(command: argparse.ArgumentParser) -> None:
    """Where the settings of an installation come from."""
    command.add_argument("--config", metavar="FILE", type=Path, help="settings (TOML); see docs/service.md")
    command.add_argument("--data", metavar="DIR", type=Path, help="where everything is kept (default: fwcheck-data)")


def loaded(options: argparse.Namespace, **given: Any) -> Any:
    """The settings; raises InputError when they are none or the extra is not installed."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    try:
        import litestar  # noqa: F401, PLC0415  # only to tell that it is not there
        import sqlalchemy  # noqa: F401, PLC0415
    except ImportError as error:
        raise InputError(f"the service needs what fwcheck[service] installs ({error.name} is missing)") from error
    from fwcheck.service.settings import SettingsError, load  # noqa: PLC0415

    try:
        return load(options.config, {"data": options.data, **given})
    except SettingsError as error:
        raise InputError(str(error)) from error


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted."""
    from fwcheck.pipeline import InputError  # noqa: PLC0415

    chosen = loaded(options, workers=options.workers)
    if options.reindex:
        return _reindex(chosen)
    from fwcheck.service.serve import Address, Taken, serve  # noqa: PLC0415

    address = Address(host=options.host, port=options.port, certificate=options.certificate, key=options.key)
    try:
        return serve(chosen, address)
    except Taken as error:
        raise InputError(str(error)) from error
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(
            f"{error.filename or options.data}: cannot be used as the directory of a service: {error.strerror}"
        ) from error


def _reindex(chosen: Any) -> int:
    from fwcheck.cli.progress import Progress  # noqa: PLC0415
    from fwcheck.service.context import Context  # noqa: PLC0415
    from fwcheck.service.indexing import catch_up, forget  # noqa: PLC0415

    context = Context(chosen)
    try:
        context.database.migrate()
        forget(context)
        with Progress("reindex", quiet=False) as progress:
            count = catch_up(context, told=lambda done: progress("reports", done, 0))
    finally:
        context.close()
    print(f"fwcheck: {count} reports indexed", file=sys.stderr)
    return 0
