"""A sheet of many rows of plain text, all in one format: rows are written at once, not cell by cell (ECMA-376, 18.3.1).

xlsxwriter keeps an object for each cell and looks up each text in a table: thousands of findings take longer that way than all
else in the workbook. Here the rows are texts in their cells (``inlineStr``), which every program reads alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from xlsxwriter.worksheet import Worksheet

_ENDS = (" ", "\n", "\t")


class LongSheet(Worksheet):  # type: ignore[misc]  # the library has no types
    """Give the first rows as usual, and those below them with ``below``."""

    def __init__(self) -> None:
        super().__init__()
        self._below: list[Sequence[str]] = []
        self._first = 0
        self._format: Any = None

    def below(self, first: int, rows: list[Sequence[str]], cell_format: Any) -> None:
        """Rows of text from row ``first`` (counted from 0) to the end. They have no formulas and no links."""
        self._first, self._below, self._format = first, rows, cell_format
        if rows:
            self.write_blank(first + len(rows) - 1, max(map(len, rows)) - 1, None, cell_format)  # how far the sheet goes
            self.table.pop(first + len(rows) - 1)

    def _write_rows(self) -> None:
        super()._write_rows()
        style = self._format._get_xf_index() if self._format is not None else 0
        names = [f'<c r="{_letters(at)}' for at in range(max(map(len, self._below), default=0))]
        known: dict[str, str] = {"": ""}
        out: list[str] = []
        for number, row in enumerate(self._below, self._first + 1):
            out.append(f'<row r="{number}">')
            tail = f'{number}" s="{style}"'
            for name, value in zip(names, row, strict=False):
                held = known.get(value)
                if held is None:
                    held = known[value] = _inline(value)
                out.append(f'{name}{tail} t="inlineStr">{held}</c>' if held else f"{name}{tail}/>")
            out.append("</row>")
        self.fh.write("".join(out))


def _inline(value: str) -> str:
    keep = ' xml:space="preserve"' if value.startswith(_ENDS) or value.endswith(_ENDS) else ""
    return f"<is><t{keep}>{escape(value, quote=False)}</t></is>"


def _letters(column: int) -> str:
    """The name of a column, counted from 0; there are no more than 26 here."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[column]
