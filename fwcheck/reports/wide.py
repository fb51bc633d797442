"""Japanese text on a terminal: lines end between wide characters as between words.

Where a line may end: after a blank, and beside a wide character (UAX #11), but not before a closing mark or a small kana, nor
after an opening one (JIS X 4051, JLReq 3.1).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.containers import Lines
from rich.measure import Measurement
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

_NOT_FIRST = frozenset("、。，．・：；？！）〕］｝〉》」』】〜ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.:;)]}%")
_NOT_LAST = frozenset("（〔［｛〈《「『【([{")
_LEAST = 12  # columns of a text in a table


class WideText(Text):
    """Text that is wrapped by these rules; otherwise as rich makes it."""

    def wrap(self, console: Console, width: int, **options: Any) -> Lines:
        """The lines of at most ``width`` columns."""
        if options.get("no_wrap"):
            return super().wrap(console, width, **options)
        lines = Lines()
        for line in self.split(allow_blank=True):
            for piece in line.divide(breaks(line.plain, width)):
                piece.rstrip_end(width)
                lines.append(piece)
        return lines

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Narrower than its longest run of wide characters: that can be parted."""
        least, most = super().__rich_measure__(console, options)
        return Measurement(min(least, _LEAST), most)


def breaks(text: str, width: int) -> list[int]:
    """Where lines of at most ``width`` columns end, as offsets of the characters behind."""
    found: list[int] = []
    begin, last, column = 0, 0, 0
    for at, char in enumerate(text):
        if at and _may_end(text[at - 1], char):
            last = at
        column += cell_len(char)
        if column > width and at > begin and char != " ":
            end = last if last > begin else at
            found.append(end)
            begin = end
            column = sum(cell_len(each) for each in text[end : at + 1])
    return found


def _may_end(before: str, behind: str) -> bool:
    if behind == " " or behind in _NOT_FIRST or before in _NOT_LAST:
        return False
    return before == " " or _is_wide(before) or _is_wide(behind)


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def lines_of(text: str, width: int) -> Iterator[str]:
    """A text in lines of at most ``width`` columns."""
    ends = [0, *breaks(text, width), len(text)]
    yield from (text[begin:end].rstrip() for begin, end in pairwise(ends))
