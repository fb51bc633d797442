"""A table as a sheet of a workbook: headings that stay, rows as high as their text, and print across one page's width."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from fwcheck.reports.registry import Lang
from fwcheck.reports.table import Column, Table, shown

LINE = 13.5  # points of a line
_HIGHEST = 409.0  # points; the format allows no more


def font(lang: Lang) -> dict[str, Any]:
    """What letters of a language are written in."""
    return {"font_name": "Noto Sans CJK JP" if lang == "ja" else "Calibri", "font_size": 10}


def add(book: Any, table: Table, name: str, lang: Lang, choices: Mapping[str, Sequence[str]] | None = None) -> None:
    """Adds the table as a sheet; cells that a person fills in are yellow. ``choices``: lists to choose from, by column."""
    sheet = book.add_worksheet(name[:31])
    bordered = {**font(lang), "text_wrap": True, "valign": "top", "border": 1, "border_color": "#BFC5CB"}
    cell, given = book.add_format(bordered), book.add_format({**bordered, "bg_color": "#FFFBE6"})
    head = book.add_format({**bordered, "bold": True, "valign": "vcenter", "bg_color": "#E8EBEE"})
    sheet.write_string(0, 0, shown(table.title), book.add_format({**font(lang), "bold": True, "font_size": 14}))
    sheet.write_string(1, 0, shown(table.note), book.add_format(font(lang)))
    top = 3
    for at, column in enumerate(table.columns):
        sheet.set_column(at, at, column.width)
        sheet.write_string(top, at, column.heading(lang), head)
    sheet.set_row(top, 2 * LINE + 4)
    for number, row in enumerate(table.rows, top + 1):
        sheet.set_row(number, height(row, table.columns))
        for at, column in enumerate(table.columns):
            if row.get(column.key):
                sheet.write_string(number, at, shown(row[column.key]), cell)
            else:
                sheet.write_blank(number, at, None, given)
    last = top + len(table.rows)
    for at, column in enumerate(table.columns):
        if table.rows and column.key in (choices or {}):
            sheet.data_validation(top + 1, at, last, at, {"validate": "list", "source": list((choices or {})[column.key])})
    if table.rows:
        sheet.autofilter(top, 0, last, len(table.columns) - 1)
    sheet.freeze_panes(top + 1, 1)
    across(sheet, top, last, len(table.columns))


def across(sheet: Any, top: int, last: int, columns: int) -> None:
    """A3 across, the whole width on one page, the headings on each."""
    sheet.set_landscape()
    sheet.set_paper(8)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(top)
    sheet.print_area(0, 0, last, columns - 1)
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    sheet.set_footer("&L&A&R&P / &N")


def height(row: Mapping[str, str], columns: Sequence[Column]) -> float:
    """The height of a row in points, so that each cell shows its text: programs do not all fit rows by themselves."""
    lines = max(
        (
            sum(_wrapped(_cells(line) / column.width) for line in shown(row[column.key]).split("\n"))
            for column in columns
            if column.key in row
        ),
        default=1,
    )
    return min(_HIGHEST, lines * LINE + 4)


def _wrapped(widths: float) -> int:
    """Lines that a text of so many column widths takes: words that do not fit leave the ends of long ones empty."""
    lines = max(1, math.ceil(widths))
    return lines + lines // 4


def _cells(line: str) -> float:
    """How wide a text is, in characters of the sheet: wide and full-width characters take two (UAX #11)."""
    return sum(2.0 if unicodedata.east_asian_width(char) in "WF" else 0.98 for char in line)
