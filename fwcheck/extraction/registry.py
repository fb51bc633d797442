"""All formats there are: every public module of ``formats/`` and what others register through entry points."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points

from fwcheck.extraction import formats
from fwcheck.extraction.format import Format


@cache
def registered() -> tuple[Format, ...]:
    """Every format, sorted by priority and then by name. Modules whose name begins with an underscore are parts of others."""
    found: list[Format] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(formats.__path__)):
        if not module.startswith("_"):
            found.extend(importlib.import_module(f"{formats.__name__}.{module}").FORMATS)
    for point in entry_points(group="fwcheck.formats"):
        found.extend(point.load())
    return tuple(sorted(found, key=lambda each: (each.priority, each.name)))
