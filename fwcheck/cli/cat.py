"""``fwcheck cat``: the bytes of one node on standard output."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared

if TYPE_CHECKING:
    from fwcheck.extraction.explore import Explorer, Item

_LISTED = 5


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("cat", help="the bytes of one node to standard output")
    shared.image(command)
    command.add_argument(
        "node", metavar="NODE", help="a path ('/etc/passwd'), or a whole address as reports print it (parts joined by ' › ')"
    )
    shared.published_keys(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the node's bytes; a name that is unknown or not unique is an input error."""
    from fwcheck.extraction.errors import ExtractionError  # noqa: PLC0415
    from fwcheck.extraction.explore import Explorer  # noqa: PLC0415
    from fwcheck.pipeline import InputError, open_image  # noqa: PLC0415

    image = open_image(options.image)
    explorer = Explorer(shared.limits(options))
    try:
        items = explorer.explore(image, (options.image.name,), 1).items
        wanted = _matching(items, options.node) or _inside(items, explorer, options.node)
        if not wanted:
            raise InputError(f"{options.image}: holds no readable {options.node}")
        if len(wanted) > 1:
            names = "; ".join(item.node.label for item in wanted[:_LISTED])
            raise InputError(f"{options.node} stands at {len(wanted)} places, give one address: {names}")
        content = wanted[0].content()
        for chunk in content.chunks() if content is not None else ():
            sys.stdout.buffer.write(chunk)
    except ExtractionError as error:
        raise InputError(f"{options.node}: {error}") from error
    return 0


def _matching(items: list[Item], name: str) -> list[Item]:
    readable = [item for item in items if item.readable]
    return [item for item in readable if name in {item.node.path, item.node.label}]


def _inside(items: list[Item], explorer: Explorer, name: str) -> list[Item]:
    """Looks inside those archives whose address the wanted one begins with."""
    from fwcheck.model import NodeKind  # noqa: PLC0415

    for item in items:
        if (
            item.node.kind is NodeKind.FILE
            and name.startswith(item.node.label + " › ")
            and (content := item.content()) is not None
        ):
            inner = explorer.explore(content, (*item.node.chain, item.node.path), item.depth + 1).items
            return _matching(inner, name) or _inside(inner, explorer, name)
    return []
