"""Templates and their words. Everything that comes from images and people is escaped; a missing word or value is an error."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

LANGUAGES = ("en", "ja")
STATIC = {"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@cache
def words() -> dict[str, list[str]]:
    """Key to both languages."""
    found: dict[str, list[str]] = tomllib.loads((files(__package__) / "words.toml").read_text(encoding="utf-8"))
    return found


@cache
def static(name: str) -> bytes:
    """A file that pages refer to."""
    return (files(__package__) / "static" / name).read_bytes()


@cache
def version() -> str:
    """Changes when one of these files does: browsers may keep them for ever."""
    return hashlib.sha256(b"".join(static(name) for name in sorted(STATIC))).hexdigest()[:12]


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("fwcheck.service.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["bytes"] = _bytes
    made.filters["day"] = _day
    return made


def render(template: str, lang: str, **values: Any) -> str:
    """A page."""
    column = LANGUAGES.index(lang)
    said = {key: both[column] for key, both in words().items()}
    found = _environment().get_template(f"{template}.html.j2")
    return found.render(w=said, lang=lang, other=LANGUAGES[1 - column], version=version(), **values)


def _bytes(count: int) -> str:
    size, units = float(count), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    for larger in units:
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else ""
