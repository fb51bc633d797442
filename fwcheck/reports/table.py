"""Tables that a report shows in several formats: columns with headings in both languages, and rows by the columns' keys.

A cell that a row does not have is one that a person fills in.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

LONGEST = 4000  # characters of a cell; the formats allow more, readers do not
_FORMULA = ("=", "+", "-", "@")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~@&$:])")


class Column(NamedTuple):
    """A column of a table: its headings and its width in characters."""

    key: str
    en: str
    ja: str
    width: int = 20

    def heading(self, lang: Lang) -> str:
        """The heading in one language."""
        return self.ja if lang == "ja" else self.en


class Table(NamedTuple):
    """A table with a title and, where a reader needs one, a sentence before it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, str], ...]
    note: str = ""


def shown(value: str) -> str:
    """The text of a cell: what could drive a reader's program is shown as an escape, lines stay lines."""
    return "\n".join(plain(line) for line in value.split("\n"))[:LONGEST]


def as_csv(table: Table, lang: Lang = "en") -> str:
    """The table by RFC 4180; no cell can start a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(column.heading(lang) for column in table.columns)
    for row in table.rows:
        writer.writerow(_calculated(shown(row.get(column.key, ""))) for column in table.columns)
    return out.getvalue()


def as_markdown(tables: Iterable[Table], lang: Lang = "en", level: int = 2) -> str:
    """The tables as GitHub-flavoured Markdown; text from an image forms no markup, link or mention."""
    return "\n".join(line for table in tables for line in _markdown(table, lang, level)) + "\n"


def escape(text: str) -> str:
    """Text that no Markdown reader takes for markup or HTML."""
    return _SPECIAL.sub(lambda hit: {"<": "&lt;", "&": "&amp;"}.get(hit[1], f"\\{hit[1]}"), text)


def _calculated(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _markdown(table: Table, lang: Lang, level: int) -> Iterator[str]:
    yield f"{'#' * level} {escape(table.title)}"
    yield ""
    if table.note:
        yield escape(table.note)
        yield ""
    if not table.rows:
        yield "–"
        yield ""
        return
    yield f"| {' | '.join(escape(column.heading(lang)) for column in table.columns)} |"
    yield f"|{'---|' * len(table.columns)}"
    for row in table.rows:
        yield f"| {' | '.join(_cell(row.get(column.key, '')) for column in table.columns)} |"
    yield ""


def _cell(value: str) -> str:
    return escape(shown(value)).replace("\n", "<br>")
