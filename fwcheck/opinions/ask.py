"""Asks other extractors about regions that stayed unknown, and turns what they opened into items of the tree."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import msgspec

from fwcheck.extraction.coverage import Class
from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.explore import Findings, Item
from fwcheck.extraction.source import ByteSource, Mapped
from fwcheck.model import Gap, Node, NodeKind
from fwcheck.opinions.child import run
from fwcheck.opinions.opinion import Claim, Opinion

NAMES = ("unblob", "binwalk")
SMALLEST = 4096  # bytes of a region that is worth a question
LARGEST = 512 << 20
REGIONS = 16  # the largest ones


class Unavailable(Exception):
    """A second opinion was asked for that is not installed: one line for the user."""


class Region(msgspec.Struct, frozen=True):
    """A region that no format of ours claims."""

    node: Node
    source: ByteSource
    depth: int


def chosen(names: Sequence[str]) -> list[Opinion]:
    """The opinions with these names; raises Unavailable when one is not installed."""
    out: list[Opinion] = []
    for name in names:
        if name not in NAMES:
            raise Unavailable(f"there is no second opinion {name!r}: {', '.join(NAMES)}")
        opinion: Opinion = import_module(f"fwcheck.opinions.{name}").OPINION
        if opinion.version() is None:
            raise Unavailable(f"{name} is not installed: pip install 'fwcheck[{name}]'{_MORE.get(name, '')}")
        out.append(opinion)
    return out


_MORE = {"binwalk": ", and put the program of binwalk 3 on the PATH"}


def unknown(items: Sequence[Item]) -> list[Region]:
    """The regions worth a question, largest first."""
    found = [
        Region(item.node, item.source, item.depth)
        for item in items
        if item.source is not None
        and item.node.kind is NodeKind.REGION
        and item.node.format in {"unknown", "encrypted"}
        and SMALLEST <= item.source.size <= LARGEST
    ]
    return sorted(found, key=lambda each: -each.source.size)[:REGIONS]


@contextlib.contextmanager
def ask(opinions: Sequence[Opinion], regions: Sequence[Region]) -> Iterator[Findings]:
    """What the opinions make of the regions. The items can be read as long as the context is open; then their files are gone."""
    out = Findings()
    with tempfile.TemporaryDirectory(prefix="fwcheck-opinion-", ignore_cleanup_errors=True) as name:
        for number, region in enumerate(regions):
            # The first that recognises something is believed; two readings of the same bytes would count everything twice.
            any(_asked(opinion, region, Path(name, f"{number}-{turn}"), out) for turn, opinion in enumerate(opinions))
        yield out


def _asked(opinion: Opinion, region: Region, folder: Path, out: Findings) -> bool:
    inside, results = folder / "region.bin", folder / "out"
    claims: list[Claim] = []
    problem: str | None = None
    try:
        results.mkdir(parents=True)
        with inside.open("xb") as stream:
            for chunk in region.source.chunks():
                stream.write(chunk)
        problem = run(opinion.arguments(inside, results), results)
        claims = opinion.claims(results)
    except (ValueError, OSError, ExtractionError, KeyError, TypeError) as error:
        problem = problem or f"{type(error).__name__}: {error}"[:200]
    finally:
        inside.unlink(missing_ok=True)
    if problem is not None:
        out.gaps.append(Gap(node=region.node.label, reason=f"second opinion of {opinion.name}: {problem}"))
    kept = [claim for claim in claims if claim.offset >= 0 and 0 < claim.size <= region.source.size - claim.offset]
    for claim in kept:
        _join(opinion, region, claim, out)
    return bool(kept)


def _join(opinion: Opinion, region: Region, claim: Claim, out: Findings) -> None:
    origin = f"{opinion.name} {opinion.version()}"
    chain = (*region.node.chain, region.node.path, f"{claim.format}@0x{claim.offset:x}")
    node = Node(
        chain=chain,
        path="",
        kind=NodeKind.CONTAINER,
        size=claim.size,
        format=claim.format,
        offset=claim.offset,
        detail={"origin": origin},
    )
    out.items.append(Item(node=node, depth=region.depth + 1))
    if claim.folder is None:
        out.gaps.append(Gap(node=" › ".join(chain), reason=f"named by {origin}, not opened", bytes=claim.size))
        return
    out.paints += [(begin, size, Class.EXPLAINED) for begin, size in region.source.extents(claim.offset, claim.size)]
    out.items += [
        _member(chain, path, f"/{path.relative_to(claim.folder)}", origin, region.depth + 1) for path in _walk(claim.folder)
    ]


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a directory, in the order of names; links are members, not ways."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(where, name) for name in sorted([*names, *folders]))


def _member(chain: tuple[str, ...], path: Path, shown: str, origin: str, depth: int) -> Item:
    status = path.lstat()
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), NodeKind.DEVICE)
    node = Node(
        chain=chain,
        path=os.fsencode(shown).decode("utf-8", "backslashreplace"),
        kind=kind,
        # Modes and owners are what the other program made of them: nothing is concluded from them.
        size=status.st_size if kind is NodeKind.FILE else 0,
        target=os.fsencode(path.readlink()).decode("utf-8", "backslashreplace") if kind is NodeKind.SYMLINK else None,
        detail={"origin": origin},
    )
    return Item(node=node, open=partial(_opened, path) if kind is NodeKind.FILE else None, depth=depth)


_KINDS = {stat.S_IFREG: NodeKind.FILE, stat.S_IFDIR: NodeKind.DIRECTORY, stat.S_IFLNK: NodeKind.SYMLINK}


def _opened(path: Path) -> ByteSource:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise FormatError(f"the file is gone: {error.strerror}") from error
    try:
        return Mapped(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
