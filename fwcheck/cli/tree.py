"""``fwcheck tree``: the containers and files inside an image."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fwcheck.cli import options as shared
from fwcheck.cli.progress import Progress

if TYPE_CHECKING:
    from fwcheck.device.firmware import Firmware
    from fwcheck.model import Coverage, Node

_CLASSES = {"explained": "#", "padding": ".", "unknown": "?", "encrypted": "X"}
_TOLD = ("origin", "name", "project", "version", "label", "compression", "encryption", "integrity_detail")
_WIDE = 120  # characters of that
_GAPS = 40
_LEVELS = " ▁▂▃▄▅▆▇█"


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser("tree", help="the containers and files inside an image, with offsets")
    shared.image(command)
    shared.reading(command)
    command.add_argument("--format", choices=("terminal", "json"), default="terminal")
    command.add_argument("--quiet", action="store_true", help="no progress")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the tree; exit status 0, or 130 when it was interrupted and holds what was read until then."""
    from fwcheck.pipeline import Options, extract  # noqa: PLC0415

    stop = shared.interruptible()
    with Progress(options.image.name, options.quiet) as progress:
        wanted = Options(
            jobs=options.jobs,
            cache=shared.cache(options),
            second_opinions=shared.opinions(options),
            limits=shared.limits(options, stop),
        )
        firmware = extract(options.image, wanted, progress)
    if options.format == "json":
        json.dump({"nodes": [as_json(node) for node in firmware.nodes]}, sys.stdout, indent=1)
        print()
    else:
        _print(firmware)
    return 130 if stop.asked else 0


def as_json(node: Node) -> dict[str, Any]:
    """A node with the keys of the published tree format."""
    return {
        "chain": list(node.chain),
        "path": node.path,
        "kind": node.kind.value,
        "size": node.size,
        "mode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
        "mtime": node.mtime,
        "target": node.target,
        "device": node.device,
        "sha256": node.sha256,
        "format": node.format,
        "offset": node.offset,
        "detail": node.detail,
    }


def _print(firmware: Firmware) -> None:
    for node in firmware.nodes:
        depth = len(node.chain) - (2 if node.kind.value == "container" else 1)
        name = node.chain[-1] if node.kind.value == "container" else node.path
        tail = (
            f" -> {node.target}"
            if node.target is not None
            else f" ({node.format})"
            if node.kind.value == "region" and node.format
            else _about(node)
        )
        print(f"{'  ' * depth}{_mode(node)} {node.size:>10}  {_printable(name + tail)}")
    cover = firmware.coverage
    print(
        f"\n{cover.bytes_total} bytes: {cover.bytes_explained} explained, {cover.bytes_padding} padding, "
        f"{cover.bytes_unknown} unknown, {cover.bytes_encrypted} suspected encrypted; {cover.files} files"
    )
    for line in _map(cover):
        print(line)
    for gap in sorted(cover.gaps, key=lambda each: -each.bytes)[:_GAPS]:
        print(_printable(f"gap: {gap.node}: {gap.reason}"))
    if len(cover.gaps) > _GAPS:
        print(f"and {len(cover.gaps) - _GAPS} smaller gaps: the report of fwcheck scan lists them")


def _about(node: Node) -> str:
    """What a container says of itself that a reader of the tree wants to know."""
    if node.kind.value != "container":
        return ""
    words = "; ".join(str(node.detail[key]) for key in _TOLD if node.detail.get(key))
    return f"  {words[:_WIDE]}" if words else ""


def _map(cover: Coverage, columns: int = 64) -> Iterator[str]:
    """The image from left to right: what its bytes are, and how even they are."""
    if not cover.spans or not cover.bytes_total:
        return
    classes = []
    for column in range(columns):
        begin, end = (cover.bytes_total * each // columns for each in (column, column + 1))
        parts: Counter[str] = Counter()
        for span in cover.spans:
            parts[span.kind] += max(0, min(end, span.offset + span.length) - max(begin, span.offset))
        classes.append(_CLASSES[max(parts, key=lambda kind: (parts[kind], kind))])
    yield f"bytes    [{''.join(classes)}]  # explained, . padding, ? unknown, X suspected encrypted"
    if cover.entropy:
        steps = [cover.entropy[len(cover.entropy) * column // columns] for column in range(columns)]
        yield f"entropy  [{''.join(_LEVELS[min(8, round(each))] for each in steps)}]  0 to 8 bits per byte"


def _mode(node: Node) -> str:
    letters = {"file": "-", "directory": "d", "symlink": "l", "device": "b" if (node.device or "").startswith("b") else "c"}
    if node.kind.value not in letters:
        return f"{node.kind.value:10}"
    bits = "".join(letter if node.mode >> (8 - place) & 1 else "-" for place, letter in enumerate("rwxrwxrwx"))
    return letters[node.kind.value] + bits


def _printable(text: str) -> str:
    """Names come from the image: control characters would write to the reader's terminal."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
