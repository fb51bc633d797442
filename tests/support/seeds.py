"""The seeds of all formats: small valid images that each test module of a format gives, for tests that break them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.format import Format
from fwcheck.extraction.identify import signatures
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

MODULES = Path(__file__).parents[1] / "extraction" / "formats"
LIMITS = Limits(bytes_stream=64 << 20, ratio_floor=8 << 20, nodes=20_000)


@cache
def seeds() -> dict[str, list[bytes]]:
    """The seeds of every test module that has some, by the module's name without ``test_``."""
    found = {path.stem.removeprefix("test_"): _module(path) for path in sorted(MODULES.glob("test_*.py"))}
    return {name: module.seeds() for name, module in found.items() if hasattr(module, "seeds")}


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"seeds_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def announced(data: bytes) -> Iterator[tuple[Format, int]]:
    """Every format that a signature in ``data`` announces, and where."""
    source = Memory(data)
    hits, _ = signatures().everywhere(source)
    for offset, _, each in {*signatures().at_start(source.peek(0, signatures().head)), *hits}:
        if offset >= 0:
            yield each, offset


@cache
def places(name: str) -> list[tuple[bytes, Format, int]]:
    """Seeds of one module with the formats that open them, and where."""
    found = []
    for data in seeds()[name]:
        for each, offset in sorted(announced(data), key=lambda one: (one[1], one[0].name)):
            try:
                each.open(Memory(data), offset, LIMITS)
            except ExtractionError:
                continue
            found.append((data, each, offset))
    return found
