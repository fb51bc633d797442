"""Paragraphs on the terminal, in both languages."""

from __future__ import annotations

from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fwcheck.jcstar.catalogue import Lang

WIDTH = 100


def wrapped(text: str, lang: Lang, *, bullet: str = "") -> str:
    """The text in lines as wide as the terminal, at most :data:`WIDTH` columns, behind a bullet where one is given."""
    width = min(WIDTH, get_terminal_size((WIDTH, 24)).columns)
    if lang == "en":
        return fill(text, width, initial_indent=bullet, subsequent_indent=" " * len(bullet))
    from fwcheck.reports.wide import lines_of  # noqa: PLC0415

    lines = list(lines_of(text, width - len(bullet)))
    return "\n".join((" " * len(bullet) if number else bullet) + line for number, line in enumerate(lines))
