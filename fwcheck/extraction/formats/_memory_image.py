"""Images of a device's memory that arrive in pieces with addresses: pieces are joined to the ranges they make up."""

from __future__ import annotations

from collections.abc import Iterable
from struct import unpack_from
from typing import Final, Protocol

import msgspec

from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._debug_locks import debug_lock
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined, Memory
from fwcheck.model import NodeKind

HOLE_LIMIT: Final = 64 << 10  # a hole up to this is filled with 0xFF, as erased flash reads; a larger one begins another part
RANGES_LIMIT: Final = 256
LINE_LIMIT: Final = 600  # characters of one record
_ERASED: Final = Memory(b"\xff" * HOLE_LIMIT)
_WHOLE_LIMIT: Final = 16 << 20  # of an image that says its size: no flash of a microcontroller is larger
_MCUBOOT: Final = b"\x3d\xb8\xf3\x96"


def ranges(pieces: Iterable[tuple[int, ByteSource]], problems: list[str], prefix: str = "") -> list[Entry]:
    """The contiguous ranges of memory as parts, named by their address; where pieces overlap the first one counts.

    A hole of any size is filled where an image around it says that it goes on behind it: what a tool leaves out of the file
    reads as erased flash, and hash and signature are of that.
    """
    found: list[_Range] = []
    for begin, held in sorted(pieces, key=lambda each: each[0]):
        address, piece = begin, held
        last = found[-1] if found else None
        hole = address - last.begin - last.size if last is not None else -1
        if last is not None and hole < 0:
            note(problems, f"pieces overlap at 0x{address:x}")
            if -hole >= piece.size:
                continue
            address, piece, hole = address - hole, piece.window(-hole, piece.size + hole), 0
        if last is not None and (hole <= min(HOLE_LIMIT, last.size + piece.size) or last.size + hole < last.reach):
            last.add(hole, piece)
        elif len(found) < RANGES_LIMIT:
            found.append(_Range(begin=address))
            found[-1].add(0, piece)
        else:
            note(problems, f"more than {RANGES_LIMIT} ranges: the others stay unread")
            break
    return [_part(each.begin, Joined(each.parts), prefix) for each in found]


class _Range(msgspec.Struct):
    """A range while it is put together; ``reach``: up to where an image in it says that it goes."""

    begin: int
    parts: list[ByteSource] = []
    size: int = 0
    reach: int = 0

    def add(self, hole: int, piece: ByteSource) -> None:
        self.parts += [_ERASED.window(0, min(HOLE_LIMIT, hole - at)) for at in range(0, hole, HOLE_LIMIT)]
        self.parts.append(piece)
        self.reach = max(self.reach, self.size + hole + _announced(piece))
        self.size += hole + piece.size


def _announced(piece: ByteSource) -> int:
    """The end of the last MCUboot image that begins in a piece, by its header; 0 where none does."""
    data = piece.view(0, piece.size).tobytes()
    at = data.rfind(_MCUBOOT)
    if at < 0 or at + 32 > len(data) or any(data[at + 28 : at + 32]):
        return 0
    header, protected, size = unpack_from("<HHI", data, at + 8)
    whole = int(header) + int(protected) + int(size)
    return at + whole if header >= 32 and whole <= _WHOLE_LIMIT else 0


def _part(address: int, content: ByteSource, prefix: str) -> Entry:
    return Entry(
        path=f"{prefix}0x{address:08x}",
        kind=NodeKind.REGION,
        size=content.size,
        role="part",
        detail={"address": f"0x{address:08x}", **debug_lock(address, content)},
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
