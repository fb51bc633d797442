"""Which kernel CVEs cannot be in a kernel that was built with a given configuration.

A CVE goes only when every source file that its record names belongs to a part that is switched off, or to another architecture.
What is not known to hang on an option stays.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from functools import cache
from importlib import resources

# Architectures under their names in the source and in the head of a configuration; these two share files.
_KIN = frozenset({"arm", "arm64"})
_ARCHITECTURES = frozenset(
    {"alpha", "arc", "arm", "arm64", "csky", "hexagon", "ia64", "loongarch", "m68k", "microblaze", "mips", "nios2", "openrisc",
     "parisc", "powerpc", "riscv", "s390", "sh", "sparc", "um", "x86", "xtensa"}
)  # fmt: skip


@cache
def _table() -> dict[str, list[str]]:
    text = resources.files("fwcheck.vulnerabilities").joinpath("kernel_options.toml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = tomllib.loads(text)["options"]
    return found


@cache
def needed(path: str) -> tuple[str, ...]:
    """The options of which one must be on for a source file to be built; none where nothing is known."""
    table = _table()
    for end in range(len(path), 0, -1):
        if path[:end] in table:
            return tuple(table[path[:end]])
    return ()


def not_built(path: str, options: Collection[str] | None, architecture: str) -> str:
    """Why a source file is not in a kernel, in words; empty where it may be."""
    if path.startswith("arch/"):
        own = path.split("/")[1]
        if own in _ARCHITECTURES and architecture in _ARCHITECTURES and own != architecture and {own, architecture} != _KIN:
            return f"is of {own}, the kernel of {architecture}"
        return ""
    names = needed(path) if options is not None else ()
    if options is not None and names and not any(name in options for name in names):
        return " and ".join(f"CONFIG_{name}" for name in names) + " not set"
    return ""


def excluded(places: Sequence[str], options: Collection[str] | None, architecture: str) -> str:
    """Why none of the places is in a kernel; empty where one of them may be, or none is known."""
    reasons = [not_built(path, options, architecture) for path in places]
    return f"{places[0]}: {reasons[0]}" if reasons and all(reasons) else ""
