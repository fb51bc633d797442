"""Pages that need nothing but themselves: one HTML file with its style and its script in it.

Names and evidence come from images and are hostile: everything is escaped, and the page's content policy lets no script or style
run but the two that are part of the page, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fwcheck.reports.printable import plain

if TYPE_CHECKING:
    from jinja2 import Template


def page(name: str, values: dict[str, Any]) -> str:
    """The page made of ``templates/NAME.html.j2`` with ``page.css`` and ``NAME.js``."""
    from markupsafe import Markup  # noqa: PLC0415  # only a page pays for it

    style, script = _part("page.css"), _part(f"{name}.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    return _template(name).render(
        values,
        style=Markup(style),  # noqa: S704  # our own files
        script=Markup(script),  # noqa: S704
        policy=Markup(policy),  # noqa: S704
    )


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
        keep_trailing_newline=True,
    )
    return environment.from_string(_part(f"{name}.html.j2"))


def _part(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """What reaches the page: text without control characters; markup that the template made stays as it is."""
    return plain(value) if type(value) is str else value


def _hash(content: str) -> str:
    """A source expression of the content policy (CSP level 2) for a block with this content."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
