"""Every reader of this package by the program names it knows."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import cast

from fwcheck.device import configurations
from fwcheck.device.configurations.reading import Reading, Start
from fwcheck.device.daemons import daemon_of

Reader = Callable[[Start], Reading]


@cache
def readers() -> dict[str, Reader]:
    """The reader of each program name: every module of the package that defines ``NAMES`` and ``read``."""
    found: dict[str, Reader] = {}
    for info in sorted(pkgutil.iter_modules(configurations.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{configurations.__name__}.{info.name}")
        if hasattr(module, "NAMES") and hasattr(module, "read"):
            found |= dict.fromkeys(cast("tuple[str, ...]", module.NAMES), cast("Reader", module.read))
    return found


def read(start: Start) -> Reading:
    """What arguments and configuration of a start say; an empty reading for programs that nobody here knows."""
    daemon = daemon_of(start.name)
    reader = readers().get(start.name) or (readers().get(daemon.name) if daemon is not None else None)
    return reader(start) if reader is not None else Reading()
