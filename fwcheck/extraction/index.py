"""What the search needs to know of every format without importing it, prepared once and kept beside the byte code.

Importing two hundred modules and compiling their signatures takes longer than scanning a small image. So, as Python keeps
compiled modules in ``__pycache__``, this keeps the table of signatures with the compiled database of the search engine there (or
below the user's cache directory where the package cannot be written), under a stamp of the files it was made from. A format's
module is imported when one of its signatures is met. Where nothing can be kept, everything is prepared anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import platform
import sys
import tempfile
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import msgspec

from fwcheck.extraction import formats
from fwcheck.extraction.anchors import anchors, first_bytes, split
from fwcheck.extraction.format import Category, Container, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.registry import registered
from fwcheck.extraction.source import ByteSource

_KEPT = 4
_FROM = ("anchors.py", "format.py", "index.py", "registry.py")  # besides the formats themselves


class Sign(msgspec.Struct, frozen=True):
    """A signature, and which bytes it may begin with (a bit for each)."""

    pattern: bytes
    width: int
    offset: int
    anywhere: bool
    first: bytes


class Row(msgspec.Struct, frozen=True):
    """One format: where it is, and what is needed to know that it is meant."""

    module: str
    position: int  # in its FORMATS
    name: str
    category: str
    priority: int
    signatures: list[Sign]


class Search(msgspec.Struct, frozen=True):
    """What the engine looks for: an expression, the signatures it stands for, how many of their bytes lie before the match's end.

    ``anchor``: the expression is only a part, and the signature has to be compared where it was found. Signatures of one pattern,
    which differ in where their container begins, are looked for and compared once.
    """

    expression: bytes
    signatures: tuple[int, ...]  # among those that hold at every offset, in the order of the rows
    end: int
    anchor: bool


class Index(msgspec.Struct, frozen=True):
    """Everything the search needs."""

    stamp: str
    rows: list[Row]
    searches: list[Search]
    database: bytes  # serialised hyperscan database


class Deferred(Format):
    """A format whose module is imported when it is opened for the first time."""

    def __init__(self, row: Row) -> None:
        self._row = row
        # What is a class attribute of formats is one of each instance here.
        values: dict[str, Any] = vars(self)
        values.update(name=row.name, category=cast("Category", row.category), priority=row.priority)
        values["signatures"] = tuple(
            Signature(pattern=each.pattern, width=each.width, offset=each.offset, anywhere=each.anywhere)
            for each in row.signatures
        )

    def real(self) -> Format:
        """The format itself."""
        module = importlib.import_module(self._row.module)
        found: Format = module.FORMATS[self._row.position]
        return found

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        return self.real().open(source, offset, limits)


@cache
def load() -> tuple[Index, tuple[Format, ...]]:
    """The index and the formats its rows stand for, in the same order. Third parties' formats are imported at once."""
    if list(entry_points(group="fwcheck.formats")):
        every = registered()
        return prepare(every), every
    try:
        stamp = _stamp()
    except OSError:  # the package is no folder of files
        return prepare(registered()), registered()
    for place in _places(stamp):
        kept = _read(place, stamp)
        if kept is not None:
            return kept, tuple(Deferred(row) for row in kept.rows)
    index = prepare(registered(), stamp)
    _keep(index)
    return index, registered()


def prepare(every: tuple[Format, ...], stamp: str = "") -> Index:
    """Makes the index of formats."""
    import hyperscan  # noqa: PLC0415  # 30 ms that `fwcheck --help` need not pay

    rows = [_row(each) for each in every]
    signed = [sign for row in rows for sign in row.signatures if sign.anywhere]
    alike: dict[bytes, list[int]] = {}
    for number, sign in enumerate(signed):
        alike.setdefault(sign.pattern, []).append(number)
    searches = [search for numbers in alike.values() for search in _searches(tuple(numbers), signed[numbers[0]])]
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[each.expression for each in searches],
        ids=list(range(len(searches))),
        elements=len(searches),
        flags=[hyperscan.HS_FLAG_DOTALL] * len(searches),
    )
    return Index(stamp, rows, searches, bytes(hyperscan.dumpb(database)))


def _row(each: Format) -> Row:
    module = type(each).__module__
    known = getattr(sys.modules.get(module), "FORMATS", ())
    position = next((number for number, other in enumerate(known) if other is each), 0)
    signs = [Sign(one.pattern, one.width, one.offset, one.anywhere, first_bytes(one.pattern)) for one in each.signatures]
    return Row(module, position, each.name, each.category, each.priority, signs)


def _searches(numbers: tuple[int, ...], sign: Sign) -> list[Search]:
    found = anchors(sign.pattern, sign.width)
    if found is None:
        return [Search(each, numbers, sign.width, anchor=False) for each in split(sign.pattern)]
    return [Search(b"".join(b"\\x%02x" % byte for byte in each.literal), numbers, each.end, anchor=True) for each in found]


def _stamp() -> str:
    """Changes with every file the index is made from, and with what it is read by."""
    digest = hashlib.sha256(f"{sys.version} {platform.machine()}".encode())
    with contextlib.suppress(ImportError):
        digest.update(importlib.import_module("hyperscan").__version__.encode())
    folder = Path(next(iter(formats.__path__)))
    for path in [*sorted(folder.glob("*.py")), *(folder.parent / name for name in _FROM)]:
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _places(stamp: str) -> list[Path]:
    """Where the index may lie: beside the byte code, or in the user's cache directory, which nobody else may write to."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "fwcheck"
    beside = Path(next(iter(formats.__path__))) / "__pycache__" / f"index.{sys.implementation.cache_tag}.bin"
    kept = home / f"index-{stamp[:16]}.bin"
    return [kept] if sys.dont_write_bytecode else [beside, kept]


def _read(place: Path, stamp: str) -> Index | None:
    try:
        status = place.stat()
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o022:
            return None
        index = msgspec.msgpack.decode(place.read_bytes(), type=Index)
    except (OSError, msgspec.MsgspecError):
        return None
    return index if index.stamp == stamp and _fits(index.database) else None


def _fits(database: bytes) -> bool:
    """Whether the engine takes a database here: one kept in a home that machines share may be of another processor."""
    import hyperscan  # noqa: PLC0415

    try:
        hyperscan.loadb(database, mode=hyperscan.HS_MODE_BLOCK)
    except (hyperscan.HyperscanError, ValueError, TypeError):
        return False
    return True


def _keep(index: Index) -> None:
    """Writes the index where that is possible; a process that writes at the same time does no harm."""
    for place in _places(index.stamp):
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".index-", delete=False) as stream:
                stream.write(msgspec.msgpack.encode(index))
            Path(stream.name).replace(place)
        except OSError:
            continue
        _tidy(place)
        return


def _tidy(place: Path) -> None:
    """Leaves the newest few of the indexes that versions of this program have left in one directory."""
    with contextlib.suppress(OSError):
        found = sorted(place.parent.glob("index-*.bin"), key=lambda each: -each.stat().st_mtime)
        for each in found[_KEPT:]:
            each.unlink(missing_ok=True)
