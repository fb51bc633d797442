"""What the disk images of virtual machines share: a disk put together from cells of the image, holes, and packed cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Entry
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

DISK_LIMIT = 256 << 30  # bytes of a virtual disk that are laid out
PIECES = 1_000_000

Unpack = Callable[[bytes, int], bytes]  # packed bytes and the size they have to come to


class Cell(NamedTuple):
    """A piece of the disk: where it lies in the source (None: zeros), and how many packed bytes it is (0: as it is)."""

    length: int
    at: int | None
    packed: int = 0


def disk(cells: Callable[[], Iterable[Cell]], source: ByteSource, size: int, unpack: Unpack | None, limits: Limits) -> Entry:
    """The disk as a part of ``size`` bytes; ``unpack`` None where no cell is ever packed."""
    opener = partial(_open, cells, source, size, unpack, limits)
    return Entry(path="disk", kind=NodeKind.REGION, role="part", size=size, open=opener)


def _open(
    cells: Callable[[], Iterable[Cell]], source: ByteSource, size: int, unpack: Unpack | None, limits: Limits
) -> ByteSource:
    if size > DISK_LIMIT:
        raise QuotaExceeded(f"a virtual disk of {size} bytes")
    every = list(_merged(cells(), size))
    packed = [cell for cell in every if cell.packed]
    content = spool(bounded(_unpacked(packed, source, unpack), source.size, limits)) if packed and unpack is not None else None
    pieces: list[ByteSource | int] = []
    done = 0
    for cell in every:
        if cell.packed and content is not None:
            pieces.append(content.window(done, cell.length))
            done += cell.length
        else:
            pieces.append(cell.length if cell.at is None else source.window(cell.at, cell.length))
    return Joined(pieces)


def _merged(cells: Iterable[Cell], size: int) -> Iterator[Cell]:
    """Neighbours in one piece, cut at the end of the disk, filled up to it."""
    held: Cell | None = None
    count = total = 0
    for one in cells:
        cell = one
        if total + cell.length > size:
            cell = cell._replace(length=size - total)
        if not cell.length:
            break
        total += cell.length
        if held is not None and not held.packed and not cell.packed:
            joins = cell.at is None if held.at is None else cell.at == held.at + held.length
            if joins:
                held = held._replace(length=held.length + cell.length)
                continue
        if held is not None:
            count += 1
            if count > PIECES:
                raise QuotaExceeded(f"a virtual disk in more than {PIECES} pieces")
            yield held
        held = cell
    if held is not None:
        yield held
    if total < size:
        yield Cell(size - total, None)


def _unpacked(cells: list[Cell], source: ByteSource, unpack: Unpack) -> Iterator[bytes]:
    for cell in cells:
        assert cell.at is not None
        piece = unpack(source.read(cell.at, min(cell.packed, source.size - cell.at)), cell.length)
        if len(piece) < cell.length:
            raise FormatError(f"a packed cell at 0x{cell.at:x} gives {len(piece)} bytes of {cell.length}")
        yield piece[: cell.length]


def meta(name: str, offset: int, size: int) -> Entry:
    """A header or table of the image."""
    return Entry(path=name, kind=NodeKind.REGION, role="meta", offset=offset, size=size, locality=offset)
