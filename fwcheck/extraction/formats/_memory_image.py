"""Images of a device's memory that arrive in pieces with addresses: pieces are joined to the ranges they make up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from fwcheck.extraction.format import Entry
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined, Memory
from fwcheck.model import NodeKind

HOLE_LIMIT: Final = 64 << 10  # a hole up to this is filled with 0xFF, as erased flash reads; a larger one begins another part
RANGES_LIMIT: Final = 256
LINE_LIMIT: Final = 600  # characters of one record
_ERASED: Final = Memory(b"\xff" * HOLE_LIMIT)


def ranges(pieces: Iterable[tuple[int, ByteSource]], problems: list[str], prefix: str = "") -> list[Entry]:
    """The contiguous ranges of memory as parts, named by their address; where pieces overlap the first one counts."""
    found: list[tuple[int, list[ByteSource], int]] = []  # address, pieces, size
    for begin, held in sorted(pieces, key=lambda each: each[0]):
        address, piece = begin, held
        hole = address - found[-1][0] - found[-1][2] if found else -1
        if found and hole < 0:
            note(problems, f"pieces overlap at 0x{address:x}")
            if -hole >= piece.size:
                continue
            address, piece, hole = address - hole, piece.window(-hole, piece.size + hole), 0
        if found and hole <= min(HOLE_LIMIT, found[-1][2] + piece.size):
            start, parts, size = found[-1]
            if hole:
                parts.append(_ERASED.window(0, hole))
            parts.append(piece)
            found[-1] = start, parts, size + hole + piece.size
        elif len(found) < RANGES_LIMIT:
            found.append((address, [piece], piece.size))
        else:
            note(problems, f"more than {RANGES_LIMIT} ranges: the others stay unread")
            break
    return [_part(address, Joined(parts), prefix) for address, parts, _ in found]


def _part(address: int, content: ByteSource, prefix: str) -> Entry:
    return Entry(
        path=f"{prefix}0x{address:08x}",
        kind=NodeKind.REGION,
        size=content.size,
        role="part",
        detail={"address": f"0x{address:08x}"},
        open=lambda: content,
    )


class Lines(Protocol):
    """Takes the lines of a text of records one by one."""

    ended: bool

    def record(self, line: bytes) -> bool: ...


def read_lines(text: bytes, reader: Lines) -> int:
    """Hands lines over until the reader has met its end record, or a line that is no record; the offset behind the last one."""
    at = 0
    while not reader.ended and at < len(text):
        end = text.find(b"\n", at, at + LINE_LIMIT)
        end = end + 1 if end >= 0 else min(len(text), at + LINE_LIMIT)
        line = text[at:end].strip()
        if line and not reader.record(line):
            break
        at = end
    return at
